"""A model file read statically: its config and its weights, without TensorFlow and without running anything."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from ..errors import CorruptInputError, RefusedError
from ..plan import Array, Shape
from . import gate

# Keras 3 keeps the optimizer's and the metrics' state beside the layers (keras/src/saving/saving_lib.py, _save_state).
_NOT_OF_LAYERS = ("optimizer/", "_metrics/", "metrics/", "_compile_metrics/", "compile_metrics/", "_loss_tracker/")
_CONFIG_LIMIT = 64 << 20


@dataclass(frozen=True)
class StoredWeight:
    """One array in the file: its path there, shape and numpy dtype name."""

    path: str
    shape: Shape
    dtype: str


@dataclass(frozen=True)
class StoredModel:
    """What a model file holds.

    Attributes:
        path: the file.
        format: "keras" (a zip) or "h5".
        keras_version: of the Keras that wrote it, "unknown" where the file does not say.
        config: the architecture, ``{"class_name": …, "config": …}``.
        weights: every array of the layers; the optimizer's are left out.
        groups: HDF5 group → name of the layer it belongs to, where the file says so.
        layer_names: the order in which a legacy .h5 lists its layers.
        weight_names: layer → the paths of its arrays (below ``model_weights/<layer>/``) of a legacy .h5, in order.
    """

    path: Path
    format: str
    keras_version: str
    config: Mapping[str, Any]
    weights: tuple[StoredWeight, ...]
    groups: Mapping[str, str]
    layer_names: tuple[str, ...] = ()
    weight_names: Mapping[str, tuple[str, ...]] | None = None

    @contextmanager
    def arrays(self) -> Iterator[h5py.Group]:
        """The group that holds the weights, open for reading: ``group[weight.path][()]``."""
        with _weights_group(self.path, self.format) as group:
            yield group


def stored_model(path: Path) -> StoredModel:
    """Read a file that passed the gate.

    Raises:
        CorruptInputError: no config (weights only), unreadable config, or a listed group that is not there.
        RefusedError: links or arrays that lead out of the file.
    """
    form = gate.check_format(path)
    try:
        return _from_zip(path) if form == "keras" else _from_hdf5(path)
    except (KeyError, OSError, UnicodeDecodeError, AttributeError, RuntimeError) as error:
        raise CorruptInputError(
            f"the HDF5 structure is damaged ({type(error).__name__}: {error})",
            where=str(path),
            fix="save or copy the model again",
        ) from error


def _from_zip(path: Path) -> StoredModel:
    with zipfile.ZipFile(path) as archive:
        config = _json(archive, gate.CONFIG_MEMBER, path)
        metadata = _json(archive, gate.METADATA_MEMBER, path) if gate.METADATA_MEMBER in archive.namelist() else {}
    with _weights_group(path, "keras") as group:
        weights, groups = _walk(group, path)
    return StoredModel(path, "keras", str(metadata.get("keras_version", "unknown")), config, weights, groups)


def _json(archive: zipfile.ZipFile, member: str, path: Path) -> dict[str, Any]:
    size = archive.getinfo(member).file_size
    if size > _CONFIG_LIMIT:
        raise RefusedError(
            f"member {member!r} unpacks to {size} bytes, more than any config has",
            where=str(path),
            fix="save the model again with Keras",
        )
    return _parsed(archive.read(member), member, path)


def _parsed(text: str | bytes, name: str, path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptInputError(f"{name} is no JSON ({error})", where=str(path), fix="save the model again") from None
    if not isinstance(parsed, dict) or (name != gate.METADATA_MEMBER and "config" not in parsed):
        raise CorruptInputError(f"{name} describes no Keras model", where=str(path), fix="save the model again")
    return parsed


def _from_hdf5(path: Path) -> StoredModel:
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
        if config is None:
            raise CorruptInputError(
                "the file holds weights only (no model_config attribute), the architecture is not in it",
                where=str(path),
                fix="save the whole model with model.save('name.keras'), or give a factory 'file.py:function' "
                "that builds the model and calls load_weights",
            )
        version = _text(file.attrs.get("keras_version", "unknown"))
        parsed = _parsed(_text(config), "model_config", path)
        if "model_weights" not in file:
            raise CorruptInputError(
                "the file has no group 'model_weights', so no weights", where=str(path), fix="save the model again"
            )
        group = file["model_weights"]
        weights, _ = _walk(group, path)
        names = _listed(group, "layer_names")
        weight_names = {}
        for name in names:
            if name not in group:
                raise CorruptInputError(
                    f"the weights of layer {name!r} are listed, but their group is missing",
                    where=str(path),
                    fix="save or copy the model again",
                )
            weight_names[name] = _listed(group[name], "weight_names")
    return StoredModel(path, "h5", version, parsed, weights, {}, names, weight_names)


def _text(value: str | bytes) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _listed(group: h5py.Group, name: str) -> tuple[str, ...]:
    """A list attribute, which Keras splits into name0, name1, … where it is above 64 kB."""
    if name in group.attrs:
        return tuple(_text(entry) for entry in group.attrs[name])
    found: list[str] = []
    chunk = 0
    while f"{name}{chunk}" in group.attrs:
        found += [_text(entry) for entry in group.attrs[f"{name}{chunk}"]]
        chunk += 1
    return tuple(found)


@contextmanager
def _weights_group(path: Path, form: str) -> Iterator[h5py.Group]:
    if form == "h5":
        with h5py.File(path, "r") as file:
            yield file["model_weights"]
        return
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read(gate.WEIGHTS_MEMBER))
    with h5py.File(content, "r") as file:
        yield file


def _walk(top: h5py.Group, path: Path) -> tuple[tuple[StoredWeight, ...], dict[str, str]]:
    """Every dataset below ``top`` and every group that carries its layer's name; links out of the file are refused."""
    weights: list[StoredWeight] = []
    names: dict[str, str] = {}

    def descend(group: h5py.Group, prefix: str) -> None:
        for key in group:
            name = f"{prefix}{key}"
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise RefusedError(
                    f"{name!r} is a {type(link).__name__}, which may lead out of the file",
                    where=str(path),
                    fix="save the model again with Keras, which writes none",
                )
            entry = group[key]
            if isinstance(entry, h5py.Group):
                if key == "vars" and "name" in entry.attrs:
                    names[prefix.rstrip("/")] = _text(entry.attrs["name"])
                descend(entry, f"{name}/")
            elif entry.external or entry.is_virtual:
                raise RefusedError(
                    f"the values of {name!r} are kept in another file",
                    where=str(path),
                    fix="save the model again with Keras, which writes none",
                )
            elif not name.startswith(_NOT_OF_LAYERS):
                weights.append(StoredWeight(name, tuple(entry.shape), str(entry.dtype)))

    descend(top, "")
    return tuple(weights), names


def read(group: h5py.Group, path: str) -> Array:
    """One stored array."""
    value: Array = group[path][()]
    return value
