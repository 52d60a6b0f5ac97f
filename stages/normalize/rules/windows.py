"""Pad, Resize, Tile, Expand: figures for each axis, put into the layout's order of axes.

1. The figures are known: they are rearranged, the output stands as the input does.
2. An axis that changes its length is put in order first.
3. Expand to a shape that is computed from the batch: 1 for each axis that stays, which ONNX reads as "as it is".
4. Figures that are only known at run time: back to Keras' layout.
5. Resize that interpolates: as the exporter has written it, on (N, C, …), which is all that PyTorch knows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..held import Held, shape_of
from ..layout import FreeShape, Layout
from ..site import Rule, Site

# operator → its inputs that hold one figure (or a begin and an end) for each axis
_FIGURES = {"Pad": (1,), "Resize": (1, 2, 3), "Tile": (1,), "Expand": (1,)}


def rewrite(site: Site) -> list[Held]:
    source, target = site.shape(0), site.output_shape()
    figures = [
        index for index in _FIGURES[site.node.op_type] if index < len(site.held) and site.held[index] is not None
    ]
    if source is None or target is None or len(source) != len(target):
        return site.as_in_keras("the rank changes or is not known")
    if site.node.op_type == "Expand":
        return _expand(site, source, target)
    if _interpolates(site.node):
        return site.as_in_keras("interpolation has the channels on axis 1")
    if any(site.constant(index) is None for index in figures):
        return site.as_in_keras("its figures are only known at run time")
    layout = _in_order_where_changed(site.view(0).layout, source, target)
    inputs: list[ir.Value | None] = [site.placed(0, layout, "an axis that changes its length is in another order")]
    for index in range(1, len(site.held)):
        array = site.constant(index)
        if index in figures and array is not None and array.size:
            array = np.asarray(_arranged(layout, array.tolist()), dtype=array.dtype)
            inputs.append(site.builder.constant(array, f"{site.name}/figures"))
        else:
            inputs.append(None if site.held[index] is None else site.plain(index, "a figure"))
    return site.emit(inputs, [layout])


def _expand(site: Site, source: FreeShape, target: FreeShape) -> list[Held]:
    grown = [1 if have == want else want for have, want in zip(source, target, strict=True)]
    if any(dim is None for dim in grown):
        return site.as_in_keras("its figures are only known at run time")
    layout = site.view(0).layout
    shape = np.asarray(layout.arrange(grown), dtype=np.int64)
    return site.emit([site.view(0).value, site.builder.constant(shape, f"{site.name}/shape")], [layout])


def _in_order_where_changed(layout: Layout, source: FreeShape, target: FreeShape) -> Layout:
    for axis, (have, want) in enumerate(zip(source, target, strict=True)):
        if have != want:
            layout = layout.with_order(axis, None)
    return layout


def _arranged(layout: Layout, figures: Sequence[float]) -> list[float]:
    """One run over the axes, or two (begins, then ends), each in physical order."""
    rank = len(layout.perm)
    runs = [figures[start : start + rank] for start in range(0, len(figures), rank)]
    return [run[layout.physical_axis(position)] for run in runs for position in range(rank)]


def _interpolates(node: ir.Node) -> bool:
    mode = node.attributes.get("mode")
    return node.op_type == "Resize" and mode is not None and mode.as_string() != "nearest"


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    value = node.inputs[0]
    shape = None if value is None else shape_of(value)
    same_rank = shape is not None and len(shape) == len(layout.perm)
    if index or not same_rank:
        return None
    return Layout.plain(len(layout.perm)) if _interpolates(node) else layout.without_orders()


WINDOWS = Rule("windows", ("Pad", "Resize", "Tile"), rewrite, wishes)
