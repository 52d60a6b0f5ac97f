"""What a whole-layer handler is: it writes one call of one Keras layer as the ONNX nodes that mean it.

tf2onnx would take such a layer apart (BatchNormalization into arithmetic, a grouped convolution into nothing). So the
tracer puts one opaque operation in its place, and the handler writes the nodes afterwards. The layer's activation is
no part of it: Keras applies that itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import onnx_ir as ir

from ..writer import BATCH, Writer

Weights = Mapping[str, ir.Value]


@dataclass(frozen=True)
class Site:
    """One call of a layer, as the tracer met it.

    Attributes:
        layer: the layer.
        name: of the call: the layer's path, with "#1" for its second call.
        input_shape, output_shape: in Keras layout, without the activation; None where free.
        input_dtype, dtype: of input and output.
        weights: attribute of the layer → (shape, dtype) of the weight, in order of the opaque operation's inputs.
        batch: what the batch is called where it is free: not the model's, where all time steps are one batch.
    """

    layer: keras.Layer
    name: str
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]
    input_dtype: str
    dtype: str
    weights: Mapping[str, tuple[tuple[int, ...], str]]
    batch: str = BATCH

    @property
    def channels_last(self) -> bool:
        return getattr(self.layer, "data_format", "channels_last") == "channels_last"

    @property
    def spatial(self) -> tuple[int | None, ...]:
        """The sizes of the spatial axes of the input."""
        return self.input_shape[1:-1] if self.channels_last else self.input_shape[2:]


def accepts_all(_: Site) -> str:
    """For handlers without an option that they refuse."""
    return ""


@dataclass(frozen=True)
class WholeLayer:
    """A handler.

    Attributes:
        layers: the Keras classes that it writes.
        weights: the layer's attributes that hold its weights; one that is None is left out.
        write: (writer, site, input, weights by attribute) → output in Keras layout.
        refuse: why it cannot write this call, or "".
        applies: whether the layer is one for the handler at all; where it is not, TensorFlow's own operations stand.
        dtype: of the output, where it is neither that of the weights nor, without weights, that of the input.
        reads_mask: the layer computes something else when it gets a mask; TensorFlow's own operations stand then.
    """

    layers: tuple[type[keras.Layer], ...]
    write: Callable[[Writer, Site, ir.Value, Weights], ir.Value]
    weights: tuple[str, ...] = ()
    refuse: Callable[[Site], str] = accepts_all
    applies: Callable[[keras.Layer], bool] = lambda _: True
    dtype: Callable[[keras.Layer], str] | None = None
    reads_mask: bool = False
