"""What is particular to Keras' layers over time steps while a model is traced.

1. TimeDistributed calls its layer once a step; traced, it calls it once on all steps, as one longer batch:
   (N, T, …) → (N·T, …) → (N·T, …) → (N, T, …). That is the same wherever the layer treats its samples alike, which
   stage 3 shows.
2. LSTMCell and GRUCell compute the same with ``implementation`` 1 (a product for each gate) and 2 (one for all):
   traced, it is 2. ConvLSTMCell has the first way only (keras/src/layers/rnn/conv_lstm.py); traced, it convolves for
   all gates at once, as one written in PyTorch does.
3. The states of a ``stateful`` layer are variables that Keras neither tracks nor saves. Every batch starts from them as
   they are: from the zeros of a new or loaded model, or after ``reset_state()``. Others are refused (refusals.py): what
   a sequence has left behind is no weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras.src.layers.rnn.conv_lstm import ConvLSTMCell

from ..keras_layers import layer_paths

FUSING = (keras.layers.LSTMCell, keras.layers.GRUCell)


def on_all_steps(layer: keras.layers.TimeDistributed, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tf.Tensor:
    """Case 1, for a call of ``layer``."""
    inputs, mask = args[0], kwargs.get("mask")
    inner: dict[str, Any] = {}
    if layer.layer._call_has_mask_arg and mask is not None:  # noqa: SLF001 - what TimeDistributed itself asks
        inner["mask"] = _as_batch(mask)
    if layer.layer._call_has_training_arg:  # noqa: SLF001
        inner["training"] = kwargs.get("training")
    result = layer.layer.call(_as_batch(inputs), **inner)
    return tf.reshape(result, [-1, inputs.shape[1] or tf.shape(inputs)[1], *_sizes(result, 1)])


def _as_batch(value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(value, [-1, *_sizes(value, 2)])


def _sizes(value: tf.Tensor, first: int) -> list[Any]:
    """The sizes from axis ``first`` on; those that are free as tensors."""
    free = tf.shape(value)
    return [free[axis] if size is None else size for axis, size in enumerate(value.shape)][first:]


def runs_all_steps(layer: keras.Layer, args: tuple[Any, ...]) -> bool:
    """Whether case 1 holds: a TimeDistributed whose call is Keras' own, on one tensor."""
    is_own = isinstance(layer, keras.layers.TimeDistributed) and type(layer).call is keras.layers.TimeDistributed.call
    return is_own and len(args) == 1 and isinstance(args[0], tf.Tensor)


@contextmanager
def fused_gates(model: keras.Model) -> Iterator[None]:
    """Case 2, for the time."""
    cells = layer_paths(model).values()
    split = [cell for cell in cells if type(cell) in FUSING and cell.implementation == 1]
    convolving = [cell for cell in cells if type(cell) is ConvLSTMCell and "call" not in vars(cell)]
    try:
        for cell in split:
            cell.implementation = 2
        for cell in convolving:
            cell.__dict__["call"] = partial(_convolved, cell)
        yield
    finally:
        for cell in split:
            cell.implementation = 1
        for cell in convolving:
            cell.__dict__.pop("call", None)


def _convolved(cell: ConvLSTMCell, inputs: Any, states: Any, training: bool = False) -> Any:
    """``ConvLSTMCell.call`` at inference, the convolutions of the four gates as one."""
    before, carry = states
    channels = -1 if cell.data_format == "channels_last" else 1
    options = {"strides": cell.strides, "padding": cell.padding, "dilation_rate": cell.dilation_rate}
    x = keras.ops.conv(inputs, cell.kernel, data_format=cell.data_format, **options)
    if cell.use_bias:
        shape = [1] * (cell.rank + 2)
        shape[channels] = -1
        x = x + keras.ops.reshape(cell.bias, shape)
    h = keras.ops.conv(before, cell.recurrent_kernel, padding="same", data_format=cell.data_format)
    entering, keeping, candidate, leaving = keras.ops.split(x + h, 4, axis=channels)
    kept = cell.recurrent_activation(keeping) * carry
    carry = kept + cell.recurrent_activation(entering) * cell.activation(candidate)
    output = cell.recurrent_activation(leaving) * cell.activation(carry)
    return output, [output, carry]


def states_of(layer: keras.Layer) -> list[keras.Variable]:
    """Case 3: what a stateful layer keeps from one batch to the next."""
    states = layer.states if isinstance(layer, keras.layers.RNN) and layer.stateful else None
    return list(keras.tree.flatten(states or []))


def zero_states(model: keras.Model) -> list[tuple[keras.Variable, tf.Tensor]]:
    """Each state of the model and the zeros that stand for it in a trace."""
    states = [state for layer in layer_paths(model).values() for state in states_of(layer)]
    return [(state, tf.zeros(state.shape, state.dtype)) for state in states]
