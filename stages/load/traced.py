"""A TensorFlow function as a Keras layer: its variables are the layer's, and become inputs of the ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .replay import check_replayable, replay


class TracedLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer that is only known as a function of tensors.

    Called eagerly it *is* that function, on its own variables: the reference. While a graph is made of it, it is that
    function done again (see ``replay``) on the Keras variables, which have the same values.

    Args:
        function: takes a flat list of tensors, gives a tensor or a structure of them; it may capture variables.
        variables: TensorFlow's, all that it captures.
        name: of the layer.
    """

    def __init__(self, function: Callable[[list[Any]], Any], variables: Sequence[Any], name: str) -> None:
        super().__init__(name=name, dtype="float32", autocast=False)
        # Keras would turn float64 and integer inputs into its own float type.
        self._convert_input_args = False
        self.function = function
        self.sources = list(variables)
        names = _unique([str(variable.name) for variable in variables], name)
        self.held = [self._take(variable, own) for variable, own in zip(variables, names, strict=True)]
        self.built = True

    def _take(self, variable: Any, name: str) -> keras.Variable:
        held = self.add_weight(
            name=name,
            shape=tuple(variable.shape),
            dtype=variable.dtype.name,
            initializer="zeros",
            trainable=bool(variable.trainable),
            autocast=False,
        )
        held.assign(variable.numpy())
        return held

    def call(self, inputs: Any) -> Any:
        tensors = [tf.convert_to_tensor(tensor) for tensor in keras.tree.flatten(inputs)]
        if tf.executing_eagerly():
            return self.function(tensors)
        concrete = self._concrete(tensors)
        values = {
            id(handle): tf.convert_to_tensor(held)
            for source, held in zip(self.sources, self.held, strict=True)
            for handle in _handles(concrete, source)
        }
        flat = replay(concrete, tensors, values)
        flat = [tf.ensure_shape(made, known.shape) for made, known in zip(flat, concrete.outputs, strict=True)]
        return tf.nest.pack_sequence_as(concrete.structured_outputs, flat)

    def compute_output_spec(self, inputs: Any) -> Any:
        """What ``call`` gives, by tracing the function alone."""
        concrete = self._concrete(keras.tree.flatten(inputs))
        return tf.nest.map_structure(
            lambda tensor: keras.KerasTensor(tuple(tensor.shape), tensor.dtype.name), concrete.structured_outputs
        )

    def check(self, inputs: Any) -> None:
        """Raise the UnsupportedError of ``call`` for such inputs, before Keras puts its own words around it."""
        check_replayable(self._concrete(keras.tree.flatten(inputs)), f"layer {self.name}")

    def _concrete(self, tensors: Sequence[Any]) -> Any:
        signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
        with tf.init_scope():
            function = tf.function(lambda *given: self.function(list(given)), autograph=False)
            return function.get_concrete_function(*signature)

    def prove(self) -> list[str]:
        """Names of the variables whose values are not those of their sources, bit by bit."""
        pairs = zip(self.sources, self.held, strict=True)
        return [held.path for source, held in pairs if np.asarray(held).tobytes() != source.numpy().tobytes()]


def _handles(concrete: Any, variable: Any) -> list[Any]:
    """The captured tensors that are the variable's handle (one object a capture)."""
    handle = getattr(variable, "handle", None)
    return [outer for outer, _ in concrete.graph.captures if outer is handle]


def _unique(names: list[str], layer: str) -> list[str]:
    """Keras takes no "/" in a variable's name; what all have in common with the layer's name is left out."""
    short = [name.split(":")[0].removeprefix(f"{layer}/").replace("/", ".") for name in names]
    made: list[str] = []
    for name in short:
        made.append(name if name not in made else f"{name}_{made.count(name)}")
        while made.count(made[-1]) > 1:
            made[-1] += "_"
    return made
