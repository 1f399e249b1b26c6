# SPDX-License-Identifier: Apache-2.0
"""A coverage audit: every matrix product of a model, in both directions, and whether it was cast.

Imports `analysis.training.convert` and `gemm`. It watches below autograd, where nothing multiplies
unseen: functions, einsum, fused attention and recurrent layers end in a few operators there. An
operand counts as cast if its memory is what a cast made, carried along by operators that only move
values, and untouched since. That it could have come of a cast, because the format has all of its
values, would not do: zeros, ones and powers of two are in every format by chance. A wrong answer of
this kind is that a cast operand went through an operator that is not known to move values, and is
an error to look at, never a product that goes unnoticed.
"""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules import module as hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .casts import Cast
from .convert import last_linear
from .gemm import Event, observing

OPERANDS = {
    "mm": (0, 1),
    "bmm": (0, 1),
    "addmm": (1, 2),
    "baddbmm": (1, 2),
    "addbmm": (1, 2),
    "_addmm_activation": (1, 2),
    "mv": (0, 1),
    "addmv": (1, 2),
    "dot": (0, 1),
    "vdot": (0, 1),
    "linear": (0, 1),
    "convolution": (0, 1),
    "convolution_backward": (0, 1, 2),
}
"""The operators that multiply matrices, and which of their arguments are the operands."""

_FUSED = re.compile(r"attention|rnn|lstm|gru|transformer|trilinear|convolution|linear|mm$|mm_")
_POINTWISE = re.compile(r"_thnn_fused|log_?softmax|_nonlinearity|upsample")
"""Other operators multiply inside, where no cast reaches, if their names say so."""

OUTSIDE = "outside the layers"
"""Where a product is that no layer of the model computes."""

_MOVERS = frozenset(
    (
        *("clone", "_to_copy", "copy_", "cat", "stack", "repeat", "roll", "flip", "im2col"),
        *("index_select", "index", "gather", "constant_pad_nd"),
        *("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d"),
    )
)
"""The operators that move values to other memory and change none."""


class CoverageError(RuntimeError):
    """A product was not cast, and is not named as one that need not be."""


class Tag(NamedTuple):
    """What made a tensor.

    Attributes
    ----------
    name, role : str
        The product it was cast for, and as what.
    cast : Cast
        The cast.
    factor : float
        What it was multiplied by before, and divided by after.
    """

    name: str
    role: str
    cast: Cast
    factor: float


class Product(NamedTuple):
    """A matrix product that was executed.

    Attributes
    ----------
    where : str
        The layer, or which product of it; of the model itself the name of its class.
    operator : str
        What computed it.
    direction : str
        ``forward`` or ``backward``.
    shapes : tuple of tuple of int
        Of its operands.
    tags : tuple of Tag or None
        What cast each of them; None where nothing did.
    """

    where: str
    operator: str
    direction: str
    shapes: tuple[tuple[int, ...], ...]
    tags: tuple[Tag | None, ...]

    @property
    def is_cast(self) -> bool:
        """Whether all of its operands were cast."""
        return bool(self.tags) and None not in self.tags


