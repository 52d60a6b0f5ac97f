"""Calls that write into their argument (``relu_``, ``x += y``), written as calls that give a new value.

Only where nothing else can see the write through a view; then a run of the graph can be looked back into.
"""

from __future__ import annotations

import torch
from torch import fx
from torch._ops import OpOverload

from .nodes import operator_name

#: Operations that may hand on their argument itself, though their schema does not say so.
_MAY_ALIAS = (
    *("dropout", "feature_dropout", "alpha_dropout", "detach"),
    *("contiguous", "reshape", "flatten", "to", "type_as"),
)


def make_functional(graph: fx.Graph, own: set[str]) -> bool:
    """Rewrite ``graph``; whether nothing in it writes into a value any more, but for ``own`` (buffers that count)."""
    pure = True
    index = {node: position for position, node in enumerate(graph.nodes)}
    for node, here in index.items():
        if not writes(node):
            continue
        target = node.args[0]
        if isinstance(target, fx.Node) and target.name in own:
            continue
        overload = _functional(node.target)
        if not isinstance(target, fx.Node) or overload is None or _has_views(target):
            pure = False
            continue
        node.target = overload
        later = {user for user in target.users if index[user] > here}
        target.replace_all_uses_with(node, delete_user_cb=later.__contains__)
    return pure


def writes(node: fx.Node) -> bool:
    """Whether a call changes one of its arguments."""
    if node.op != "call_function" or not isinstance(node.target, OpOverload):
        return False
    arguments = node.target._schema.arguments  # noqa: SLF001 - the only public face of a schema
    return any(argument.alias_info is not None and argument.alias_info.is_write for argument in arguments)


def _functional(target: OpOverload) -> OpOverload | None:
    """``aten.relu_.default`` → ``aten.relu.default``; None where there is none."""
    _, name, overload = str(target).split(".")
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None)
    if packet is None or not name.endswith("_") or overload not in packet.overloads():
        return None
    found: OpOverload = getattr(packet, overload)
    return found


def _has_views(node: fx.Node) -> bool:
    """Whether a write into the value could be seen through another: it is a view, or there are views of it."""
    return _is_view(node) or any(_is_view(user) for user in node.users)


def _is_view(node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    if not isinstance(node.target, OpOverload):
        return True  # getitem of a split
    arguments = node.target._schema.arguments  # noqa: SLF001
    aliases = any(each.alias_info is not None and not each.alias_info.is_write for each in arguments)
    return aliases or operator_name(node) in _MAY_ALIAS
