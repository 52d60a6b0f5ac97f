"""What a random model is before it is Keras or PyTorch: it can be printed, pasted into a test, and built again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from torch import nn

Shape = tuple[int, ...]
Options = Mapping[str, Any]
Draw = Callable[..., Any]


@dataclass(frozen=True)
class Step:
    """One layer call.

    Attributes:
        piece: name of the piece.
        options: of the layer.
        sources: places of the values that it takes: the model's inputs first, then the results of the steps.
        shared: the step whose layer is called once more; None: a layer of its own.
    """

    piece: str
    options: Options
    sources: tuple[int, ...]
    shared: int | None = None


@dataclass(frozen=True)
class Architecture:
    """A model.

    Attributes:
        inputs: (sample shape in Keras layout, dtype) of each.
        steps: in execution order.
        outputs: places of the values that it gives.
    """

    inputs: tuple[tuple[Shape, str], ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A kind of layer, on both sides.

    Attributes:
        name: unique.
        ranks: of the samples that it takes: 1 for (F,), 2 for (T, C), 3 for (H, W, C).
        options: (draw, the sources' sample shapes) → options, or None where it does not fit.
        layer: options → the Keras layer, given ``name=``.
        twin: (options, the sources' sample shapes in Keras layout) → a module that does the same to channels-first
            tensors, as one writes it in PyTorch.
        sources: how many values it takes.
        dtype: of what it takes.
    """

    name: str
    ranks: tuple[int, ...]
    options: Callable[[Draw, list[Shape]], Options | None]
    layer: Callable[..., keras.layers.Layer]
    twin: Callable[[Options, list[Shape]], nn.Module]
    sources: int = 1
    dtype: str = "float32"

    def result(self, options: Options, shapes: list[Shape]) -> Shape:
        """The sample shape that comes out, by Keras' own account."""
        given = [(None, *shape) for shape in shapes]
        shape = self.layer(**options, name="asked").compute_output_shape(given if self.sources > 1 else given[0])
        return tuple(shape[1:])
