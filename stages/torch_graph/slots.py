"""Which parameter an argument of a call is, and by which moves it is made from the tensor under its key."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import fx
from torch._ops import OpOverload

from ..plan import Move, Reshape, Transpose
from .nodes import arguments_of, operator_name, shape_of
from .op import TURNS, Section, Slot

#: Operations that pass a tensor on as it is.
_SAME = {"detach", "clone", "contiguous", "alias", "lift_fresh_copy"}
#: Operations that do so where shape and dtype stay.
_MAY_BE_SAME = {"expand", "to", "_to_copy", "type_as", "slice", "float"}
_RESHAPES = {"view", "reshape", "unsqueeze", "squeeze", "flatten", "_unsafe_view", "unflatten"}
_SPLITS = {"split", "split_with_sizes", "chunk", "unbind", "tensor_split"}


@dataclass
class _Way:
    """What is done to a tensor on the way from its key, last step first."""

    moves: list[Move] = field(default_factory=list)
    section: Section | None = None


def slot_of(node: fx.Node, keys: Mapping[str, str]) -> Slot | None:
    """The Slot of a node that is made by moves from one parameter, or a section of one; None where it is computed."""
    way, shape = _Way(), shape_of(node)
    while node.name not in keys:
        if way.section is not None:
            return None  # a section is one of the tensor under the key itself
        parent = _step(node, way)
        if parent is None:
            return None
        node = parent
    whole = math.prod(shape_of(node)) if way.section else 0
    return Slot(keys[node.name], shape, tuple(way.moves), way.section, whole)


def _step(node: fx.Node, way: _Way) -> fx.Node | None:
    """The node that this one is made of by moves, which are put in front of ``way``; None where it computes."""
    if len(node.all_input_nodes) != 1:
        return None
    (parent,) = node.all_input_nodes
    if node.target is operator.getitem:
        if operator_name(parent) not in _SPLITS or len(parent.all_input_nodes) != 1:
            return None
        return _section_of_split(node, parent, way)
    moves = _moves(node, parent)
    if moves is not None:
        way.moves[:0] = moves
        return parent
    return parent if _is_section(node, parent, way) else None


def _moves(node: fx.Node, parent: fx.Node) -> tuple[Move, ...] | None:
    """The moves that a node makes on its input; None where it does something else."""
    name, source = operator_name(node), shape_of(parent)
    same = source == shape_of(node) and parent.meta["val"].dtype == node.meta["val"].dtype
    if name in _SAME or (name in _MAY_BE_SAME and same):
        return ()
    if name in _RESHAPES:
        return (Reshape(source, shape_of(node)),)
    if name in TURNS:
        sizes = tuple(range(2, len(source) + 2))  # each axis is told by its size
        turned = cast("OpOverload", node.target)(torch.empty(sizes, device="meta"), *node.args[1:], **node.kwargs)
        return (Transpose(tuple(sizes.index(size) for size in turned.shape)),)
    return None


def _is_section(node: fx.Node, parent: fx.Node, way: _Way) -> bool:
    """Whether a node takes consecutive positions of one axis, which is then noted."""
    arguments, source = arguments_of(node), shape_of(parent)
    name = operator_name(node)
    if name == "slice" and arguments["step"] == 1:
        start, stop, _ = slice(arguments["start"], arguments["end"]).indices(source[arguments["dim"]])
    elif name == "narrow" and isinstance(arguments["start"], int):
        start, stop = arguments["start"], arguments["start"] + arguments["length"]
    elif name == "select":
        start = arguments["index"] % source[arguments["dim"]]
        stop = start + 1
    else:
        return False
    axis = arguments["dim"] % len(source)
    _note(way, node, (axis, start, stop), source)
    return True


def _section_of_split(node: fx.Node, split: fx.Node, way: _Way) -> fx.Node:
    (parent,) = split.all_input_nodes
    arguments, index = arguments_of(split), cast("int", node.args[1])
    axis = int(arguments.get("dim", 0)) % len(shape_of(parent))
    sizes = [1 if operator_name(split) == "unbind" else int(value.shape[axis]) for value in split.meta["val"]]
    start = sum(sizes[:index])
    _note(way, node, (axis, start, start + sizes[index]), shape_of(parent))
    return parent


def _note(way: _Way, node: fx.Node, section: Section, source: tuple[int, ...]) -> None:
    axis, start, stop = section
    taken = (*source[:axis], stop - start, *source[axis + 1 :])
    if taken != shape_of(node):
        way.moves[:0] = [Reshape(taken, shape_of(node))]
    way.section = section
