"""Nodes of an ATen graph: their operators, arguments and shapes, by the names of the schemas."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch import fx
from torch._ops import OpOverload

from ..plan import Shape

Arguments: TypeAlias = dict[str, Any]


def shape_of(node: fx.Node) -> Shape:
    """The static shape that export recorded."""
    return tuple(int(size) for size in node.meta["val"].shape)


def operator_name(node: fx.Node) -> str:
    """``aten.conv2d.padding`` → ``conv2d``; in place or not is one: ``aten.relu_.default`` → ``relu``."""
    target = node.target
    if isinstance(target, OpOverload):
        return str(target).split(".")[1].rstrip("_")
    return getattr(target, "__name__", str(target))  # getitem, of a call that gives several values


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


def settings_of(arguments: Arguments) -> dict[str, Any]:
    """The arguments that are plain values, lists as tuples."""
    return {
        name: tuple(value) if isinstance(value, (list, tuple)) else value
        for name, value in arguments.items()
        if isinstance(value, (bool, int, float, str)) or (isinstance(value, (list, tuple)) and _plain(value))
    }


def _plain(values: list[Any] | tuple[Any, ...]) -> bool:
    return all(isinstance(value, (bool, int, float)) for value in values)


def module_paths(node: fx.Node) -> list[str]:
    """The modules whose call made the node, outermost first."""
    return [str(path).removeprefix("L['self'].") for path, _ in (node.meta.get("nn_module_stack") or {}).values()]


def module_path(node: fx.Node) -> str:
    """The innermost of them."""
    return (module_paths(node) or [""])[-1]


def place_of(node: fx.Node) -> str:
    """The node for people: "blocks.2 (relu)"."""
    path = module_path(node)
    return f"{path} ({operator_name(node)})" if path else operator_name(node)