class Watch(TorchDispatchMode):
    """See every product in both directions while it is entered.

    Parameters
    ----------
    model : torch.nn.Module
        Whose layers have names.
    seen : callable
        Told of every product, with the arguments of its operator.
    """

    def __init__(self, model: nn.Module, seen: Callable[[Product, tuple], None]) -> None:
        super().__init__()
        self._names = {part: name for name, part in model.named_modules()}
        self._names[model] = type(model).__name__
        self._seen = seen
        self._stack: list[str] = []
        self._nodes: dict[int, str] = {}
        self._tags: dict[StorageWeakRef, Tag] = {}

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        """Enter, and leave again."""
        before = hooks.register_module_forward_pre_hook(self._enter)
        after = hooks.register_module_forward_hook(self._leave, always_call=True)
        try:
            with observing(self._tag), self:
                yield self
        finally:
            before.remove()
            after.remove()

    def _enter(self, part: nn.Module, _args: object) -> None:
        if part in self._names:
            self._stack.append(self._names[part])

    def _leave(self, part: nn.Module, _args: object, _result: object) -> None:
        if part in self._names:
            self._stack.pop()

    def _tag(self, event: Event) -> None:
        tag = Tag(event.gemm.name, event.role, event.cast, event.factor)
        self._tags[_memory(event.after)] = tag

    def _tag_of(self, x: object) -> Tag | None:
        return self._tags.get(_memory(x)) if isinstance(x, Tensor) else None

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: object,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> object:
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        if name in OPERANDS:
            self._note(name, OPERANDS[name], args)
        else:
            with self:  # what inference mode does not take apart is taken apart here
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            if _FUSED.search(name) and not _POINTWISE.search(name):
                self._note(name, (), args)
        result = func(*args, **kwargs)
        self._follow(name, func, args, result)
        return result

    def _note(self, name: str, places: tuple[int, ...], args: tuple) -> None:
        """Tell of a product, where it is and what its operands are."""
        operands = [args[place] for place in places]
        tags = tuple(self._tag_of(x) for x in operands)
        node = torch._C._current_autograd_node()
        if node is None:
            named = next((tag.name for tag in tags if tag), None)
            where = named or (self._stack[-1] if self._stack else OUTSIDE)
            # Autograd has made the node that will run backwards just before.
            self._nodes[torch._C._autograd._get_sequence_nr() - 1] = where
        else:
            where = self._nodes.get(node._sequence_nr(), OUTSIDE)
        shapes = tuple(tuple(x.shape) for x in operands)
        direction = "backward" if node else "forward"
        self._seen(Product(where, name, direction, shapes, tags), args)

    def _follow(self, name: str, func: torch._ops.OpOverload, args: tuple, result: object) -> None:
        """Carry tags over to moved values, and drop those of what was written to."""
        tag = None
        if name in _MOVERS:
            moved = args[1:] if name == "copy_" else args
            tensors = [x for x in tree_leaves(moved) if _has_values(x)]
            tags = {self._tag_of(x) for x in tensors}
            tag = tags.pop() if len(tags) == 1 else None
            if name == "constant_pad_nd" and any(args[2:]):
                tag = None
        if name in _MOVERS or func._schema.is_mutable:
            written = tree_leaves(result) if name in _MOVERS else _written(func, args)
            for x in written:
                if not isinstance(x, Tensor):
                    continue
                self._tags.pop(_memory(x), None)
                if tag:
                    self._tags[_memory(x)] = tag


def _has_values(x: object) -> bool:
    """Tell whether this is a tensor of values, not of places."""
    return isinstance(x, Tensor) and x.is_floating_point()


def _written(func: torch._ops.OpOverload, args: tuple) -> list[object]:
    """Return the arguments that an operator writes to."""
    slots = zip(func._schema.arguments, args, strict=False)
    return tree_leaves([x for slot, x in slots if slot.alias_info and slot.alias_info.is_write])


def _memory(x: Tensor) -> StorageWeakRef:
    return StorageWeakRef(x.untyped_storage())


class Audit:
    """The products of a model that were executed.

    Attributes
    ----------
    products : list of Product
        All of them, in the order of their execution.
    """

    def __init__(self) -> None:
        self.products: list[Product] = []

    @property
    def uncast(self) -> list[Product]:
        """Those with an operand that was not cast."""
        return [product for product in self.products if not product.is_cast]

    def check(self, allow: Collection[str] = ()) -> None:
        """Refuse products that were not cast, but for those of layers that are named.

        Parameters
        ----------
        allow : collection of str
            Names of layers, with all that is in them.

        Raises
        ------
        CoverageError
            If there are such products, or none at all.
        """
        if not self.products:
            raise CoverageError("the audit saw no product: run the model inside of it")
        wrong = [p for p in self.uncast if not any(_inside(p.where, name) for name in allow)]
        if wrong:
            places = dict.fromkeys(f"{p.where} ({p.operator}, {p.direction})" for p in wrong)
            raise CoverageError(
                f"{len(wrong)} of {len(self.products)} products are not cast: {', '.join(places)}"
            )


def _inside(where: str, name: str) -> bool:
    return where == name or where.startswith(f"{name}.")


@contextmanager
def audit(model: nn.Module, *, allow: Collection[str] | None = None) -> Iterator[Audit]:
    """List every product of a model that is executed inside, and refuse what is not cast.

    Parameters
    ----------
    model : torch.nn.Module
        A converted model.
    allow : collection of str, optional
        Names of layers whose products need not be cast; by default the last fully connected one,
        if it was not converted.

    Yields
    ------
    Audit
        What has been executed so far.

    Raises
    ------
    CoverageError
        At the end, if a product was not cast, or if there was none.
    """
    found = Audit()
    if allow is None:
        last = last_linear(model)
        allow = () if last is None else (last or type(model).__name__,)
    with Watch(model, lambda product, _: found.products.append(product)).watching():
        yield found
    found.check(allow)
