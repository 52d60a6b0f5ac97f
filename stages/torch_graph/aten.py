"""ATen nodes as ops: which calls of an exported graph carry parameters, and in which canonical form.

Argument names are those of the ATen schemas (torch's native_functions.yaml), so that one reading serves
every operator; only the few whose canonical form differs have a function of their own (``CANONICAL``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import fx

from ..plan import Reshape, Shape, Transpose
from .nodes import Arguments, settings_of, shape_of
from .op import CHANNELWISE, CONVOLUTIONS, ELEMENTWISE, TRANSPOSED, Op, Slot

_COMMUTATIVE = {"add", "mul"}
#: Kinds that are ops; whatever else takes a parameter is glue that a parameter enters.
KINDS = ("linear", "embedding", "layer_norm", "group_norm", *CHANNELWISE, *CONVOLUTIONS, *TRANSPOSED)


@dataclass(frozen=True)
class Call:
    """One node: its operator's name, its arguments by name, and which of them hold parameters."""

    node: fx.Node
    name: str
    arguments: Arguments
    slots: dict[str, Slot]


def op_of(call: Call, place: str, reads: str, sources: frozenset[str]) -> Op | None:
    """The op of a call that has parameters and activations; None where it is glue that takes a parameter."""
    make = CANONICAL.get(call.name)
    if make is None or any(slot.section and slot.section[0] for slot in call.slots.values()):
        return None
    op = make(Op(call.node.name, call.name, place, call.slots, settings_of(call.arguments), None, reads, sources), call)
    return op if op.kind in KINDS or set(op.slots) == {"operand"} else None


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
    if flat := _flat_axes(call, kernel, pads):
        return convolution(_without(replace(op, hyper={**hyper, "padding": pads}), flat))
    if _covers(call, kernel, pads) and hyper["groups"] == 1:
        weight = call.slots["weight"]
        flat = (weight.shape[0], math.prod(weight.shape[1:]))
        slots = {**op.slots, "weight": replace(weight, shape=flat, moves=(*weight.moves, Reshape(weight.shape, flat)))}
        return replace(op, kind="linear", slots=slots, hyper={"covers": kernel}, feature_axis=1)
    return convolution(replace(op, hyper={**hyper, "padding": pads}))


def _flat_axes(call: Call, kernel: Shape, pads: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """The spatial axes of length 1 that the kernel does not look along, where another is left."""
    sizes = shape_of(call.arguments["input"])[2:]
    flat = [a for a, size in enumerate(sizes) if size == kernel[a] == 1 and not any(pads[a])]
    return tuple(flat) if len(flat) < len(sizes) and math.prod(kernel) > 1 else ()


def _without(op: Op, flat: tuple[int, ...]) -> Op:
    """A convolution without these spatial axes: a ``Conv2d`` over (N, C, 1, L) is a ``Conv1d`` over (N, C, L)."""
    weight = op.slots["weight"]
    left = [axis for axis in range(len(weight.shape) - 2) if axis not in flat]
    shape = (*weight.shape[:2], *(weight.shape[2 + axis] for axis in left))
    slots = {**op.slots, "weight": replace(weight, shape=shape, moves=(*weight.moves, Reshape(weight.shape, shape)))}
    hyper = {name: tuple(op.hyper[name][axis] for axis in left) for name in ("stride", "dilation", "padding")}
    dropped = tuple(2 + axis for axis in flat)
    return replace(op, kind=f"conv{len(left)}d", slots=slots, hyper={**op.hyper, **hyper, "dropped": dropped})


def _covers(call: Call, kernel: Shape, pads: tuple[tuple[int, int], ...]) -> bool:
    """Whether a kernel with more than one position covers the whole input, so that it stands at one place only."""
    sizes = shape_of(call.arguments["input"])[2:]
    return sizes == kernel and math.prod(kernel) > 1 and not any(side for sides in pads for side in sides)


def convolution(op: Op) -> Op:
    """The canonical form of a convolution: ``linear`` where nothing of it looks at neighbours."""
    weight = op.slots["weight"]
    plain = set(weight.shape[2:]) == {1} and op.hyper["groups"] == 1
    if not plain or any(side for pads in op.hyper["padding"] for side in pads):
        return replace(op, feature_axis=1)
    flat = weight.shape[:2]
    slots = {**op.slots, "weight": replace(weight, shape=flat, moves=(*weight.moves, Reshape(weight.shape, flat)))}
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
    if weight is None or len(weight.shape) != 2:
        return op
    turned = replace(weight, shape=weight.shape[::-1], moves=(*weight.moves, Transpose((1, 0))))
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


def _instance_norm(op: Op, call: Call) -> Op:
    """Without statistics of its own: a group a channel."""
    if "running_mean" in call.slots:
        return _channelwise(op, call)
    channels = next(iter(call.slots.values())).shape
    hyper = {"eps": call.arguments["eps"], "groups": channels[0], "features": channels}
    return replace(op, kind="group_norm", hyper=hyper)


def _rms_norm(op: Op, call: Call) -> Op:
    features = tuple(call.arguments["normalized_shape"])
    hyper = {"eps": call.arguments["eps"], "rms": features}
    return replace(_elementwise(replace(op, kind="mul"), call), hyper=hyper)


def _elementwise(op: Op, call: Call) -> Op:
    """``x + p``: one slot "operand" without leading axes of length 1; ``p - x`` is another kind than ``x - p``."""
    (side, slot), *others = call.slots.items()
    if others or call.arguments.get("alpha", 1) != 1:
        return op
    swapped = "" if op.kind in _COMMUTATIVE or side in ("other", "weight") else " swapped"
    shape = slot.shape
    while shape and shape[0] == 1:
        shape = shape[1:]
    moves = slot.moves if shape == slot.shape else (*slot.moves, Reshape(slot.shape, shape))
    axis = None
    if sum(size != 1 for size in shape) == 1 and _is_read_whole(call, shape):  # (C, 1, 1): channels of (N, C, H, W)
        axis, shape, moves = -len(shape), shape[:1], (*moves, Reshape(shape, shape[:1]))
    slots = {"operand": replace(slot, shape=shape, moves=moves)}
    return replace(op, kind=op.kind + swapped, slots=slots, hyper={}, feature_axis=axis)


def _is_read_whole(call: Call, operand: Shape) -> bool:
    """Whether the other side is as long on the operand's axis, so that neither is repeated."""
    others = [shape_of(node) for node in call.node.all_input_nodes]
    return any(len(shape) > len(operand) and shape[-len(operand)] == operand[0] for shape in others)


CANONICAL: Mapping[str, Callable[[Op, Call], Op]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
    **dict.fromkeys(("matmul", "mm", "addmm"), _matmul),
    **dict.fromkeys(CHANNELWISE, _channelwise),
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    "instance_norm": _instance_norm,
    "rms_norm": _rms_norm,
    "linear": _linear,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "embedding": _embedding,
    "index": _index,
    "index_select": _index_select,
}
