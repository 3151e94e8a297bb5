"""Gradients of large matrices as the factors of their product, where writing them out would cost more than using them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from metanlp.weights import Product, joined

IN_CACHE = 2**22  # numbers; where all weights are fewer, a gradient is still in the processor's cache when it is used
LARGE = 2**17  # numbers; steps of smaller weights cost more calls than memory
ORDINARY = {"max_norm": None, "scale_grad_by_freq": False, "sparse": False}  # lookups that change and weigh nothing
SHARE = 0.5  # of the matrix; with longer factors, the norm of a product takes longer than reading it


def keeping_products(model: nn.Module, leaves: Mapping[str, Tensor]) -> Products | nullcontext[None]:
    """To be open around a forward pass of `model`; nothing where gradients are as ever: in a small model, or to save memory."""
    if sum(leaf.numel() for leaf in leaves.values()) <= IN_CACHE:
        return nullcontext()
    again = any(getattr(module, "gradient_checkpointing", False) for module in model.modules())  # layers run again
    return nullcontext() if again else Products(leaves)


class Products(TorchFunctionMode):
    """Around a forward pass: linear layers of large leaves, and lookups in them, then leave the factors of their gradients here.

    Only where sentences are so few that the factors are small beside the leaf. What else reads a leaf, or a part with more
    sentences, gives it a gradient as ever: `completed` adds them up.
    """

    def __init__(self, leaves: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names = {id(leaf): name for name, leaf in leaves.items() if leaf.dim() == 2 and leaf.numel() >= LARGE}
        self.found: dict[str, list[Product]] = {name: [] for name in self.names.values()}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.linear and not kwargs and id(args[1]) in self.names:
            inputs, leaf = args[:2]
            if _few(inputs.numel() // leaf.shape[1], leaf.shape):
                rows = inputs.reshape(-1, leaf.shape[1])  # a view made inside could not be written to
                outputs = _Linear.apply(self.found[self.names[id(leaf)]], rows, *args[1:])  # type: ignore[no-untyped-call]
                return outputs.reshape(*inputs.shape[:-1], leaf.shape[0])
        if function is F.embedding and id(args[1]) in self.names and ORDINARY.items() <= kwargs.items():
            pieces, leaf = args
            if _few(3 * pieces.numel(), leaf.shape):  # encoder, decoder and output may all read a tied embedding
                return _Lookup.apply(self.found[self.names[id(leaf)]], pieces, leaf, kwargs["padding_idx"])  # type: ignore[no-untyped-call]
        return function(*args, **(kwargs or {}))

    def completed(self, grads: Mapping[str, Tensor | None]) -> dict[str, Tensor | Product | None]:
        """The gradient of every leaf, `shape`, after the backward pass, which gave `grads`; None: not in the graph."""
        complete: dict[str, Tensor | Product | None] = dict(grads)
        for name, products in self.found.items():
            if products:
                rest, product = grads[name], joined(products)
                (rows, outputs), (_, inputs) = product.left.shape, product.right.shape
                if rest is not None:
                    complete[name] = product.added_to(rest.clone())  # autograd may have given it to another leaf too
                else:
                    complete[name] = product if _few(rows, (outputs, inputs)) else product.of_rows(slice(None))
        return complete


def _few(rows: int, shape: Sequence[int]) -> bool:
    outputs, inputs = shape
    return rows * (outputs + inputs) <= SHARE * outputs * inputs


class _Linear(torch.autograd.Function):
    """A linear layer whose backward pass leaves the factors of the weight's gradient in `found`."""

    @staticmethod
    def forward(ctx: Any, found: list[Product], inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.found = found
        return F.linear(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        inputs, weight = ctx.saved_tensors
        _, below, _, *biased = ctx.needs_input_grad
        product = Product(above.detach(), inputs.detach())
        ctx.found.append(product)
        return (
            None,
            above @ weight if below else None,
            None,
            *(product.left.sum(0) if wanted else None for wanted in biased),
        )


class _Lookup(torch.autograd.Function):
    """Rows of an embedding. In the product `left` is 1 at the piece of each row, `right` the gradient of what was looked up."""

    @staticmethod
    def forward(ctx: Any, found: list[Product], pieces: Tensor, embedding: Tensor, padding: int | None) -> Tensor:
        ctx.save_for_backward(pieces)
        ctx.found, ctx.count, ctx.padding = found, len(embedding), padding
        return F.embedding(pieces, embedding)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[None, ...]:  # type: ignore[override]
        (pieces,) = ctx.saved_tensors
        right = above.detach().reshape(-1, above.shape[-1])
        left = right.new_zeros(len(right), ctx.count).scatter_(1, pieces.reshape(-1, 1), 1.0)
        if ctx.padding is not None:
            left[:, ctx.padding] = 0  # whose embedding does not learn
        ctx.found.append(Product(left, right))
        return None, None, None, None
