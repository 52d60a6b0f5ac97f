"""The proof that what was loaded is what the file holds, bit by bit: no random weight, no weight in another's place.

Keras 3 loads a legacy .h5 by order alone, so a file with another order of layers loads without a word where the
shapes allow it; and it only warns where a container of layers is not in a .keras file, and leaves them random.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..errors import CorruptInputError
from ..plan import Array
from .stored import StoredWeights, read

if TYPE_CHECKING:
    import keras

_FIX = "save the model again from the program that trained it; this file does not hold what it describes"


def prove_weights(model: keras.Model, stored: StoredWeights) -> None:
    """Compare every weight of ``model`` with the file.

    Raises:
        CorruptInputError: a weight of the model is not in the file, or stands at another layer there.
    """
    _refuse(_faults_by_name(model, stored) if stored.by_name else _faults_by_path(model, stored), stored)


def prove_tf_keras_weights(model: Any, stored: StoredWeights) -> None:
    """The same for a tf_keras model: a legacy file by its layers' names, one of its own .keras by content."""
    if stored.by_name:
        _refuse(_faults_by_name(model, stored), stored)
        return
    with stored.arrays() as group:
        kept = Counter(_key(read(group, weight.path)) for weight in stored.weights)
    lost = _missing(model.weights, kept)
    _refuse([f"weight {_path(weight)!r} of the model is not in the file" for weight in lost], stored)


def _refuse(faults: list[str], stored: StoredWeights) -> None:
    if faults:
        raise CorruptInputError(faults[0], where=str(stored.path), fix=_FIX, details=tuple(faults[1:20]))


def order_fault(stored: StoredWeights) -> str:
    """How ``layer_names`` of a legacy .h5 departs from the order of its own config; empty where it does not."""
    inner = stored.config["config"] if stored.config else {}
    layers = inner if isinstance(inner, list) else inner.get("layers", [])
    described = [layer["config"].get("name") for layer in layers if isinstance(layer.get("config"), dict)]
    listed = [name for name in stored.layer_names if name in described]
    expected = [name for name in described if name in listed]
    for found, meant in zip(listed, expected, strict=False):
        if found != meant:
            return f"layer_names of the file is reordered: {found!r} stands where its config has {meant!r}"
    return ""


def _faults_by_name(model: keras.Model, stored: StoredWeights) -> list[str]:
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
            faults += _name_order_faults(layer.name, [_path(weight) for weight in weights], paths)
            for weight, path in zip(weights, paths, strict=True):
                proven.add(id(weight))
                if difference := _difference(np.asarray(weight), read(group[layer.name], path)):
                    faults.append(
                        f"weight {_path(weight)!r} of the model is not the array {path!r} of the file: {difference}"
                    )
        own = [weight for weight in model.weights if id(weight) not in proven]
        top = group.get("top_level_model_weights")
        kept = Counter() if top is None else Counter(_key(read(top, path)) for path in _arrays_below(top))
        faults += [f"weight {_path(weight)!r} of the model is not in the file" for weight in _missing(own, kept)]
    reason = order_fault(stored)
    return [reason, *faults] if faults and reason else faults


def _name_order_faults(layer: str, paths: list[str], stored: tuple[str, ...]) -> list[str]:
    """A permuted ``weight_names``: the same names on both sides, in another order."""
    last = [path.split("/")[-1] for path in paths]
    kept = [path.split("/")[-1].split(":")[0] for path in stored]
    if last != kept and sorted(last) == sorted(kept):
        return [f"weight_names of layer {layer!r} is reordered: {', '.join(kept)}; expected {', '.join(last)}"]
    return []


def _faults_by_path(model: keras.Model, stored: StoredWeights) -> list[str]:
    """Keras 3: what the model would save at each path is what the file has there, under the same layer's name.

    A variable that its layer saves at no path (``save_own_variables`` of a user's) must at least be in the file.
    """
    with stored.arrays() as group:
        comparison = _comparing_store(group, stored)
        _save_into(model, comparison)
        kept = Counter(_key(read(group, weight.path)) for weight in stored.weights if weight.path not in comparison.met)
    rest = [weight for weight in model.weights if id(weight) not in comparison.saved]
    return [
        *_group_faults(comparison.names),
        *comparison.faults,
        *(f"weight {weight.path!r} of the model is not in the file" for weight in _missing(rest, kept)),
    ]


