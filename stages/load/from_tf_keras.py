"""A tf_keras model as a Keras 3 model: layer by layer where Keras 3 has the layer, else as the function that it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..errors import DifferenceError, UnsupportedError
from ..keras_io import call_model
from ..plan import Array
from .legacy_config import FUNCTIONS, layer_config
from .traced import TracedLayer

_TF_KERAS = "tf_keras"


def keras3_model(model: Any) -> tuple[keras.Model, tuple[str, ...]]:
    """(the same model in Keras 3, how it was made: sentences).

    Weights go layer by layer, by position; every one is compared bit by bit, and both models' outputs on random inputs.

    Raises:
        UnsupportedError: it is not built, or has an operation that is no arithmetic on tensors.
        DifferenceError: the two do not compute the same.
    """
    if not model.built:
        raise UnsupportedError("the tf_keras model is not built", where=model.name, fix="call it once on data")
    rebuilt = _Rebuilt()
    if getattr(model, "_is_graph_network", False):
        made = rebuilt.model(model)
    else:
        made = _as_one_layer(model)
        rebuilt.traced.append(f"the whole model ({type(model).__name__}: it has no graph of layers)")
    prove_outputs(model, made)
    notes = ["read by tf_keras and rebuilt in Keras 3, weights compared bit by bit, outputs on random inputs"]
    notes += [f"as TensorFlow operations, since Keras 3 lacks the layer: {what}" for what in rebuilt.traced]
    notes += [f"{what}: {count} layers" if count > 1 else what for what, count in rebuilt.counts.items()]
    return made, tuple(notes)


@dataclass
class _Rebuilt:
    """What has been made so far.

    Attributes:
        layers: id of a tf_keras layer → its Keras 3 counterpart, which a second call shares.
        traced: the layers that Keras 3 lacks.
        counts: options that were left out.
    """

    layers: dict[int, Any] = field(default_factory=dict)
    traced: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def model(self, model: Any) -> keras.Model:
        """A functional or Sequential model, by walking its nodes from the inputs on."""
        tensors: dict[int, Any] = {}
        for tensor in model.inputs:
            shape = tuple(tensor.shape)
            name = tensor.node.layer.name
            tensors[id(tensor)] = keras.Input(batch_shape=shape, dtype=tensor.dtype.name, name=name)
        depths = model._nodes_by_depth  # noqa: SLF001 - Keras 2 has no public name for the graph of a model
        for depth in sorted(depths, reverse=True):
            for node in depths[depth]:
                if all(id(tensor) in tensors for tensor in tf.nest.flatten(node.outputs)):
                    continue
                made = self._called(node, tensors)
                tensors.update(zip(map(id, tf.nest.flatten(node.outputs)), keras.tree.flatten(made), strict=True))

        def outputs(structure: Any) -> Any:
            return tf.nest.map_structure(lambda tensor: tensors[id(tensor)], structure)

        ends = outputs(model._nested_inputs), outputs(model._nested_outputs)  # noqa: SLF001
        return keras.Model(*ends, name=model.name)

    def _called(self, node: Any, tensors: Mapping[int, Any]) -> Any:
        layer = node.layer
        ours = self.layers.get(id(layer)) or self._counterpart(layer)
        given = (node.call_args, node.call_kwargs)
        if ours is not None:
            arguments, options = tf.nest.map_structure(lambda leaf: tensors.get(id(leaf), leaf), given)
            made = ours(*arguments, **{name: value for name, value in options.items() if value is not None})
            if id(layer) not in self.layers and not isinstance(ours, keras.Model):
                _move_weights(layer, ours)
            self.layers[id(layer)] = ours
            return made
        return self._traced(layer, given, tensors)

    def _counterpart(self, layer: Any) -> Any:
        """The Keras 3 layer of the same class and options; None where there is none."""
        if getattr(layer, "_is_graph_network", False):
            return self.model(layer)
        kind = getattr(keras.layers, type(layer).__name__, None)
        if kind is None or not type(layer).__module__.startswith(f"{_TF_KERAS}."):
            return None
        try:
            config = layer_config(type(layer).__name__, layer.get_config(), self.counts)
            config.pop("batch_input_shape", None)  # the layer is called on an input of that shape
            config["name"] = _without_slash(layer.name)
            with keras.saving.CustomObjectScope(FUNCTIONS):
                return kind.from_config(config)
        except (TypeError, ValueError, NotImplementedError, AttributeError):
            return None

    def _traced(self, layer: Any, given: Any, tensors: Mapping[int, Any]) -> Any:
        leaves = tf.nest.flatten(given)
        places = [place for place, leaf in enumerate(leaves) if id(leaf) in tensors]

        def function(values: list[Any]) -> Any:
            filled = list(leaves)
            for place, value in zip(places, values, strict=True):
                filled[place] = value
            arguments, options = tf.nest.pack_sequence_as(given, filled)
            return layer(*arguments, **options)

        ours = self.layers.get(id(layer))
        if ours is None:
            ours = TracedLayer(function, layer.variables, _without_slash(layer.name))
            self.traced.append(f"{layer.name} ({type(layer).__name__})")
            if layer.variables:
                self.layers[id(layer)] = ours
        taken = [tensors[id(leaves[place])] for place in places]
        ours.check(taken)
        return ours(taken)


def _without_slash(name: str) -> str:
    """Keras 3 takes no "/" in a name; Keras 2's MobileNetV3 has them."""
    return name.replace("/", "_")


