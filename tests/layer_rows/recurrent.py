"""Layers over time steps: recurrent ones around Keras' cells and a user's, wrappers, masks, states.

Most have a width of their own: all read the same input, and equal ones could be told apart by their outputs alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from .case import VECTOR, Case, case

STEPS, FRAMES, CLIP, SHORT = (3, 6), (4, 9, 3), (3, 7, 8, 3), (3, 5, 4, 6, 2)


@keras.saving.register_keras_serializable("layer_rows")
class MinimalCell(layers.Layer):
    """A user's cell: a Dense of its own, a normalisation, and two states of which the output is neither."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = [units, units]
        self.output_size = units
        self.project = layers.Dense(units, name="project")
        self.norm = layers.LayerNormalization(name="norm")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.recurrent = self.add_weight(shape=(self.units, self.units), name="recurrent")
        self.project.build(shape)
        self.norm.build((None, self.units))

    def call(self, x: Any, states: Any) -> tuple[Any, list[Any]]:
        seen, total = states
        new = keras.ops.tanh(self.project(x) + keras.ops.matmul(seen, self.recurrent))
        return self.norm(new) + total, [new, total + 0.5 * new]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def masked(layer: layers.Layer, given: Any) -> Any:
    """Under a mask with holes, also at both ends."""
    return layer(given, mask=given[:, :, 0] > 0)


def behind_masking(layer: layers.Layer, given: Any) -> Any:
    return layer(layers.Masking()(keras.ops.where(given[:, :, :1] > 0, given, 0.0)))


def stated(*sizes: int):
    """The call with an initial state of these sizes, computed from the input."""

    def call(layer: layers.Layer, given: Any) -> Any:
        states = [layers.Dense(size)(given[:, 0]) for size in sizes]
        return layer(given, initial_state=states if len(states) > 1 else states[0])

    return call


def _plain() -> Iterator[Case]:
    units = itertools.count(3)
    for kind in (layers.LSTM, layers.GRU, layers.SimpleRNN):
        name, states = kind.__name__.lower(), 2 if kind is layers.LSTM else 1
        yield case(name, STEPS, kind, next(units))
        yield case(f"{name}_sequences", STEPS, kind, next(units), return_sequences=True)
        yield case(f"{name}_backwards", STEPS, kind, next(units), go_backwards=True, return_sequences=True)
        yield case(f"{name}_state", STEPS, kind, next(units), return_sequences=True, return_state=True)
        yield case(f"{name}_no_bias", STEPS, kind, next(units), use_bias=False)
        width = next(units)
        yield case(f"{name}_initial", STEPS, kind, width, return_state=True, call=stated(*[width] * states))
        yield case(f"{name}_unrolled", STEPS, kind, next(units), unroll=True, return_sequences=True)
        yield case(f"{name}_dropout", STEPS, kind, next(units), dropout=0.3, recurrent_dropout=0.2)
        yield case(f"{name}_relu", STEPS, kind, next(units), activation="relu")
    for kind in (layers.LSTM, layers.GRU):
        name = kind.__name__.lower()
        yield case(
            f"{name}_hard_sigmoid", STEPS, kind, next(units), recurrent_activation="hard_sigmoid", activation="softsign"
        )
        yield case(f"{name}_gate_by_gate", STEPS, kind, next(units), implementation=1, return_sequences=True)
    yield case("gru_reset_before", STEPS, layers.GRU, next(units), reset_after=False, return_sequences=True)
    yield case("gru_reset_before_no_bias", STEPS, layers.GRU, next(units), reset_after=False, use_bias=False)
    yield case("gru_reset_before_gate_by_gate", STEPS, layers.GRU, next(units), reset_after=False, implementation=1)
    yield case("lstm_no_forget_bias", STEPS, layers.LSTM, next(units), unit_forget_bias=False)


def _masks() -> Iterator[Case]:
    units = itertools.count(60)
    for kind in (layers.LSTM, layers.GRU, layers.SimpleRNN):
        name = kind.__name__.lower()
        yield case(f"{name}_masked", STEPS, kind, next(units), call=masked)
        yield case(
            f"{name}_masked_state", STEPS, kind, next(units), return_sequences=True, return_state=True, call=masked
        )
        yield case(f"{name}_masking", STEPS, kind, next(units), return_sequences=True, call=behind_masking)
    options = {"return_sequences": True, "go_backwards": True}
    yield case("lstm_masked_backwards", STEPS, layers.LSTM, next(units), call=masked, **options)
    yield case("gru_masked_unrolled", STEPS, layers.GRU, next(units), call=masked, unroll=True, **options)
    zeros = {"return_sequences": True, "zero_output_for_mask": True}
    for unroll in (False, True):
        lstm, gru = layers.LSTMCell(next(units)), layers.GRUCell(next(units))
        yield case(f"rnn_zeros_{unroll}", STEPS, layers.RNN, lstm, call=masked, unroll=unroll, **zeros)
        backwards = {**zeros, "go_backwards": True, "unroll": unroll}
        yield case(
            f"rnn_zeros_backwards_{unroll}", STEPS, layers.RNN, layers.GRUCell(next(units)), call=masked, **backwards
        )
        last = {"zero_output_for_mask": True, "unroll": unroll}
        yield case(f"rnn_zeros_last_{unroll}", STEPS, layers.RNN, gru, call=masked, **last)
    yield case("embedded_lstm", (7,), layers.LSTM, 5, call=_embedded, dtype="int32", return_sequences=True)
    yield case("embedded_bidirectional", (7,), layers.Bidirectional, layers.GRU(5), call=_embedded, dtype="int32")


