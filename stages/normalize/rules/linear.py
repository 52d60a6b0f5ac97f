"""Gemm, MatMul and the local functions of Linear: they take the order of their features into their weight.

1. The features stand in another order: the weight's input axis is put into that order by its Recipe.
2. The nodes below wish for the output's features in an order (Dense → Reshape → ConvTranspose): the weight's output
   axis and the bias are put into it by their Recipes.
3. MatMul of a value with a weight of two axes is a Gemm (of two axes) or a Linear: both keep it as [out, in].
4. A product of two values whose common axis is in the same order in both: as they stand.
5. A product of two values that is transposed after it is that of the transposed factors, in the other order:
   the scores of Keras' attention are key · queryᵀ, and are transposed then.
6. The input stands in another layout: back to Keras' layout first, as the product runs over the last axis.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...onnx_functions import DOMAIN
from ...plan import Reorder, Transpose
from ..held import Constant, Held, View, Weight
from ..layout import Layout, Order, inverse_order
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    if site.node.op_type == "MatMul" and not _is_linear(site):
        return _of_two_values(site)
    if site.node.op_type == "Gemm" and (site.attribute("transA", 0) or len(site.shape(1) or ()) != 2):
        return site.as_in_keras("a product with its first factor transposed")
    return _linear(site)


def _of_two_values(site: Site) -> list[Held]:
    left, right = site.view(0), site.view(1)
    if left.shape and right.shape and len(left.shape) > 1 and len(right.shape) > 1:
        common = left.layout.orders[-1]
        across = Layout.plain(len(left.shape)).with_order(len(left.shape) - 1, common)
        down = Layout.plain(len(right.shape)).with_order(len(right.shape) - 2, common)
        if common and (left.layout, right.layout) == (across, down):
            return site.emit([left.value, right.value], [None])
        if len(left.shape) == len(right.shape) and _wishes_turned(site, len(left.shape)):
            turned = Layout((*range(len(left.shape) - 2), len(left.shape) - 1, len(left.shape) - 2))
            factors = [site.placed(index, turned, "a product of two values, turned") for index in (1, 0)]
            return site.emit(factors, [turned])
    return site.as_in_keras("a product of two values")


def _wishes_turned(site: Site, rank: int) -> bool:
    """Whether what follows transposes the product's last two axes, and nothing else."""
    wish = site.wanted.get(site.node.outputs[0].name or "")
    return wish is not None and wish.perm == (*range(rank - 2), rank - 1, rank - 2) and not wish.is_reordered


def _is_linear(site: Site) -> bool:
    return isinstance(site.held[1], Weight) and len(site.held[1].shape) == 2 and isinstance(site.held[0], View)


def _linear(site: Site) -> list[Held]:
    value, features = _input(site)
    out_axis = 0 if site.node.domain or site.attribute("transB", 0) else 1
    outgoing = _wished_order(site)
    weight, bias = site.held[1], site.held[2] if len(site.held) > 2 else None
    if isinstance(weight, View) or isinstance(bias, View):
        outgoing = None
    assert weight is not None
    weight = _reordered(site, _reordered(site, weight, 1 - out_axis, features), out_axis, outgoing)
    if bias is not None and bias.shape and bias.shape[-1] != 1:
        bias = _reordered(site, bias, len(bias.shape) - 1, outgoing)
    if features or outgoing:
        site.applied("the order of the features is taken into the weight")
    rank = len(site.output_shape() or ())
    layout = Layout.plain(rank).with_order(rank - 1, outgoing) if rank else None
    if isinstance(weight, Weight) and site.node.op_type == "MatMul":
        across = site.builder.view(Weight(weight.recipe.then(Transpose((1, 0))))).value
        if rank == 2:
            return site.emit([value, across], [layout], {"transB": 1}, "Gemm")
        return site.emit([value, across], [layout], {}, "LinearWithoutBias", DOMAIN)
    others = [None if held is None else site.builder.view(held).value for held in (weight, bias)]
    return site.emit([value, *others[: len(site.held) - 1]], [layout])


def _input(site: Site) -> tuple[ir.Value | None, Order]:
    """The first factor with its features last, and the order that they stand in."""
    held = site.held[0]
    if not isinstance(held, View) or held.shape is None or held.layout.is_plain:
        return site.plain(0, "the product runs over the last axis"), None
    last = len(held.shape) - 1
    order = held.layout.orders[last]
    return site.placed(0, Layout.plain(last + 1).with_order(last, order), "the product runs over the last axis"), order


def _wished_order(site: Site) -> Order:
    wish = site.wanted.get(site.node.outputs[0].name or "")
    return wish.orders[-1] if wish is not None and wish.perm == tuple(range(len(wish.perm))) else None


def _reordered(site: Site, held: Held, axis: int, order: Order) -> Held:
    """Axis ``axis`` put so that position ``order[i]`` is what was position ``i``."""
    back = inverse_order(order)
    if back is None and (not isinstance(held, View) or held.layout.is_plain):
        return held
    assert held.shape is not None
    if isinstance(held, Weight):
        return Weight(held.recipe.then(Reorder.along(axis, np.asarray(back, dtype=np.int64))))
    if isinstance(held, Constant):
        return Constant(held.array.take(np.asarray(back), axis))
    layout = Layout.plain(len(held.shape)).with_order(axis, order)
    value, written = site.builder.placed(held, layout)
    if written:
        site.refuse(f"the weight is computed in the graph: {written} before it")
    return View(value, Layout.plain(len(held.shape)), held.shape)


LINEAR = Rule(
    "linear", ("Gemm", "MatMul", "torchgraft.Linear", "torchgraft.LinearWithoutBias"), rewrite, over_last=(0, 1)
)
