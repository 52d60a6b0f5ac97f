"""ATen nodes as ops: which calls of an exported graph carry parameters, and in which canonical form.

Argument names are those of the ATen schemas (torch's native_functions.yaml), so that one reading serves
every operator; only the few whose canonical form differs have a function of their own (``CANONICAL``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from torch import fx
from torch._ops import OpOverload

from ..plan import Move, Reshape, Shape, Transpose
from .op import CHANNELWISE, Op, Slot

Arguments: TypeAlias = dict[str, Any]

#: Operations that pass a tensor on as it is.
_SAME = {"detach", "clone", "contiguous", "alias", "lift_fresh_copy"}
_RESHAPES = {"view", "reshape", "unsqueeze", "squeeze", "flatten", "_unsafe_view", "unflatten"}
_COMMUTATIVE = {"add", "mul"}


@dataclass(frozen=True)
class Call:
    """One node: its operator's name, its arguments by name, and which of them hold parameters."""

    node: fx.Node
    name: str
    arguments: Arguments
    slots: dict[str, Slot]


def shape_of(node: fx.Node) -> Shape:
    """The static shape that export recorded."""
    return tuple(int(size) for size in node.meta["val"].shape)


def operator_name(node: fx.Node) -> str:
    """``aten.conv2d.padding`` → ``conv2d``; in place or not is one: ``aten.relu_.default`` → ``relu``."""
    target = node.target
    return str(target).split(".")[1].rstrip("_") if isinstance(target, OpOverload) else str(target)


def arguments_of(node: fx.Node) -> Arguments:
    """The arguments under their schema names, defaults filled in."""
    if not isinstance(node.target, OpOverload):
        return {**{str(i): value for i, value in enumerate(node.args)}, **node.kwargs}
    found: Arguments = {}
    for position, argument in enumerate(node.target._schema.arguments):  # noqa: SLF001 - the only public face of a schema
        if position < len(node.args):
            found[argument.name] = node.args[position]
        else:
            found[argument.name] = node.kwargs.get(argument.name, argument.default_value)
    return found


def slot_of(node: fx.Node, keys: Mapping[str, str]) -> Slot | None:
    """The Slot of a node that is computed from one parameter alone; None where it comes from several."""
    moves: list[Move] = []
    derived: list[str] = []
    shape = shape_of(node)
    while node.name not in keys:
        parents = [parent for parent in node.all_input_nodes if _reaches_key(parent, keys)]
        if len(parents) != 1:
            return None
        parent = parents[0]
        step = None if derived else _move(node, parent)
        if step is None:
            derived.append(operator_name(node))
        else:
            moves[:0] = step
        node = parent
    if derived:
        held = shape_of(node)
        bare = tuple(size for size in held if size != 1) or (1,)
        squeezed = (Reshape(held, bare),) if bare != held else ()
        return Slot(keys[node.name], bare, squeezed, tuple(reversed(derived)))
    return Slot(keys[node.name], shape, tuple(moves))


def _reaches_key(node: fx.Node, keys: Mapping[str, str]) -> bool:
    return node.name in keys or any(_reaches_key(parent, keys) for parent in node.all_input_nodes)


def _move(node: fx.Node, parent: fx.Node) -> tuple[Move, ...] | None:
    """The moves that a node makes on its input; None where it computes something."""
    name, source = operator_name(node), shape_of(parent)
    rank = len(source)
    if name in _SAME:
        return ()
    if name in _RESHAPES:
        return (Reshape(source, shape_of(node)),)
    if name == "t":
        return (Transpose(tuple(reversed(range(rank)))),)
    if name == "permute":
        return (Transpose(tuple(axis % rank for axis in arguments_of(node)["dims"])),)
    if name in ("transpose", "swapaxes"):
        arguments: list[Any] = list(node.args)
        axes = [axis % rank for axis in arguments[1:3]]
        perm = list(range(rank))
        perm[axes[0]], perm[axes[1]] = perm[axes[1]], perm[axes[0]]
        return (Transpose(tuple(perm)),)
    return None


def settings_of(arguments: Arguments) -> dict[str, Any]:
    """The arguments that are plain values, lists as tuples."""
    return {
        name: tuple(value) if isinstance(value, (list, tuple)) else value
        for name, value in arguments.items()
        if isinstance(value, (bool, int, float, str)) or (isinstance(value, (list, tuple)) and _plain(value))
    }


def op_of(call: Call, place: str, reads: str, sources: frozenset[str]) -> Op:
    """The op of a call that has parameters and activations."""
    op = Op(call.node.name, call.name, place, call.slots, settings_of(call.arguments), None, reads, sources)
    make = CANONICAL.get(call.name)
    return make(op, call) if make else op


def _plain(values: list[Any] | tuple[Any, ...]) -> bool:
    return all(isinstance(value, (bool, int, float)) for value in values)