def _embedded(layer: layers.Layer, given: Any) -> Any:
    return layer(layers.Embedding(9, 4, mask_zero=True, name=f"{layer.name}_table")(given))


def _cells() -> Iterator[Case]:
    for cell in (layers.LSTMCell(4), layers.GRUCell(4, reset_after=False), layers.SimpleRNNCell(4), MinimalCell(4)):
        name = type(cell).__name__.lower()
        yield case(f"rnn_{name}", STEPS, layers.RNN, cell, return_sequences=True, return_state=True)
    yield case("rnn_minimal_last", STEPS, layers.RNN, MinimalCell(4))
    yield case("rnn_minimal_masked", STEPS, layers.RNN, MinimalCell(4), call=masked, return_sequences=True)
    stacked = [layers.LSTMCell(4), layers.GRUCell(5), MinimalCell(3)]
    yield case("rnn_stacked", STEPS, layers.RNN, stacked, return_sequences=True)
    yield case("rnn_stacked_masked", STEPS, layers.RNN, layers.StackedRNNCells(stacked[:2]), call=masked)
    yield case("lstm_cell_once", VECTOR, layers.LSTMCell, 4, call=lambda layer, x: layer(x, [x[:, :4], x[:, 2:]]))
    yield case("gru_cell_once", VECTOR, layers.GRUCell, 4, call=lambda layer, x: layer(x, [x[:, :4]]))
    yield case("simple_cell_once", VECTOR, layers.SimpleRNNCell, 4, call=lambda layer, x: layer(x, [x[:, :4]]))


def _wrappers() -> Iterator[Case]:
    units = itertools.count(90)
    for mode in ("concat", "sum", "mul", "ave", None):
        wrapped = layers.LSTM(next(units), return_sequences=True)
        yield case(f"bidirectional_{mode}", STEPS, layers.Bidirectional, wrapped, merge_mode=mode)
        yield case(f"bidirectional_last_{mode}", STEPS, layers.Bidirectional, layers.GRU(next(units)), merge_mode=mode)
    states = layers.LSTM(4, return_state=True)
    yield case("bidirectional_state", STEPS, layers.Bidirectional, states)
    yield case("bidirectional_initial", STEPS, layers.Bidirectional, states, call=_bidirectional_states)
    sequences = layers.GRU(next(units), return_sequences=True)
    yield case("bidirectional_masked", STEPS, layers.Bidirectional, sequences, call=masked)
    other = layers.GRU(3, go_backwards=True, return_sequences=True)
    yield case("bidirectional_two_kinds", STEPS, layers.Bidirectional, sequences, backward_layer=other)
    yield case("distributed_dense", STEPS, layers.TimeDistributed, layers.Dense(next(units), activation="relu"))
    yield case("distributed_masked", STEPS, layers.TimeDistributed, layers.Dense(next(units)), call=masked)
    yield case("distributed_conv", CLIP, layers.TimeDistributed, layers.Conv2D(5, (3, 2), padding="same"))
    yield case("distributed_norm", CLIP, layers.TimeDistributed, layers.BatchNormalization())
    yield case("distributed_flatten", CLIP, layers.TimeDistributed, layers.Flatten(), call=_behind)
    yield case("distributed_lstm", FRAMES, layers.TimeDistributed, layers.LSTM(5))
    yield case("distributed_model", CLIP, layers.TimeDistributed, _frame_model())


def _behind(layer: layers.Layer, given: Any) -> Any:
    """A Dense takes the order of what is flattened."""
    return layers.Dense(4)(layer(given))


def _bidirectional_states(layer: layers.Layer, given: Any) -> Any:
    return layer(given, initial_state=[layers.Dense(4)(given[:, 0]) for _ in range(4)])


def _frame_model() -> keras.Model:
    frame = keras.Input((7, 8, 3))
    x = layers.MaxPooling2D()(layers.Conv2D(4, 3, activation="relu")(frame))
    return keras.Model(frame, layers.Dense(5)(layers.Flatten()(x)))


def _convolutional() -> Iterator[Case]:
    kinds = ((layers.ConvLSTM1D, FRAMES, 2), (layers.ConvLSTM2D, CLIP, (3, 2)), (layers.ConvLSTM3D, SHORT, 2))
    for kind, shape, kernel in kinds:
        name = kind.__name__.lower()
        yield case(name, shape, kind, 4, kernel)
        yield case(f"{name}_same", shape, kind, 4, kernel, padding="same", return_sequences=True)
    yield case("convlstm2d_strided", CLIP, layers.ConvLSTM2D, 4, 3, strides=2, padding="same", return_state=True)
    yield case("convlstm2d_dilated", CLIP, layers.ConvLSTM2D, 4, 2, dilation_rate=2, padding="same")
    yield case("convlstm2d_no_bias", CLIP, layers.ConvLSTM2D, 4, 2, use_bias=False, go_backwards=True)
    yield case("convlstm2d_masked", CLIP, layers.ConvLSTM2D, 4, 2, return_sequences=True, call=_masked_clip)
    yield case("bidirectional_convlstm", CLIP, layers.Bidirectional, layers.ConvLSTM2D(4, 2), merge_mode="sum")


def _masked_clip(layer: layers.Layer, given: Any) -> Any:
    return layer(given, mask=given[:, :, 0, 0, 0] > 0)


def recurrent() -> Iterator[Case]:
    for rows in (_plain, _masks, _cells, _wrappers, _convolutional):
        yield from rows()
