"""What pipelines are called with: texts one by one or all at once, a device by number or name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from metanlp.errors import UserError

if TYPE_CHECKING:
    import torch


def texts_of(inputs: Any) -> list[str] | Iterator[str]:
    """A list of what is there at once (a text, a list, a dataset's column), an iterator over what comes one by one.

    UserError where something is no text: at once, or when its turn comes.
    """
    if isinstance(inputs, str):
        return [inputs]
    if isinstance(inputs, bytes | bytearray | Mapping | Set) or not isinstance(inputs, Iterable):
        raise UserError(f"translates a text, a list or an iterator of texts; got {kind_of(inputs)}")
    texts = (_text(each, number) for number, each in enumerate(inputs, 1))
    return list(texts) if isinstance(inputs, Sequence) else texts


def at_least_one(**numbers: int) -> None:
    """UserError unless all of them are whole numbers from 1 on."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise UserError(f"{name} is a whole number from 1 on; got {number!r}")


def device_of(device: int | str | torch.device | None) -> torch.device | None:
    """As Hugging Face pipelines read it: a GPU's number, -1 for the CPU, a name; None: a GPU where there is one."""
    import torch

    if device is None:
        return None
    try:
        if isinstance(device, int):
            found = torch.device("cuda", device) if device >= 0 else torch.device("cpu")
        else:
            found = torch.device(device)
    except RuntimeError:
        raise UserError(f'there is no device {device!r}; take "cpu", -1 for the same, "cuda:0" or 0') from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {device!r} is GPU {found.index or 0}; this machine has {torch.cuda.device_count()}")
    return found


def too_long(limit: int) -> str:
    """What is said of a text whose end the model does not read."""
    return f"is longer than the {limit} pieces that the model reads; its end is not translated"


def _text(given: Any, number: int) -> str:
    if not isinstance(given, str):
        column = '; of a dataset give a column, as dataset["text"]' if isinstance(given, Mapping) else ""
        raise UserError(f"text {number} is {kind_of(given)}, which is no text{column}")
    return given


def kind_of(given: Any) -> str:
    """What it is, for an error."""
    return "None" if given is None else f"of type {type(given).__name__}"
