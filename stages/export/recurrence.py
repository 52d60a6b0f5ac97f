"""Keras' loop over time steps as one operation, whose step is traced by itself.

``keras.src.backend.rnn`` is where every recurrent layer ends, of Keras or of its user, around any cell. While a model
is traced it is replaced by ``Recurrences.rnn``, which keeps to keras/src/backend/tensorflow/rnn.py:

1. The step takes what is carried (the states, and the output before where that is needed) and one step of the
   inputs, and gives what is carried on, and its output. Weights are reached from the step, and stay the model's own.
2. Masked: the states stay as they are, and the output is the one before, zeros before the first step; or zeros
   (``zero_output_for_mask``).
3. ``unroll`` computes the same, but with ``zero_output_for_mask`` it hides the outputs afterwards, under the mask in
   the order of the inputs even where it goes backwards.
4. Where only the last output is asked for, no step's output is kept.

The fused kernels of a GPU (``backend.lstm`` …) say that they do not apply, as they do on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras.src import backend

from ..errors import UnsupportedError
from ..plan import Array
from .opaque import LOOP, eager_constants, opaques

Step = Callable[[Any, tuple[Any, ...]], tuple[Any, Any]]


@dataclass(frozen=True)
class Loop:
    """One loop over the steps of one layer's input.

    The opaque operation takes the carried values, the scanned ones (time is their axis 1), and what the step reaches;
    it gives the carried values after the last step, and the stacked outputs where they are kept.

    Attributes:
        name: of the layer call.
        batch: what its batch is called (see ``Site``).
        function: the step: carried, scanned, reached → carried, and its output where it is kept.
        carried, scanned: how many values of each kind.
        outputs: (shape, numpy dtype) of each result.
        backwards: from the last step to the first; the outputs stand in the order of execution.
        constants: arrays that the step reaches, by the name of the function's extra argument.
    """

    name: str
    batch: str
    function: Any
    carried: int
    scanned: int
    outputs: tuple[tuple[tuple[int | None, ...], str], ...]
    backwards: bool
    constants: Mapping[str, Array]


@dataclass(frozen=True)
class _Stepped:
    """One step; ``states`` are the initial ones, nested as the step takes them."""

    step: Step
    states: tuple[Any, ...]
    constants: tuple[Any, ...]

    def __call__(
        self, x: tf.Tensor, mask: tf.Tensor | None, before: tf.Tensor | None, states: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """(output, flat states after); where masked, the output is ``before``, or zeros where that is None."""
        packed = keras.tree.pack_sequence_as(self.states, states)
        output, after = self.step(x, (*packed, *self.constants))
        flat = keras.tree.flatten(after)
        if not isinstance(output, tf.Tensor):
            raise UnsupportedError("its cell gives several outputs", fix="let the cell give one tensor and its states")
        if mask is None:
            return output, flat
        kept = [tf.where(_wide(mask, new), new, old) for new, old in zip(flat, states, strict=True)]
        return tf.where(_wide(mask, output), output, tf.zeros_like(output) if before is None else before), kept


def _wide(mask: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """(N, 1) → (N, 1, …) of the rank of ``value``."""
    for _ in range(value.shape.rank - mask.shape.rank):
        mask = tf.expand_dims(mask, -1)
    return mask


class Recurrences:
    """Collects the loops of one model.

    Args:
        place: gives the name of the layer call that is running, and what its batch is called.
    """

    def __init__(self, place: Callable[[], tuple[str, str]]) -> None:
        self.loops: list[Loop] = []
        self._place = place

    @contextmanager
    def collected(self) -> Iterator[None]:
        """``backend.rnn`` is ours for the time."""
        ours = {"rnn": self.rnn, **dict.fromkeys(("lstm", "gru", "bidirectional_lstm", "bidirectional_gru"), _absent)}
        originals = {name: getattr(backend, name) for name in ours if hasattr(backend, name)}
        try:
            for name in originals:
                setattr(backend, name, ours[name])
            yield
        finally:
            for name, original in originals.items():
                setattr(backend, name, original)

    def rnn(  # noqa: PLR0917 - the arguments of the function that it stands for
        self,
        step_function: Step,
        inputs: tf.Tensor,
        initial_states: Any,
        go_backwards: bool = False,
        mask: Any = None,
        constants: Sequence[Any] | None = None,
        unroll: bool = False,
        input_length: Any = None,
        time_major: bool = False,
        zero_output_for_mask: bool = False,
        return_all_outputs: bool = True,
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        """See ``keras.src.backend.rnn``: (last output, outputs, states after the last step)."""
        if keras.tree.is_nested(inputs) or tf.is_tensor(input_length):
            raise UnsupportedError(
                "it loops over several inputs at once, or over lengths that are computed",
                fix="give it one tensor, and a mask for its lengths",
            )
        x = _swapped(inputs) if time_major else inputs
        mask = _column(mask, time_major)
        states = tuple(initial_states)
        stepped = _Stepped(step_function, states, tuple(constants or ()))
        zeros = zero_output_for_mask and not unroll
        last, outputs, after = self._looped(
            stepped, x, mask, zeros=zeros, backwards=go_backwards, every=return_all_outputs
        )
        if mask is not None and zero_output_for_mask and unroll:
            if return_all_outputs:
                outputs = tf.where(_wide(mask, outputs), outputs, tf.zeros_like(outputs))
            last_mask = mask[:, 0] if go_backwards else mask[:, -1]
            last = tf.where(_wide(last_mask, last), last, tf.zeros_like(last))
        outputs = _swapped(outputs) if time_major else outputs
        return last, outputs, list(keras.tree.pack_sequence_as(states, after))

    def _looped(
        self, stepped: _Stepped, x: tf.Tensor, mask: tf.Tensor | None, *, zeros: bool, backwards: bool, every: bool
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """(last output, all outputs or the last alone, flat states)."""
        states = [tf.convert_to_tensor(state) for state in keras.tree.flatten(stepped.states)]
        given, place = _output_of(stepped, x, states)
        place = None if mask is not None else place  # under a mask the two start differently
        repeats = (mask is not None and not zeros) or (not every and place is None)
        first = [_zeros(x, given)] if repeats else []

        def body(*values: tf.Tensor) -> list[tf.Tensor]:
            carried, (x_t, *mask_t) = values[: len(first) + len(states)], values[len(first) + len(states) :]
            before = carried[0] if repeats and not zeros else None
            output, after = stepped(x_t, mask_t[0] if mask_t else None, before, carried[len(first) :])
            return [*([output] if repeats else []), *after, *([output] if every else [])]

        scanned = [x, *([] if mask is None else [mask])]
        stacked = [(tf.TensorShape([given.shape[0], x.shape[1], *given.shape[1:]]), given.dtype)] if every else []
        results = self._operation(body, [*first, *states], scanned, stacked, backwards)
        after = results[len(first) : len(first) + len(states)]
        if every:
            return results[-1][:, -1], results[-1], after
        last = results[0] if repeats else after[place or 0]
        return last, tf.expand_dims(last, 1), after

    def _operation(
        self,
        body: Callable[..., list[tf.Tensor]],
        carried: list[tf.Tensor],
        scanned: list[tf.Tensor],
        stacked: list[tuple[tf.TensorShape, tf.DType]],
        backwards: bool,
    ) -> list[tf.Tensor]:
        signature = [
            *(tf.TensorSpec(value.shape, value.dtype, name=f"carried_{place}") for place, value in enumerate(carried)),
            *(
                tf.TensorSpec([value.shape[0], *value.shape[2:]], value.dtype, name=f"scanned_{place}")
                for place, value in enumerate(scanned)
            ),
        ]
        concrete = tf.function(body, autograph=False).get_concrete_function(*signature)
        reached = list(concrete.graph.captures)
        constants = eager_constants([pair for pair in reached if hasattr(pair[0], "numpy")])
        outer = [outer for outer, inner in reached if inner.name not in constants]
        outputs = [*((value.shape, value.dtype) for value in carried), *stacked]
        token = f"{LOOP} {len(self.loops)}"
        self.loops.append(
            Loop(
                *self._place(),
                concrete,
                carried=len(carried),
                scanned=len(scanned),
                outputs=tuple((tuple(shape), dtype.name) for shape, dtype in outputs),
                backwards=backwards,
                constants=constants,
            )
        )
        return opaques(token, [*carried, *scanned, *outer], outputs)


def _absent(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError


def _swapped(value: tf.Tensor) -> tf.Tensor:
    return tf.transpose(value, [1, 0, *range(2, value.shape.rank)])


def _column(mask: Any, time_major: bool) -> tf.Tensor | None:
    """The mask as (N, T, 1) booleans."""
    if mask is None:
        return None
    mask = tf.cast(mask, tf.bool)
    if mask.shape.rank == 2:
        mask = tf.expand_dims(mask, -1)
    return _swapped(mask) if time_major else mask


def _output_of(stepped: _Stepped, x: tf.Tensor, states: list[tf.Tensor]) -> tuple[tf.TensorSpec, int | None]:
    """(shape and dtype of the step's output, which of its states it is), from a trace that is thrown away."""
    found: list[tuple[tf.TensorSpec, int | None]] = []

    def once() -> None:
        output, after = stepped(x[:, 0], None, None, states)
        place = next((place for place, state in enumerate(after) if state is output), None)
        found.append((tf.TensorSpec(output.shape, output.dtype), place))

    tf.function(once, autograph=False).get_concrete_function()
    return found[0]


def _zeros(x: tf.Tensor, output: tf.TensorSpec) -> tf.Tensor:
    return tf.zeros([tf.shape(x)[0], *output.shape[1:]], output.dtype)
