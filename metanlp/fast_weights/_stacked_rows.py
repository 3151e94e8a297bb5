"""A frozen embedding (and the output layer tied to it), some of whose rows every task of a batch has for its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from metanlp.errors import UserError
from metanlp.fast_weights._stacked_linear import put_in_place


class Met:
    """Which of the new pieces stand in each text of a pass, in its source or its target.

    A row learns from the texts that it stands in: for a text without it, the output layer reads it as a constant.
    Otherwise all other texts would push it away, and an outer Adam would make large steps of that. It is asked text by
    text, so that a gradient is a sum over texts, however they are put into tasks and stacks.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.forget()

    def forget(self) -> None:
        self.found: Tensor | None = None  # (tasks * rows, new)

    def read(self, place: Tensor) -> None:
        """Of a text's pieces, `(tasks * rows, length)`, which of the new ones each is, or -1; one side after the other."""
        if torch.is_grad_enabled():
            none = torch.zeros(len(place), self.count + 1, dtype=torch.bool, device=place.device)
            found = none.scatter_(1, place + 1, True)[:, 1:]
            self.found = found if self.found is None else self.found | found


class Rows:
    """The rows of one weight. `fast` is `(tasks, rows, width)`; None runs with the slow ones.

    `places` are the modules that PEFT names when it keeps such rows; it finds those tied to them by itself. All weights of
    a model share what its texts have `met`: where the output layer has rows of its own, the embedding reads for both.
    """

    def __init__(self, weight: Tensor, new: Sequence[int], places: Sequence[str], met: Met) -> None:
        self.places, self.met = places, met
        self.new = torch.tensor(new, device=weight.device)
        self.place = torch.full((len(weight),), -1, device=weight.device)  # piece -> which of the new rows, or -1
        self.place[self.new] = torch.arange(len(new), device=weight.device)
        self.slow = nn.Parameter(weight.detach()[self.new].clone())
        self.readers: dict[str, StackedEmbedding | StackedOutput] = {}  # by their places in the model
        self.run_with(None)

    def run_with(self, fast: Tensor | None) -> None:
        self.fast = fast
        self.met.forget()

    @contextmanager
    @torch.no_grad()
    def written_in(self, model: nn.Module, rows: Tensor) -> Iterator[None]:
        """The model as it came, with `rows`, `(rows, width)`, in the weight itself."""
        weight = next(iter(self.readers.values())).base.weight
        kept = weight[self.new]
        try:
            weight[self.new] = rows
            for place, reader in self.readers.items():
                put_in_place(model, place, reader.base)
            yield
        finally:
            weight[self.new] = kept
            for place, reader in self.readers.items():
                put_in_place(model, place, reader)

    @property
    def now(self) -> Tensor:
        return self.slow[None] if self.fast is None else self.fast

    def look_up(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Which of `ids`, `(tasks * rows, length)`, are new, and their rows; other places hold anything."""
        rows, place = self.now, self.place[ids]
        self.met.read(place)
        task = torch.arange(len(rows), device=ids.device)[:, None]
        found = rows[task, place.clamp(min=0).view(len(rows), -1)]  # a task's pieces side by side
        return place >= 0, found.view(*ids.shape, -1)


class StackedEmbedding(nn.Module):
    """`ids` are `(tasks * rows, length)`, the rows of a task side by side."""

    def __init__(self, base: nn.Embedding, rows: Rows) -> None:
        super().__init__()
        self.base, self.rows, self.slow = base, rows, rows.slow
        self.scale = getattr(base, "embed_scale", 1.0)

    @property
    def weight(self) -> Tensor:
        """The base's weight: some models look at its dtype."""
        return self.base.weight

    def forward(self, ids: Tensor) -> Tensor:
        new, found = self.rows.look_up(ids)
        return torch.where(new[..., None], found * self.scale, self.base(ids))


class StackedOutput(nn.Module):
    """Logits of `x`, `(tasks * rows, length, width)`. The base's large product is shared by all tasks.

    What a task's rows differ by is added to their logits: rows as they started change no bit, and the gradient of all
    logits, which fills memory, is not copied.
    """

    def __init__(self, base: nn.Linear, rows: Rows) -> None:
        super().__init__()
        self.base, self.rows, self.slow = base, rows, rows.slow

    @property
    def weight(self) -> Tensor:
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        moved = self.rows.now - self.base.weight[self.rows.new]
        logits, own = self.base(x), self._own(x, moved)
        if self.rows.met.found is not None:
            own = torch.where(self.rows.met.found[:, None], own, self._own(x, moved.detach()))
        return logits.index_add_(-1, self.rows.new, own.to(logits.dtype))

    @staticmethod
    def _own(x: Tensor, moved: Tensor) -> Tensor:
        """`(tasks * rows, length, new)`, of `moved`, `(tasks, new, width)`."""
        products = torch.matmul(x.reshape(len(moved), -1, x.shape[-1]), moved.transpose(1, 2))
        return products.reshape(*x.shape[:-1], -1)


def attach_rows(model: nn.Module, new: Sequence[int]) -> list[Rows]:
    """Let every module that reads the embedding's or the output layer's weight read tasks' own rows; one Rows a weight."""
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()  # type: ignore[operator]
    readers: dict[str, nn.Module] = {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Embedding | nn.Linear) and (module.weight is inputs.weight or module is outputs)
    }
    if outputs not in readers.values():
        raise UserError("fast_weights.targets names the output layer, which learns the rows of the new pieces already")
    tied = outputs.weight is inputs.weight
    found: list[Rows] = []
    met = Met(len(new))
    for weight in [inputs.weight] if tied else [inputs.weight, outputs.weight]:
        places = [name for name, module in readers.items() if module.weight is weight]
        rows = Rows(weight, new, [name for name in places if readers[name] is inputs][:1] if tied else places, met)
        found.append(rows)
        for name in places:
            module = readers[name]
            kind = StackedEmbedding if isinstance(module, nn.Embedding) else StackedOutput
            rows.readers[name] = kind(module, rows)  # type: ignore[arg-type]
            put_in_place(model, name, rows.readers[name])
    return found
