"""Operators on elements at the same place of several inputs, with broadcasting.

1. All inputs stand as in Keras: so does the output.
2. One stands in another layout: the others are brought into it. A weight goes there by its Recipe, a constant by
   moving its array; a value whose only longer axes keep their order by a Reshape.
3. Inputs of two different layouts: that which the nodes below wish for, else that of the first input, and the others
   are transposed.
4. PRelu stays on (N, C, …), as the exporter writes it: there its slopes are those of a PyTorch module.
5. An input that only repeats a smaller value, in a shape that another input has already: that value (fill.py).
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from ...plan import Reshape
from ..held import Constant, Held, View, Weight, shape_of
from ..layout import FreeShape, Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    shape = site.output_shape()
    if shape is None:
        return site.as_in_keras("the rank is not known")
    site.held = _not_repeated(site, shape)
    layout = common_layout(site, len(shape))
    if site.node.op_type == "PRelu":
        layout = replace(layout, perm=tuple(range(len(shape))))
    values = [_operand(site, index, layout) for index in range(len(site.held))]
    return site.emit(values, [layout])


def _not_repeated(site: Site, shape: FreeShape) -> tuple[Held | None, ...]:
    smaller = [site.builder.spread.get(held.value.name or "") if isinstance(held, View) else None for held in site.held]
    whole = any(
        isinstance(held, View) and held.shape == shape and source is None
        for held, source in zip(site.held, smaller, strict=True)
    )
    if not whole:
        return site.held
    return tuple(held if source is None else source for held, source in zip(site.held, smaller, strict=True))


def common_layout(site: Site, rank: int) -> Layout:
    """The axes that what follows wishes for, if an input of full rank stands so; else those of the first that stands
    otherwise than in Keras. With every order that is met.
    """
    layouts = [
        held.layout
        for held in site.held
        if isinstance(held, View) and held.shape is not None and len(held.shape) == rank
    ]
    turned = [layout for layout in layouts if layout.perm != tuple(range(rank))]
    perm = turned[0].perm if turned else tuple(range(rank))
    wish = site.wanted.get(site.node.outputs[0].name or "")
    stands = {layout.perm for layout in layouts}
    if any(isinstance(held, View) and 1 < len(held.shape or ()) < rank for held in site.held):
        stands.add(tuple(range(rank)))  # of lower rank: broadcast over leading axes, as it stands
    if wish is not None and wish.perm in stands:
        perm = wish.perm
    orders = [next((layout.orders[axis] for layout in layouts if layout.orders[axis]), None) for axis in range(rank)]
    return Layout(perm, tuple(orders))


def _operand(site: Site, index: int, layout: Layout) -> ir.Value | None:
    held = site.held[index]
    if held is None:
        return None
    assert held.shape is not None
    if layout.is_plain or not held.shape:
        return site.plain(index, "the other inputs stand as in Keras")
    full: FreeShape = (1,) * (len(layout.perm) - len(held.shape)) + held.shape
    if len(full) > len(held.shape):
        held = _at_full_rank(site, held, full)
    value, written = site.builder.placed(held, layout.fitted(full))
    if written:
        site.refuse(f"input {index} stands otherwise than the others: {written} before it")
    return value


def _at_full_rank(site: Site, held: Held, full: FreeShape) -> Held:
    """The same with leading axes of length 1, which broadcasting would give it anyway."""
    if isinstance(held, Weight):
        return Weight(held.recipe.then(Reshape(held.recipe.shape, tuple(dim or 1 for dim in full))))
    if isinstance(held, Constant):
        return Constant(held.array.reshape([dim or 1 for dim in full]))
    assert held.shape is not None
    value, written = site.builder.placed(held, Layout.plain(len(held.shape)))
    if written:
        site.refuse(f"an input of lower rank is broadcast: {written} before it")
    value = site.builder.reshape(value, full, held.dtype, f"{site.name}/broadcast")
    return View(value, Layout.plain(len(full)), full)


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    value = node.inputs[index]
    shape = None if value is None else shape_of(value)
    return layout.fitted(shape) if shape is not None and len(shape) == len(layout.perm) else None


BROADCAST = Rule(
    "broadcast",
    (
        "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Clip", "Div", "Equal", "Greater",
        "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "Pow", "PRelu", "Sub", "Sum",
        "Where", "Xor",
    ),
    rewrite,
    wishes,
    leads=True,
)  # fmt: skip
