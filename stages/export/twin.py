"""The model as float32 computes it, where Keras computes in half precision or on quantised weights.

ONNX has few operators in bfloat16, and a graph in float16 would have a Cast at every weight. What weights go where does
not depend on the precision: the twin is exported, normalised, imported and aligned; Keras' own model, in its own
precision, is what everything is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..errors import UnsupportedError
from ..keras_layers import layer_paths, variable_paths
from ..plan import Array, Computed, Expression, Recipe, Reshape, Variable
from ..precision import HALF

_WIDE = "float32"
_FIX = "give the model with float32 as its dtype policy; where that is not possible, report the layer"


@dataclass(frozen=True)
class Twin:
    """What is exported.

    Attributes:
        model: the model itself where it computes in float32 or float64, else a copy of it in float32.
        recipes: path of a variable of ``model`` → how it is made of the variables of the original.
    """

    model: keras.Model
    recipes: Mapping[str, Recipe]


def twin_of(model: keras.Model, variables: Mapping[str, Array]) -> Twin:
    """The twin of a model with these variables (path → value).

    Raises:
        UnsupportedError: the model cannot be made again from its config.
    """
    parts = layer_paths(model)
    if not any(_is_narrow(layer) for layer in parts.values()):
        return Twin(model, {path: _itself(path, array) for path, array in variables.items()})
    wide = _rebuilt(model, parts)
    # An input without a name of its own is called after its tensor, which is another one here.
    for mine, theirs in zip(getattr(wide, "inputs", None) or (), getattr(model, "inputs", None) or (), strict=True):
        mine.name = theirs.name
    places = variable_paths(wide)
    originals = variable_paths(model)
    recipes = {}
    for path, place in places.items():
        recipes[path] = _recipe(path, place, originals, parts)
        place.assign(recipes[path].apply(variables))
    for layer in layer_paths(wide).values():
        if isinstance(layer, keras.layers.Normalization):  # it keeps copies of its statistics
            layer.finalize_state()
    return Twin(wide, recipes)


def _itself(path: str, array: Array) -> Recipe:
    return Recipe(Variable(path, array.shape, array.dtype.name)).because("export: the variable itself")


def _is_narrow(layer: keras.Layer) -> bool:
    return layer.compute_dtype in HALF or layer.quantization_mode is not None or layer.variable_dtype in HALF


def _rebuilt(model: keras.Model, parts: Mapping[str, keras.Layer]) -> keras.Model:
    from keras.src.saving import serialization_lib

    own = {kind.__name__: kind for kind in {type(layer) for layer in (*parts.values(), model)}}
    own |= {keras.saving.get_registered_name(kind): kind for kind in own.values()}
    try:
        config = _widened(keras.saving.serialize_keras_object(model))
        with keras.saving.CustomObjectScope(own), serialization_lib.SafeModeScope(safe_mode=False):
            wide = keras.saving.deserialize_keras_object(config)
        if not wide.built:
            wide.build_from_config(model.get_build_config())
        paths = set(variable_paths(wide))
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise UnsupportedError(
            f"it computes in half precision or on quantised weights, and cannot be made again in float32 "
            f"({type(error).__name__}: {first})",
            where=f"model {model.name}",
            fix=_FIX,
        ) from error
    missing = paths - set(variable_paths(model))
    if missing:
        raise UnsupportedError(f"made again in float32 it has other variables: {sorted(missing)[:4]}", fix=_FIX)
    return wide


def _widened(node: Any) -> Any:
    """A config with float32 in the place of every half precision or quantised dtype and policy."""
    if isinstance(node, list | tuple):
        return type(node)(_widened(entry) for entry in node)
    if not isinstance(node, Mapping):
        return node
    made = {key: _widened(value) for key, value in node.items() if key != "quantization_config"}
    if "dtype" in made and _is_narrow_dtype(made["dtype"]):
        made["dtype"] = _WIDE
    return made


def _is_narrow_dtype(dtype: Any) -> bool:
    if isinstance(dtype, Mapping):
        inner = dtype.get("config", {})
        return "mode" in inner or "policy_map" in inner or _is_narrow_dtype(inner.get("name"))
    return isinstance(dtype, str) and any(name in dtype for name in (*HALF, "int8_from", "int4_from", "float8_from"))


def _recipe(
    path: str, place: keras.Variable, originals: Mapping[str, keras.Variable], parts: Mapping[str, keras.Layer]
) -> Recipe:
    """How the twin's variable is made: itself, cast, or dequantised."""
    original = originals[path]
    source: Expression = Variable(path, tuple(original.shape), original.dtype)
    scale = originals.get(f"{path}_scale")
    if original.dtype == "int8" and scale is not None:
        divisor = Variable(f"{path}_scale", tuple(scale.shape), scale.dtype)
        layer = parts[path.rpartition("/")[0]]
        shape = _scale_shape(layer, tuple(original.shape), scale)
        aligned = Recipe(divisor).then(Reshape(divisor.shape, shape)) if shape != divisor.shape else Recipe(divisor)
        made = Recipe(Computed("a / b", (source, aligned.expression), _WIDE))
        return made.because(f"export: {type(layer).__name__} is quantised to int8: {path} divided by its scale")
    if original.dtype == place.dtype:
        return Recipe(source).because("export: the variable itself")
    if original.dtype not in HALF:
        raise UnsupportedError(f"variable {path} is {original.dtype}, its float32 twin {place.dtype}", fix=_FIX)
    return Recipe(Computed("cast(a)", (source,), place.dtype)).because(
        f"export: {original.dtype} as {place.dtype}, which is exact"
    )


def _scale_shape(layer: keras.Layer, kernel: tuple[int, ...], scale: keras.Variable) -> tuple[int, ...]:
    """The shape in which a layer's scale divides its quantised weight.

    Dense keeps it as (units,), Embedding as (vocabulary,), EinsumDense as it divides the output
    (keras/src/layers/core/, ``quantize``).
    """
    if isinstance(layer, keras.layers.Embedding):
        return (kernel[0], 1)
    if not isinstance(layer, keras.layers.EinsumDense):
        return tuple(scale.shape)
    numbers = np.arange(np.prod(scale.shape), dtype="float32").reshape(scale.shape)
    adjusted = np.asarray(layer._adjust_scale_for_dequant(numbers))  # noqa: SLF001 - it follows the equation
    if not np.array_equal(adjusted.ravel(), numbers.ravel()):
        raise UnsupportedError(
            "the scale of its int8 kernel has its axes in another order", where=f"layer {layer.name}", fix=_FIX
        )
    return tuple(adjusted.shape)
