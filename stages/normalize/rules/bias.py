"""Add of a weight to a product with a weight: the product's bias, as a layer that writes both itself has it.

1. (…, in) → (…, out), plus (out): the bias of that Gemm or Linear.
2. The same with a Reshape between that splits the last axis, plus (heads, size): reshaped to (out).
3. (N, C, …) of a Conv, plus (C): its bias, wherever the channels stand in Keras.
4. The sum of two products, plus (out): the bias of the first that has room for one, which is where a recurrent cell's
   belongs that Keras adds last.
5. What lies between is used elsewhere, too, or is a layer's output: an Add, as any other (broadcast.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import onnx_ir as ir

from ...onnx_functions import DOMAIN
from ...plan import Reshape
from ..held import Held, View, Weight
from ..layout import FreeShape, Layout
from ..products import has_room_for_bias, open_addends, stands_alone
from ..site import Rule, Site
from .broadcast import BROADCAST


def rewrite(site: Site) -> list[Held]:
    for value, weight in ((0, 1), (1, 0)):
        view, bias = site.held[value], site.held[weight]
        if not isinstance(view, View) or not isinstance(bias, Weight):
            continue
        if stands_alone(site, value) and _absorbed(site, view, bias):
            return [view]
        if any(_absorbed(site, addend, bias) for addend in _addends(view, open_addends(site, value))):
            return [view]
    return list(BROADCAST.rewrite(site))


def _addends(view: View, places: Sequence[int]) -> Iterator[View]:
    """Case 4: the addends at ``places`` of the sum that ``view`` is, those of the sum's own shape."""
    node = view.value.producer()
    if node is None or node.op_type != "Add":
        return
    for place in places:
        value = node.inputs[place]
        if value is not None and value.shape == view.value.shape:
            yield View(value, view.layout, view.shape)


def _absorbed(site: Site, view: View, bias: Weight) -> bool:
    """Whether the product that gives ``view`` has taken ``bias``."""
    product = _product(view)
    if product is None or view.shape is None:
        return False
    axes, order = _feature_axes(product, view)
    if axes is None or not _runs_along(bias.shape, view.shape, axes):
        return False
    recipe = bias.recipe
    if len(recipe.shape) != 1:
        recipe = recipe.then(Reshape(recipe.shape, (math.prod(recipe.shape),)))
    value, _ = site.builder.placed(Weight(recipe), Layout.plain(1).with_order(0, order))
    product.resize_inputs(3)
    product.replace_input_with(2, value)
    if product.domain == DOMAIN:
        product.op_type = "Linear"
    site.applied(f"is the bias of {product.name}")
    return True


def _product(view: View) -> ir.Node | None:
    """The node without a bias that gives ``view``, a Reshape of its last axis aside."""
    node = view.value.producer()
    if node is not None and node.op_type == "Reshape":
        source = node.inputs[0]
        node = None if source is None or not view.layout.is_plain else source.producer()
    return node if node is not None and has_room_for_bias(node) else None


def _feature_axes(product: ir.Node, view: View) -> tuple[list[int] | None, tuple[int, ...] | None]:
    """The axes of ``view`` that hold the product's features, and the order that they stand in."""
    assert view.shape is not None
    if product.op_type == "Conv":
        axis = view.layout.physical_axis(1)
        return ([axis], view.layout.orders[axis]) if view.value is product.outputs[0] else (None, None)
    last = len(view.shape) - 1
    if view.value is product.outputs[0]:
        axis = view.layout.physical_axis(last)
        return [axis], view.layout.orders[axis]
    shape = product.outputs[0].shape
    lead = 0 if shape is None else len(shape) - 1
    kept = shape is not None and [dim if isinstance(dim, int) else None for dim in shape[:lead]] == list(
        view.shape[:lead]
    )
    return (list(range(lead, last + 1)), None) if kept else (None, None)


def _runs_along(bias: FreeShape, whole: FreeShape, axes: list[int]) -> bool:
    """Whether ``bias``, broadcast to ``whole``, has its elements along ``axes``, all of them, and nowhere else."""
    full = (1,) * (len(whole) - len(bias)) + bias
    return len(full) == len(whole) and all(dim == (whole[axis] if axis in axes else 1) for axis, dim in enumerate(full))


BIAS = Rule("bias", ("Add",), rewrite, BROADCAST.wishes, leads=True)
