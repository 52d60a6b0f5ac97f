"""Scan: its body is normalised like the graph around it, and agrees with it on layouts at its border.

1. What the body reaches outside (weights, constants, values) it reaches in the normalised graph, too: a weight with
   the moves that the body makes on it.
2. A carried value stands in the layout that the body wishes for: before the first step, between steps, after the last.
3. A scanned value stands in the layout that the body wishes for, the time behind the batch; without a wish, as it
   stands outside, wherever the time is then.
4. Each output stands as the body gives it, the time behind the batch.
5. A result of the body is the output of a node of its own: ONNX Runtime asks for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import onnx_ir as ir

from .builder import Builder
from .held import Held, View, shape_of
from .layout import Layout
from .site import Site

TIME = 1

#: (graph, builder, values held already) → everything held after its nodes have been rewritten.
Down = Callable[[ir.Graph, Builder, Mapping[str, Held]], Mapping[str, Held]]


def body_of(node: ir.Node) -> ir.Graph:
    body: ir.Graph = node.attributes["body"].as_graph()
    return body


def carried_by(node: ir.Node) -> int:
    """How many of the inputs are carried from step to step; the others are scanned."""
    return len(node.inputs) - node.attributes["num_scan_inputs"].as_int()


def rewrite_scan(site: Site, down: Down) -> list[Held]:
    """The node, its body rewritten by ``down``."""
    body, carried, inner = body_of(site.node), carried_by(site.node), site.builder.inner()
    layouts = [_border(site, place, value) for place, value in enumerate(body.inputs)]
    outside, axes = [], []
    for place, layout in enumerate(layouts):
        scanned = layout if place < carried else _over_time(site, place, layout)
        outside.append(site.placed(place, scanned, "the body works in another layout"))
        axes += [scanned.perm[TIME]] if place >= carried else []
    entering = [_entering(inner, value, layout) for value, layout in zip(body.inputs, layouts, strict=True)]
    held = down(body, inner, {value.name or "": view for value, view in zip(body.inputs, entering, strict=True)})
    given = [inner.view(held[value.name or ""]) for value in body.outputs]
    wanted = [*layouts[:carried], *(view.layout for view in given[carried:])]
    results = list(_leaving(inner, body.outputs, given, wanted))
    nodes = alive(inner.nodes, {value.name or "" for value in results})
    site.builder.kept += inner.kept
    attributes = {
        **site.raw_attributes(),
        "body": ir.AttrGraph("body", ir.Graph([view.value for view in entering], results, nodes=nodes, name=body.name)),
        "scan_input_axes": ir.AttrInt64s("scan_input_axes", axes),
        "scan_output_axes": ir.AttrInt64s("scan_output_axes", [TIME] * (len(given) - carried)),
    }
    return site.emit(outside, [*layouts[:carried], *(with_time(layout) for layout in wanted[carried:])], attributes)


def with_time(layout: Layout) -> Layout:
    """The layout of the steps' values as one, (N, …) each: the time is axis 1, in Keras and physically."""
    perm = [place if place < TIME else place + 1 for place in layout.perm]
    return Layout((*perm[:TIME], TIME, *perm[TIME:]), (*layout.orders[:TIME], None, *layout.orders[TIME:]))


def border_wishes(node: ir.Node, wishes: Mapping[str, Layout]) -> Iterator[tuple[str, Layout]]:
    """(raw value outside, the layout in which the body would like it)."""
    for place, (value, outer) in enumerate(zip(body_of(node).inputs, node.inputs, strict=True)):
        wish = wishes.get(value.name or "")
        if wish is not None and outer is not None:
            wish = wish.without_orders()
            yield outer.name or "", wish if place < carried_by(node) else with_time(wish)


def _border(site: Site, place: int, value: ir.Value) -> Layout:
    """Cases 2 and 3: the layout of an input inside the body."""
    shape = shape_of(value)
    assert shape is not None, f"{value.name} has no shape"
    wish = site.wanted.get(value.name or "")
    if wish is not None:
        return wish.without_orders()
    held = site.held[place]
    if place < carried_by(site.node) or not isinstance(held, View) or held.layout.orders[TIME]:
        return Layout.plain(len(shape))
    return held.layout.without_axes([TIME])


def _over_time(site: Site, place: int, layout: Layout) -> Layout:
    """How a scanned input stands outside, given how its steps stand inside."""
    held = site.held[place]
    if isinstance(held, View) and not held.layout.orders[TIME] and held.layout.without_axes([TIME]) == layout:
        return held.layout
    return with_time(layout)


def _entering(inner: Builder, value: ir.Value, layout: Layout) -> View:
    shape = shape_of(value)
    assert shape is not None
    made = inner.input(value.name or "", value.dtype or ir.DataType.FLOAT, layout.physical_shape(shape))
    return View(made, layout, shape)


def _leaving(
    inner: Builder, outputs: Sequence[ir.Value], given: Sequence[View], layouts: Sequence[Layout]
) -> Iterator[ir.Value]:
    """Case 5, each result in its layout."""
    taken: set[str] = set()
    for raw, view, layout in zip(outputs, given, layouts, strict=True):
        value, _ = inner.placed(view, layout)
        if value.producer() not in inner.nodes or value.name in taken:
            shape = None if view.shape is None else layout.physical_shape(view.shape)
            (value,) = inner.node("Identity", [value], {}, [(view.dtype, shape)], name=f"{raw.name}/result")
        taken.add(value.name or "")
        yield value


def alive(nodes: Sequence[ir.Node], wanted: set[str]) -> list[ir.Node]:
    """Those on which a wanted value depends: shape arithmetic that nothing reads any more falls away."""
    found = []
    for node in reversed(nodes):
        if any(value.name in wanted for value in node.outputs):
            found.append(node)
            wanted |= {value.name or "" for value in values_read(node)}
    return found[::-1]


def values_read(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, also within its body; what is the body's own is among it."""
    yield from (value for value in node.inputs if value is not None)
    if node.op_type == "Scan":
        for inner in body_of(node):
            yield from values_read(inner)
