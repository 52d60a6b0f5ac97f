"""The inputs and outputs of a Keras model by name: how it wants to be called, and what its results are called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from .errors import UsageError
from .plan import Array


@dataclass(frozen=True)
class KerasInput:
    """One input as the model declares it: None stands for a free dimension."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def declared_inputs(model: keras.Model) -> tuple[KerasInput, ...]:
    """The inputs that ``model`` itself declares, in its order; empty for a subclassed model, which declares none."""
    try:
        tensors = model.inputs
    except AttributeError:
        tensors = None
    return tuple(KerasInput(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in tensors or ())


def hidden_values(model: keras.Model) -> dict[str, float]:
    """Input name → what its steps are full of that Keras hides: padding.

    1. A Masking layer takes the input itself.
    2. An Embedding with ``mask_zero`` does: 0.
    """
    found: dict[str, float] = {}
    names = {id(tensor): tensor.name for tensor in getattr(model, "inputs", None) or ()}
    for layer in model.layers:
        masking = isinstance(layer, keras.layers.Masking)
        if masking or (isinstance(layer, keras.layers.Embedding) and layer.mask_zero):
            name = names.get(id(layer.input))
            if name is not None:
                found.setdefault(name, float(layer.mask_value) if masking else 0.0)
    return found


def hidden_steps(array: Array, value: float) -> Array:
    """Which steps of the samples hold nothing but ``value``: (N, T) of (N, T) ids, or of (N, T, …)."""
    hidden: Array = (array == value).reshape(*array.shape[:2], -1).all(axis=-1)
    return hidden


def model_inputs(model: keras.Model, given: Mapping[str, Array]) -> tuple[KerasInput, ...]:
    """The inputs in the model's order, free dimensions other than the batch fixed to those of the ``given`` arrays.

    Raises:
        UsageError: names or shapes are not those that the model declares.
    """
    declared = declared_inputs(model)
    if not declared:
        return tuple(KerasInput(name, (None, *array.shape[1:]), _fed_dtype(array)) for name, array in given.items())
    missing = {entry.name for entry in declared} ^ set(given)
    if missing:
        raise UsageError(
            f"inputs are named {sorted(given)}, the model's are {[entry.name for entry in declared]}",
            where="inputs",
            fix="give one array for each input, under the model's own name",
        )
    return tuple(_fixed(entry, given[entry.name]) for entry in declared)


def _fixed(entry: KerasInput, array: Array) -> KerasInput:
    shape = array.shape
    fits = len(shape) == len(entry.shape) and all(
        wanted in (None, size) for wanted, size in zip(entry.shape[1:], shape[1:], strict=True)
    )
    if not fits:
        raise UsageError(
            f"an array of shape {shape} does not fit {entry.shape}",
            where=f"input {entry.name}",
            fix="give the samples in Keras layout, batch first",
        )
    return KerasInput(entry.name, (entry.shape[0], *shape[1:]), entry.dtype)


def _fed_dtype(array: Array) -> str:
    """Keras converts floating arrays to its own float type, and keeps integers (``DTypePolicy.convert_input``)."""
    return keras.config.floatx() if array.dtype.kind == "f" else array.dtype.name


def call_model(model: keras.Model, tensors: Sequence[Any], names: Sequence[str]) -> Any:
    """Call ``model`` in inference mode on tensors that stand in the order of ``model_inputs``.

    A subclassed model is called as it was built: with one tensor, a dict by name, a list, or one argument a name.
    """
    struct = getattr(getattr(model, "_functional", None) or model, "_inputs_struct", None)
    if struct is not None:
        return model(keras.tree.pack_sequence_as(struct, list(tensors)), training=False)
    by_name = dict(zip(names, tensors, strict=True))
    if set(names) <= set(inspect.signature(type(model).call).parameters) and len(names) > 1:
        return model(**by_name, training=False)
    built = model.get_build_config() or {}
    structure = built.get("input_shape")
    if isinstance(structure, dict):
        return model(by_name, training=False)
    if len(tensors) == 1:
        return model([tensors[0]] if _is_list_of_shapes(structure) else tensors[0], training=False)
    return model(list(tensors), training=False)


def _is_list_of_shapes(structure: Any) -> bool:
    return isinstance(structure, list | tuple) and bool(structure) and isinstance(structure[0], list | tuple)


def named_outputs(model: keras.Model, result: Any) -> dict[str, Any]:
    """Output name → tensor, flattened in Keras' order.

    A dict gives its keys; a functional model its output layers' names; else "output", or "output_0", "output_1" ….
    """
    flat = keras.tree.flatten(result)
    if isinstance(result, dict) and len(flat) == len(result):
        names = [str(path[-1]) for path, _ in keras.tree.flatten_with_path(result)]
    else:
        names = list(getattr(model, "output_names", ()) or ())
    if len(names) != len(flat):
        names = ["output"] if len(flat) == 1 else [f"output_{position}" for position in range(len(flat))]
    unique: dict[str, Any] = {}
    for name, tensor in zip(names, flat, strict=True):
        count = 0
        candidate = name
        while candidate in unique:
            count += 1
            candidate = f"{name}_{count}"
        unique[candidate] = tensor
    return unique