def _save_into(model: keras.Model, store: Any) -> None:
    """Walk the model as saving it does, which has no public name (keras/src/saving/saving_lib.py, _save_state)."""
    from keras.src.saving import saving_lib

    saving_lib._save_state(  # noqa: SLF001
        model, weights_store=store, assets_store=None, inner_path="", visited_saveables=set()
    )


def _comparing_store(group: h5py.Group, stored: StoredWeights) -> Any:
    """A store that compares what is saved into it with the file instead of writing it.

    Its ``faults`` are sentences, ``saved`` the ids of the variables that came, ``met`` the paths of the file, ``names``
    path → (the layer's name in the model, in the file).
    """
    from keras.src.saving import saving_lib

    class ComparingStore(saving_lib.H5IOStore):  # type: ignore[misc]
        def __init__(self) -> None:
            self.faults: list[str] = []
            self.saved: set[int] = set()
            self.met: set[str] = set()
            self.names: dict[str, tuple[str, str]] = {}

        def __bool__(self) -> bool:
            return True

        def make(self, path: str, metadata: dict[str, Any] | None = None) -> ComparingStore:
            self._place = path.replace("layers", "_layer_checkpoint_dependencies") if old else path
            self._layer = (metadata or {}).get("name", "") or path
            if path and self._place in stored.groups:
                self.names[self._place] = (self._layer, stored.groups[self._place])
            return self

        def __setitem__(self, key: str, value: Any) -> None:
            self.saved.add(id(value))
            path = f"{self._place}/vars/{key}".lstrip("/")
            self.met.add(path)
            if path not in group:
                self.faults.append(f"weight {key!r} of layer {self._layer!r} is not in the file: it has no {path!r}")
            elif difference := _difference(_saved_as(value), read(group, path)):
                name = f"{self._layer}/{getattr(value, 'name', key)}"
                self.faults.append(f"weight {name!r} of the model is not the array {path!r} of the file: {difference}")

    # Keras 2.13 (keras/src/saving/saving_lib.py, H5IOStore.get).
    old = "_layer_checkpoint_dependencies" in group
    return ComparingStore()


def _group_faults(names: Mapping[str, tuple[str, str]]) -> list[str]:
    """Groups that changed places: their names form a cycle.

    Keras numbers unnamed layers anew in every process: that is a chain (dense → dense_1, dense_1 → dense_2).
    """
    renamed = dict(names.values())
    return [
        f"{path!r} of the file is of layer {theirs!r}, the model has {ours!r} there"
        for path, (ours, theirs) in names.items()
        if ours != theirs and _is_on_a_cycle(ours, renamed)
    ]


def _is_on_a_cycle(start: str, following: Mapping[str, str]) -> bool:
    name = start
    for _ in following:
        name = following.get(name, "")
        if name == start:
            return True
    return False


def _path(weight: Any) -> str:
    """Of a Keras 3 variable, or the name that tf_keras has for it ("dense/kernel:0")."""
    return str(getattr(weight, "path", weight.name.partition(":")[0]))


def _saved_as(value: Any) -> Array:
    import keras

    array: Array = np.asarray(keras.ops.convert_to_numpy(value))
    return array


def _missing(weights: list[keras.Variable], kept: Counter[tuple[tuple[int, ...], bytes]]) -> list[keras.Variable]:
    left = kept.copy()
    missing = []
    for weight in weights:
        key = _key(np.asarray(weight))
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


def _difference(ours: Array, theirs: Array) -> str:
    """How they differ, bit by bit; empty where they do not. A file keeps bfloat16 as two opaque bytes."""
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} against {theirs.shape}"
    if ours.dtype != theirs.dtype and not (ours.dtype.name == "bfloat16" and theirs.dtype == np.dtype("V2")):
        return f"{ours.dtype} against {theirs.dtype}"
    return "" if ours.tobytes() == theirs.tobytes() else "other values"
