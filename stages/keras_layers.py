"""What a Keras model is made of: its layers, variables, inputs and outputs, each under a unique name.

Paths are built from the layers' names and the containers they sit in ("encoder/conv1"), not from ``Layer.path``:
that one is the name scope a layer was *built* in, and says "functional_3/conv1" for a layer that was built first
and put into "encoder" later.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .plan import Array


@dataclass(frozen=True)
class LayerCall:
    """One call of one layer.

    Attributes:
        layer: the layer.
        path: its unique path in the model.
        index: how many calls of this layer came before.
        inner: whether a layer that runs over time steps makes the call, once a step: no boundary of its own.
    """

    layer: keras.Layer
    path: str
    index: int
    inner: bool = False

    @property
    def name(self) -> str:
        """Unique in the model: ``path`` for the first call, ``path#1`` for the second."""
        return f"{self.path}#{self.index}" if self.index else self.path

    def boundary(self, position: int) -> str:
        """The name of one output: ``name`` for the first, ``name:1`` for the second (see ``base.Boundary``)."""
        return f"{self.name}:{position}" if position else self.name


Around = Callable[[LayerCall, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

#: Layers that call others once a step: how often, and on what, is their own affair (a graph may run all steps at once).
STEPPING = (keras.layers.RNN, keras.layers.TimeDistributed)


def layer_paths(model: keras.Model) -> dict[str, keras.Layer]:
    """Every layer inside ``model`` under its unique path, containers before what they contain.

    A layer that is used in several places stands once, under the first of them.
    """
    found: dict[str, keras.Layer] = {}
    seen = {id(model)}

    def walk(container: keras.Layer, prefix: str) -> None:
        for layer in _parts(container):
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = _unused(f"{prefix}{layer.name}", found)
            found[path] = layer
            walk(layer, f"{path}/")

    walk(model, "")
    return found


def _parts(container: keras.Layer) -> list[keras.Layer]:
    """The layers that ``container`` holds itself. Keras has a public name for them on models only."""
    parts: list[keras.Layer] = container._flatten_layers(include_self=False, recursive=False)  # noqa: SLF001
    return parts


def variable_paths(model: keras.Model) -> dict[str, keras.Variable]:
    """Every variable of ``model``, trained or not, under ``layer path/variable name``.

    The states of random generators are among them ("dropout/seed_generator_state"): they are no weights, but part
    of what ``Layer.variables`` lists.
    """
    found: dict[str, keras.Variable] = {}
    seen: set[int] = set()
    layers = layer_paths(model)
    for prefix, layer in [*((f"{path}/", layer) for path, layer in layers.items()), ("", model)]:
        inner = {id(variable) for part in _parts(layer) for variable in part.variables}
        for variable in layer.variables:
            if id(variable) in seen or (id(variable) in inner and layer is not model):
                continue
            seen.add(id(variable))
            found[_unused(f"{prefix}{variable.name}", found)] = variable
    return found


def array_of(variable: keras.Variable) -> Array:
    """The value of ``variable``, read-only, and on TensorFlow in the variable's own memory: it may be gigabytes.

    A later ``assign`` takes other memory as long as the array is held (TensorFlow copies on write).
    """
    value = variable.value
    if keras.backend.backend() != "tensorflow" or not hasattr(value, "read_value") or variable.dtype == "bfloat16":
        return np.asarray(variable)
    return np.asarray(memoryview(value.read_value()))


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    """``name``, or the first of ``name_1``, ``name_2`` … that is free."""
    count = 0
    candidate = name
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate


@contextmanager
def intercepted_calls(model: keras.Model, around: Around) -> Iterator[None]:
    """Run every layer's ``call`` inside ``model`` through ``around(call, original, args, kwargs)``.

    Containers that only pass values on (Functional, Sequential) are left alone, and so is ``model`` itself. The wrapper
    is an instance attribute, and is taken away again whatever happens.
    """
    wrapped: list[keras.Layer] = []
    stepping: list[keras.Layer] = []
    try:
        for path, layer in layer_paths(model).items():
            if not isinstance(layer, keras.layers.InputLayer) and not _is_functional(layer):
                layer.__dict__[_called(layer)] = _wrapper(layer, path, around, stepping)
                wrapped.append(layer)
        yield
    finally:
        for layer in wrapped:
            del layer.__dict__[_called(layer)]


def _is_functional(layer: keras.Layer) -> bool:
    return type(layer).call in (keras.Sequential.call, keras.src.models.Functional.call)


def _called(layer: keras.Layer) -> str:
    """What Keras calls to compute it (keras/src/ops/operation.py, ``__call__``)."""
    return "quantized_call" if layer.quantization_mode else "call"


def _wrapper(layer: keras.Layer, path: str, around: Around, stepping: list[keras.Layer]) -> Callable[..., Any]:
    """``stepping`` holds the layers of STEPPING that are being called."""
    original = getattr(layer, _called(layer))
    calls = 0

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        if stepping:
            return around(LayerCall(layer, path, 0, inner=True), original, args, kwargs)
        index, calls = calls, calls + 1
        if not isinstance(layer, STEPPING):
            return around(LayerCall(layer, path, index), original, args, kwargs)
        stepping.append(layer)
        try:
            return around(LayerCall(layer, path, index), original, args, kwargs)
        finally:
            stepping.pop()

    return call


def keras_layer_outputs(model: keras.Model, run: Callable[[], Any]) -> tuple[Any, dict[str, Array]]:
    """What ``run`` gives (it calls ``model`` once, eagerly), and every layer's outputs in order of execution.

    Calls that a layer makes once a time step are left out.

    Returns:
        (the result of ``run``, boundary name → array).
    """
    captured: dict[str, Array] = {}

    def capture(call: LayerCall, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = original(*args, **kwargs)
        for position, value in enumerate([] if call.inner else keras.tree.flatten(result)):
            if keras.ops.is_tensor(value):
                captured[call.boundary(position)] = keras.ops.convert_to_numpy(value)
        return result

    with intercepted_calls(model, capture):
        return run(), captured
