"""From the raw graph to the normalised one: two passes, and once more where that helps.

*Up*: from the last node to the first, wishes are passed on: a Conv behind a layout Transpose would like the model's
input channel-first. *Down*: from the first node to the last, each node is rewritten by its rule, given how its inputs
stand now. A rule is right for whatever it is given; wishes only decide where a layout begins.

Both passes meet each node once, so the work is linear in the size of the graph, and it ends. What the pass down has
learned (in which layout an Add really worked) makes better wishes; so it is repeated, at most ``ROUNDS`` times, as
long as Transposes are left and the wishes change. The round that leaves fewest is the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import onnx_ir as ir

from ..base import Graph, Rewrite
from ..errors import UnsupportedError
from .batch_shapes import with_entries
from .builder import Builder
from .fold import folded
from .held import Constant, Held, View, Weight, shape_of
from .layout import Layout
from .rules import KERAS_LAYOUT, RULES
from .scan import body_of, border_wishes, rewrite_scan
from .shapes import infer_missing
from .site import Rule, Site, operator_of

ROUNDS = 3

_RULE_OF: Mapping[str, Rule] = {operator: rule for rule in RULES for operator in rule.operators}


@dataclass(frozen=True)
class Pass:
    """What one pass down gave: the graph's parts, and what is held for each raw value."""

    builder: Builder
    inputs: Mapping[str, View]
    held: Mapping[str, Held]
    rewrites: tuple[Rewrite, ...]


def rewritten(raw: Graph, model: ir.Model) -> Pass:
    """The best of the rounds. ``model`` is a copy of the raw model; it gets the shapes that are found on the way."""
    wishes = wishes_up(model.graph, {})
    best = pass_down(raw, model.graph, wishes)
    last = best
    for _ in range(ROUNDS - 1):
        again = wishes_up(model.graph, last.held)
        if not best.builder.kept or again == wishes:
            break
        wishes = again
        last = pass_down(raw, model.graph, wishes)
        if last.builder.kept < best.builder.kept:
            best = last
    return best


def rule_of(node: ir.Node) -> Rule:
    return _RULE_OF.get(operator_of(node), KERAS_LAYOUT)


def wishes_up(graph: ir.Graph, held: Mapping[str, Held]) -> dict[str, Layout]:
    """Raw value name → the layout that the nodes below it would like; of several, that of the first to run."""
    wishes: dict[str, Layout] = {}
    for node in reversed(graph):
        if node.op_type == "Scan":
            wishes.update(wishes_up(body_of(node), held))
            wishes.update((name, wish) for name, wish in border_wishes(node, wishes) if not wish.is_plain)
            continue
        _wish_plainly(node, wishes)
        layout = _wish_for(node, wishes, held)
        if layout is None:
            continue
        for index, value in enumerate(node.inputs):
            wish = None if value is None else rule_of(node).wishes(node, index, layout)
            if wish is not None and value is not None and not (wish.is_plain and layout.is_reordered):
                wishes[value.name or ""] = wish
    return wishes


def _wish_plainly(node: ir.Node, wishes: dict[str, Layout]) -> None:
    """What runs over the last axes has a wish of its own, whatever follows it."""
    for index in rule_of(node).over_last:
        value = node.inputs[index] if index < len(node.inputs) else None
        shape = None if value is None else shape_of(value)
        if value is not None and shape is not None and len(shape) > 2:
            wishes[value.name or ""] = Layout.plain(len(shape))


def _wish_for(node: ir.Node, wishes: Mapping[str, Layout], held: Mapping[str, Held]) -> Layout | None:
    output = node.outputs[0]
    shape, found = shape_of(output), held.get(output.name or "")
    if output.name not in wishes and rule_of(node).leads and isinstance(found, View) and not found.layout.is_plain:
        return found.layout
    if node.op_type == "Transpose" and shape is not None:
        return wishes.get(output.name or "", Layout.plain(len(shape)))
    return wishes.get(output.name or "")


def pass_down(raw: Graph, graph: ir.Graph, wishes: Mapping[str, Layout]) -> Pass:
    """Rewrite every node once."""
    builder = Builder(port.value for port in (*raw.outputs, *raw.boundaries))
    rewrites = list[Rewrite]()
    held: dict[str, Held] = {name: Weight(recipe) for name, recipe in raw.weights.items()}
    inputs = {port.value: _input(builder, graph, port.value, wishes) for port in raw.inputs}
    held.update(inputs)
    for name, initializer in graph.initializers.items():
        assert initializer.const_value is not None, f"initializer {name} has no value"
        held[name] = Constant(initializer.const_value.numpy())
    _nodes_down(graph, builder, held, wishes, rewrites)
    return Pass(builder, inputs, held, tuple(rewrites))


def _nodes_down(
    graph: ir.Graph, builder: Builder, held: dict[str, Held], wishes: Mapping[str, Layout], rewrites: list[Rewrite]
) -> None:
    """Rewrite the nodes of the graph or of a body in it; ``held`` gets what is held for their outputs."""
    for node in graph:
        given = [None if value is None else held[value.name or ""] for value in node.inputs]
        infer_missing(node, given)
        if node.op_type == "Scan":
            site = Site("scan", node=node, held=given, builder=builder, wanted=wishes, rewrites=rewrites)
            results: Sequence[Held] = rewrite_scan(site, partial(_body_down, site, held))
        else:
            results = with_entries(node, given, _rewrite(node, given, builder, wishes, rewrites), builder)
        for output, result in zip(node.outputs, results, strict=True):
            held[output.name or ""] = result
            if result.shape is not None:
                output.shape = ir.Shape(result.shape)


def _body_down(
    site: Site, held: dict[str, Held], body: ir.Graph, builder: Builder, entering: Mapping[str, Held]
) -> Mapping[str, Held]:
    """All values have names of their own, those of bodies, too: one table of what is held serves."""
    held.update(entering)
    _nodes_down(body, builder, held, site.wanted, site.rewrites)
    return held


def _input(builder: Builder, graph: ir.Graph, name: str, wishes: Mapping[str, Layout]) -> View:
    value = next(value for value in graph.inputs if value.name == name)
    shape = shape_of(value)
    assert shape is not None, f"input {name} has no shape"
    # Only whole axes: an input whose features stand in another order would be a riddle to whoever calls the graph.
    layout = wishes.get(name, Layout.plain(len(shape))).without_orders()
    made = builder.input(name, value.dtype or ir.DataType.FLOAT, layout.physical_shape(shape))
    return View(made, layout, shape)


def _rewrite(
    node: ir.Node, given: list[Held | None], builder: Builder, wishes: Mapping[str, Layout], rewrites: list[Rewrite]
) -> list[Held]:
    if any(
        attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attribute in node.attributes.values()
    ):
        raise UnsupportedError(
            f"the graph holds a {node.op_type}, a control flow of its own, which has no layer in PyTorch",
            where=node.name or node.op_type,
            fix="replace the loop or the condition in the Keras model by layers",
        )
    known = folded(node, given)
    if known is not None:
        return known
    rule = rule_of(node)
    return list(rule.rewrite(Site(rule.name, node=node, held=given, builder=builder, wanted=wishes, rewrites=rewrites)))