def _move_weights(theirs: Any, ours: Any) -> None:
    """By position, trainable ones first, which is the order of a legacy .h5 on both sides.

    Raises:
        UnsupportedError: other weights than the tf_keras layer's, in number or shape.
    """
    sources = [*theirs.trainable_weights, *theirs.non_trainable_weights]
    places = [*ours.trainable_weights, *ours.non_trainable_weights]
    shapes = [tuple(weight.shape) for weight in sources], [tuple(weight.shape) for weight in places]
    if shapes[0] != shapes[1]:
        raise UnsupportedError(
            f"{type(theirs).__name__} has weights of the shapes {shapes[0]} in tf_keras, {shapes[1]} in Keras 3",
            where=f"layer {theirs.name}",
            fix="give a factory 'file.py:function' that builds the model in Keras 3",
        )
    for source, place in zip(sources, places, strict=True):
        place.assign(source.numpy())
        same = np.asarray(place).tobytes() == source.numpy().tobytes()
        assert same, f"{source.name} did not arrive in {place.path}"
    if isinstance(ours, keras.layers.Normalization):  # it keeps copies of its statistics
        ours.finalize_state()


def _as_one_layer(model: Any) -> keras.Model:
    """A subclassed model: one traced layer behind its inputs."""
    specs = model.save_spec()
    if specs is None:
        raise UnsupportedError("the tf_keras model was never called", where=model.name, fix="call it once on data")
    positional = specs[0]
    flat = tf.nest.flatten(positional)
    names = [spec.name or f"input_{place}" for place, spec in enumerate(flat)]
    inputs = [
        keras.Input(batch_shape=tuple(spec.shape), dtype=spec.dtype.name, name=name)
        for spec, name in zip(flat, names, strict=True)
    ]

    def function(values: list[Any]) -> Any:
        return model(*tf.nest.pack_sequence_as(positional, values), training=False)

    layer = TracedLayer(function, model.variables, f"{model.name}_graph")
    layer.check(inputs)
    return keras.Model(inputs, layer(inputs), name=model.name)


def prove_outputs(theirs: Any, ours: keras.Model) -> None:
    """Both on the same random inputs, one batch.

    The kernels are TensorFlow's in both, so they differ by the order of sums alone: 1e-4 of the largest value.
    """
    names = [tensor.name for tensor in ours.inputs]
    arrays = random_inputs(ours)
    nested = getattr(theirs, "_nested_inputs", None)
    structure = theirs.save_spec()[0] if nested is None else (nested,)
    expected = theirs(*tf.nest.pack_sequence_as(structure, arrays), training=False)
    received = call_model(ours, arrays, names)
    for mine, wanted in zip(keras.tree.flatten(received), tf.nest.flatten(expected), strict=True):
        difference = _difference(np.asarray(mine), np.asarray(wanted))
        if difference:
            raise DifferenceError(
                f"in Keras 3 the model gives other values than in tf_keras: {difference}",
                where=ours.name,
                fix="give a factory 'file.py:function' that builds the model in Keras 3, and report the layers used",
            )


def _difference(mine: Array, wanted: Array) -> str:
    """Empty where they agree; where both overflow on random numbers, the other places are compared."""
    if mine.shape != wanted.shape or mine.dtype != wanted.dtype:
        return f"{mine.dtype} {mine.shape} against {wanted.dtype} {wanted.shape}"
    a, b = mine.astype("float64"), wanted.astype("float64")
    finite = np.isfinite(b)
    if (np.isfinite(a) != finite).any() or not finite.any():
        return "NaN or Inf"
    gap, scale = np.abs(a - b)[finite].max(), np.abs(b)[finite].max()
    rounding = 1e-2 if "16" in mine.dtype.name else 1e-4
    return "" if gap <= rounding * max(scale, 1.0) else f"they differ by {gap:.3g}, the largest value is {scale:.3g}"


def random_inputs(model: keras.Model) -> list[Any]:
    """One batch of random inputs; 0 and 1 where the model looks words up, or takes integers."""
    random = np.random.default_rng(0)
    parts = model._flatten_layers(include_self=False)  # noqa: SLF001
    words = any(type(layer).__name__ == "Embedding" for layer in parts)
    return [_random(random, tensor, words=words) for tensor in model.inputs]


def _random(random: np.random.Generator, tensor: Any, *, words: bool) -> Any:
    shape = [tensor.shape[0] or 2, *(size or 8 for size in tensor.shape[1:])]
    if "float" in tensor.dtype and not words:
        return tf.constant(random.normal(size=shape), dtype=tensor.dtype)
    return tf.cast(random.integers(0, 2, shape), tensor.dtype)