def _convolution(op: Op, call: Call) -> Op:
    kernel = call.slots["weight"].shape[2:]
    dilation = _each(call.arguments["dilation"], len(kernel))
    hyper: dict[str, Any] = {
        "stride": _each(call.arguments["stride"], len(kernel)),
        "dilation": dilation,
        "groups": int(call.arguments["groups"]),
    }
    padding = call.arguments["padding"]
    if isinstance(padding, str):
        # torch puts the odd one behind: _convolution_same in aten/src/ATen/native/Convolution.cpp
        total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        pads = tuple((whole // 2, whole - whole // 2) for whole in total)
    else:
        pads = tuple((pad, pad) for pad in _each(padding, len(kernel)))
    return convolution(replace(op, hyper={**hyper, "padding": pads}))


def convolution(op: Op) -> Op:
    """The canonical form of a convolution: ``linear`` where nothing of it looks at neighbours."""
    weight = op.slots["weight"]
    plain = set(weight.shape[2:]) == {1} and op.hyper["groups"] == 1
    if not plain or any(side for pads in op.hyper["padding"] for side in pads):
        return replace(op, feature_axis=1)
    flat = weight.shape[:2]
    slots = {**op.slots, "weight": Slot(weight.key, flat, (*weight.moves, Reshape(weight.shape, flat)))}
    return replace(op, kind="linear", slots=slots, hyper={"stride": op.hyper["stride"]}, feature_axis=1)


def _transposed(op: Op, call: Call) -> Op:
    rank = len(call.slots["weight"].shape) - 2
    names = ("stride", "padding", "output_padding", "dilation")
    hyper: dict[str, Any] = {name: _each(call.arguments[name], rank) for name in names}
    return replace(op, hyper={**hyper, "groups": int(call.arguments["groups"])}, feature_axis=1)


def _each(value: Any, count: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return values * count if len(values) == 1 else values


def _linear(op: Op, _call: Call) -> Op:
    return replace(op, hyper={}, feature_axis=-1)


def _matmul(op: Op, call: Call) -> Op:
    """``x @ w`` and ``addmm(bias, x, w)``, w (in, out), as ``linear``."""
    names = {"mat2": "weight", "other": "weight", "self": "bias"}
    slots = {names.get(name, name): slot for name, slot in call.slots.items()}
    weight = slots.get("weight")
    if weight is None or len(weight.shape) != 2 or weight.derived:
        return op
    turned = Slot(weight.key, weight.shape[::-1], (*weight.moves, Transpose((1, 0))))
    return replace(op, kind="linear", slots={**slots, "weight": turned}, hyper={}, feature_axis=-1)


def _channelwise(op: Op, call: Call) -> Op:
    hyper = {"eps": call.arguments["eps"]} if "eps" in call.arguments else {}
    return replace(op, hyper=hyper, feature_axis=1)


def _layer_norm(op: Op, call: Call) -> Op:
    features = tuple(call.arguments["normalized_shape"])
    hyper = {"eps": call.arguments["eps"], "features": features}
    return replace(op, hyper=hyper, feature_axis=-1 if len(features) == 1 else None)


def _group_norm(op: Op, call: Call) -> Op:
    channels = next(iter(call.slots.values())).shape
    hyper = {"eps": call.arguments["eps"], "groups": call.arguments["num_groups"], "features": channels}
    return replace(op, hyper=hyper)


def _embedding(op: Op, _call: Call) -> Op:
    return replace(op, hyper={})


def _index(op: Op, call: Call) -> Op:
    """``table[ids]`` as ``embedding``."""
    if list(call.slots) != ["self"] or len(call.arguments["indices"]) != 1:
        return op
    return replace(op, kind="embedding", slots={"weight": call.slots["self"]}, hyper={})


def _index_select(op: Op, call: Call) -> Op:
    """``table.index_select(0, ids)`` as ``embedding``."""
    if list(call.slots) != ["self"] or call.arguments["dim"] != 0:
        return op
    return replace(op, kind="embedding", slots={"weight": call.slots["self"]}, hyper={})


def _elementwise(op: Op, call: Call) -> Op:
    """``x + p``: one slot "operand" without leading axes of length 1; ``p - x`` is another kind than ``x - p``."""
    (side, slot), *others = call.slots.items()
    if others:
        return op
    swapped = "" if op.kind in _COMMUTATIVE or side == "other" else " swapped"
    shape = slot.shape
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    moves = slot.moves if slot.derived or shape == slot.shape else (*slot.moves, Reshape(slot.shape, shape))
    return replace(op, kind=op.kind + swapped, slots={"operand": Slot(slot.key, shape, moves, slot.derived)}, hyper={})


CANONICAL: Mapping[str, Callable[[Op, Call], Op]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
    **dict.fromkeys(("matmul", "mm", "addmm"), _matmul),
    **dict.fromkeys(CHANNELWISE, _channelwise),
    **dict.fromkeys(("add", "sub", "mul", "div", "maximum", "minimum", "pow"), _elementwise),
    "linear": _linear,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "embedding": _embedding,
    "index": _index,
    "index_select": _index_select,
}
