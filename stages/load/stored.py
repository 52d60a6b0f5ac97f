"""A model file read statically: its config and its weights, without TensorFlow and without running anything."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from ..errors import CorruptInputError, RefusedError
from ..plan import Array, Shape
from . import gate
from .budget import check_arrays

# Keras 3 keeps the optimizer's and the metrics' state beside the layers (keras/src/saving/saving_lib.py, _save_state).
_NOT_OF_LAYERS = ("optimizer/", "_metrics/", "metrics/", "_compile_metrics/", "compile_metrics/", "_loss_tracker/")
_CONFIG_LIMIT = 64 << 20
_AGAIN = "save or copy the model again"


@dataclass(frozen=True)
class StoredWeight:
    """One array in the file: its path there, shape and numpy dtype name."""

    path: str
    shape: Shape
    dtype: str


@dataclass(frozen=True)
class StoredWeights:
    """What a file of weights holds, with or without an architecture.

    Attributes:
        path: the file.
        format: "keras" (a zip) or "h5".
        keras_version: of the Keras that wrote it, "unknown" where the file does not say.
        config: the architecture, ``{"class_name": …, "config": …}``; empty where the file has weights only.
        weights: every array of the layers; the optimizer's are left out.
        groups: HDF5 group → name of the layer it belongs to, where the file says so (Keras 3).
        layer_names: the order in which a legacy .h5 lists its layers.
        weight_names: layer → the paths of its arrays (below its group) of a legacy .h5, in order; None for Keras 3's
            own form, which addresses arrays by path.
        top: the group that all paths start at.
    """

    path: Path
    format: str
    keras_version: str
    config: Mapping[str, Any]
    weights: tuple[StoredWeight, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    layer_names: tuple[str, ...] = ()
    weight_names: Mapping[str, tuple[str, ...]] | None = None
    top: str = "/"

    @property
    def by_name(self) -> bool:
        """Whether arrays are listed by layer (Keras 1 and 2), not addressed by path (Keras 3)."""
        return self.weight_names is not None

    @contextmanager
    def arrays(self) -> Iterator[h5py.Group]:
        """The group that holds the weights, open for reading: ``group[weight.path][()]``."""
        with _opened(self.path, self.format) as file:
            yield file[self.top]


def stored_model(path: Path) -> StoredWeights:
    """Read a whole model's file.

    Raises:
        CorruptInputError: no config (weights only), unreadable config, or a listed group that is not there.
        RefusedError: links or arrays that lead out of the file.
    """
    stored = stored_weights(path)
    if not stored.config:
        raise CorruptInputError(
            "the file holds weights only (no model_config attribute), the architecture is not in it",
            where=str(path),
            fix=f"give what builds the model: `model: {{factory: file.py:function, weights: {path.name}}}`, or "
            f"`{{architecture: model.json, weights: {path.name}}}`",
        )
    return stored


def stored_weights(path: Path) -> StoredWeights:
    """Read a file of weights, whether or not it holds the architecture as well; errors as of ``stored_model``."""
    form = gate.check_format(path)
    try:
        stored = _from_zip(path) if form == "keras" else _from_hdf5(path)
    except (KeyError, OSError, UnicodeDecodeError, AttributeError, RuntimeError) as error:
        what = f"the HDF5 structure is damaged ({type(error).__name__}: {error})"
        raise CorruptInputError(what, where=str(path), fix=_AGAIN) from error
    check_arrays(stored)
    return stored


def stored_json(path: Path) -> Mapping[str, Any]:
    """The architecture in a file that ``model.to_json()`` filled.

    Raises:
        CorruptInputError: no JSON, or no Keras model in it.
        RefusedError: too long for one.
    """
    size = path.stat().st_size
    if size > _CONFIG_LIMIT:
        raise RefusedError(f"{size} bytes are more than any config has", where=str(path), fix="give model.to_json()")
    return _parsed(path.read_bytes(), "the file", path)


def _from_zip(path: Path) -> StoredWeights:
    with zipfile.ZipFile(path) as archive:
        config = _json(archive, gate.CONFIG_MEMBER, path)
        metadata = _json(archive, gate.METADATA_MEMBER, path) if gate.METADATA_MEMBER in archive.namelist() else {}
    with _opened(path, "keras") as group:
        weights, groups = _walk(group, path)
    return StoredWeights(path, "keras", str(metadata.get("keras_version", "unknown")), config, weights, groups)


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


def _from_hdf5(path: Path) -> StoredWeights:
    with h5py.File(path, "r") as file:
        whole = "model_config" in file.attrs
        config = _parsed(_text(file.attrs["model_config"]), "model_config", path) if whole else {}
        if whole and "model_weights" not in file:
            what = "the file has no group 'model_weights', so no weights"
            raise CorruptInputError(what, where=str(path), fix="save the model again")
        top = "model_weights" if "model_weights" in file else "/"
        group = file[top]
        attributes = {**group.attrs, **file.attrs}
        version = _text(attributes.get("keras_version", "unknown"))
        weights, groups = _walk(group, path)
        if not whole and not _has_list(group, "layer_names"):
            return StoredWeights(path, "h5", version, {}, weights, groups)
        names = _listed(group, "layer_names")
        weight_names = {name: _weight_names(group, name, path) for name in names}
    return StoredWeights(path, "h5", version, config, weights, {}, names, weight_names, top)


def _weight_names(group: h5py.Group, layer: str, path: Path) -> tuple[str, ...]:
    if layer not in group:
        what = f"the weights of layer {layer!r} are listed, but their group is missing"
        raise CorruptInputError(what, where=str(path), fix=_AGAIN)
    return _listed(group[layer], "weight_names")


def _text(value: str | bytes) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _has_list(group: h5py.Group, name: str) -> bool:
    return name in group.attrs or f"{name}0" in group.attrs


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
def _opened(path: Path, form: str) -> Iterator[h5py.File]:
    if form == "h5":
        with h5py.File(path, "r") as file:
            yield file
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
                weights.append(StoredWeight(name, tuple(entry.shape), _dtype(entry)))

    descend(top, "")
    return tuple(weights), names


def _dtype(entry: h5py.Dataset) -> str:
    """HDF5 has no bfloat16: Keras keeps it as two opaque bytes and says so in an attribute."""
    return _text(entry.attrs["dtype"]) if "dtype" in entry.attrs else str(entry.dtype)


def read(group: h5py.Group, path: str) -> Array:
    """One stored array."""
    value: Array = group[path][()]
    return value
