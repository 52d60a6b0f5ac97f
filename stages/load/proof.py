"""The proof that what Keras loaded is what the file holds, bit by bit: no random weight, no weight in another's place.

Keras 3 loads a legacy .h5 by order alone, so a file with another order of layers loads without a word where the
shapes allow it; and it only warns where a container of layers is not in a .keras file, and leaves them random.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

import h5py

from ..errors import CorruptInputError
from ..plan import Array
from .stored import StoredModel, read

if TYPE_CHECKING:
    import keras

_FIX = "save the model again from the program that trained it; this file does not hold what it describes"


def prove_weights(model: keras.Model, stored: StoredModel) -> None:
    """Compare every weight of ``model`` with the file.

    Raises:
        CorruptInputError: a weight of the model is not in the file, or stands at another layer there.
    """
    faults = _faults_by_name(model, stored) if stored.format == "h5" else _faults_by_content(model, stored)
    if faults:
        raise CorruptInputError(faults[0], where=str(stored.path), fix=_FIX, details=tuple(faults[1:20]))


def order_fault(stored: StoredModel) -> str:
    """How ``layer_names`` of a legacy .h5 departs from the order of its own config; empty where it does not."""
    inner = stored.config["config"]
    layers = inner if isinstance(inner, list) else inner.get("layers", [])
    described = [layer["config"].get("name") for layer in layers if isinstance(layer.get("config"), dict)]
    listed = [name for name in stored.layer_names if name in described]
    expected = [name for name in described if name in listed]
    for found, meant in zip(listed, expected, strict=False):
        if found != meant:
            return f"layer_names of the file is reordered: {found!r} stands where its config has {meant!r}"
    return ""


def _faults_by_name(model: keras.Model, stored: StoredModel) -> list[str]:
    """Legacy .h5: the weights of layer n are the arrays of group n, in the order of its weight_names.

    The order is the trainable ones and then the others (keras/src/legacy/saving/legacy_h5_format.py, _legacy_weights).
    """
    faults: list[str] = []
    proven: set[int] = set()
    names = stored.weight_names or {}
    with stored.arrays() as group:
        for layer in model.layers:
            weights = [*layer.trainable_weights, *layer.non_trainable_weights]
            paths = names.get(layer.name, ())
            if len(weights) != len(paths):
                faults.append(f"layer {layer.name!r} has {len(weights)} weights, the file holds {len(paths)} for it")
                continue
            faults += _name_order_faults(layer.name, [weight.path for weight in weights], paths)
            for weight, path in zip(weights, paths, strict=True):
                proven.add(id(weight))
                if not _same_bits(weight.numpy(), read(group[layer.name], path)):
                    faults.append(f"weight {weight.path!r} of the model is not the array {path!r} of the file")
        own = [weight for weight in model.weights if id(weight) not in proven]
        top = group.get("top_level_model_weights")
        kept = Counter() if top is None else Counter(_key(read(top, path)) for path in _arrays_below(top))
        faults += [f"weight {weight.path!r} of the model is not in the file" for weight in _missing(own, kept)]
    reason = order_fault(stored)
    return [reason, *faults] if faults and reason else faults


def _name_order_faults(layer: str, paths: list[str], stored: tuple[str, ...]) -> list[str]:
    """A permuted ``weight_names``: the same names on both sides, in another order."""
    last = [path.split("/")[-1] for path in paths]
    kept = [path.split("/")[-1].split(":")[0] for path in stored]
    if last != kept and sorted(last) == sorted(kept):
        return [f"weight_names of layer {layer!r} is reordered: {', '.join(kept)}; expected {', '.join(last)}"]
    return []


def _faults_by_content(model: keras.Model, stored: StoredModel) -> list[str]:
    """.keras: the model's weights, counted by content, are among the file's arrays (Keras addresses them by path)."""
    with stored.arrays() as group:
        kept = Counter(_key(read(group, weight.path)) for weight in stored.weights)
    return [f"weight {weight.path!r} of the model is not in the file" for weight in _missing(model.weights, kept)]


def _missing(weights: list[keras.Variable], kept: Counter[tuple[tuple[int, ...], bytes]]) -> list[keras.Variable]:
    left = kept.copy()
    missing = []
    for weight in weights:
        key = _key(weight.numpy())
        if left[key]:
            left[key] -= 1
        else:
            missing.append(weight)
    return missing


def _arrays_below(group: h5py.Group) -> list[str]:
    found: list[str] = []
    group.visititems(lambda name, entry: found.append(name) if isinstance(entry, h5py.Dataset) else None)
    return found


def _key(array: Array) -> tuple[tuple[int, ...], bytes]:
    return array.shape, hashlib.blake2b(array.tobytes(), digest_size=16).digest()


def _same_bits(ours: Array, theirs: Array) -> bool:
    return ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()
