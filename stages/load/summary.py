"""What is in a model file, told without TensorFlow and without running anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import gate
from .policy import violations
from .saved_model_file import saved_model_file
from .stored import StoredWeights, stored_json, stored_weights

WEIGHTS_ONLY = "it holds weights only: give what builds the model, `factory` or `architecture`, and this as `weights`"


@dataclass(frozen=True)
class LayerSummary:
    """One layer: its path by names ("encoder/conv1"), class, and number of stored parameters."""

    path: str
    class_name: str
    parameters: int


@dataclass(frozen=True)
class InputSummary:
    """One input as the config declares it; None in ``shape`` where free."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class ModelSummary:
    """What ``torchgraft inspect`` shows.

    Attributes:
        path, format, keras_version, sha256: of the file ("keras", "h5", "architecture" or "SavedModel").
        class_name, name: of the model ("Functional", "lenet"); "weights only" where the file has no architecture.
        inputs: empty where the config does not declare them (a subclassed model).
        layers: leaf layers in the config's order, those of nested models by their path.
        parameters: stored values of all layers together, without the optimizer's.
        refusals: why torchgraft would not load it; empty where it would.
    """

    path: Path
    format: str
    keras_version: str
    sha256: str
    class_name: str
    name: str
    inputs: tuple[InputSummary, ...]
    layers: tuple[LayerSummary, ...]
    parameters: int
    refusals: tuple[str, ...]


def inspect(source: str | Path, base: Path | None = None) -> ModelSummary:
    """Read a model file of any kind statically: whole, weights only, an architecture alone, or a SavedModel.

    Raises:
        UsageError, CorruptInputError, RefusedError: as the gate says (exit codes 2, 4, 3).
    """
    path = gate.model_path(source, base or Path.cwd())
    if path.is_dir():
        return _of_saved_model(path)
    if path.suffix.lower() == ".json":
        config = stored_json(path)
        stored = StoredWeights(path, "architecture", str(config.get("keras_version", "unknown")), config, ())
    else:
        stored = stored_weights(path)
    config = stored.config
    inner = config["config"] if isinstance(config.get("config"), Mapping) else {}
    return ModelSummary(
        path=path,
        format=stored.format,
        keras_version=stored.keras_version,
        sha256=gate.sha256_of(path),
        class_name=str(config.get("class_name", "weights only")),
        name=str(inner.get("name", "")),
        inputs=tuple(_inputs(config)),
        layers=tuple(_layers(stored) if config else _groups(stored)),
        parameters=sum(math.prod(weight.shape) for weight in stored.weights),
        refusals=tuple(str(violation) for violation in violations(config)) if config else (WEIGHTS_ONLY,),
    )


def _of_saved_model(path: Path) -> ModelSummary:
    described = saved_model_file(path)
    config = described.keras
    inner = config.get("config", {})
    reasons = [f"operations that reach out of the graph: {', '.join(described.outside)}"] if described.outside else []
    inputs = described.signatures.get("serving_default") or next(iter(described.signatures.values()), ())
    variables = dict(described.variables)  # Keras 3's export lists some of them twice
    return ModelSummary(
        path=path,
        format="SavedModel",
        keras_version=f"unknown, TensorFlow {described.writer}",
        sha256=gate.sha256_of(path),
        class_name=str(config.get("class_name", "graph")),
        name=str(inner.get("name", "")) if isinstance(inner, Mapping) else "",
        inputs=tuple(InputSummary(one.name, one.shape or (), one.dtype) for one in inputs),
        layers=tuple(LayerSummary(name, "variable", math.prod(shape)) for name, shape in variables.items()),
        parameters=sum(math.prod(shape) for shape in variables.values()),
        refusals=(*reasons, "its graph runs while it is loaded: it needs `trust: true`"),
    )


def _groups(stored: StoredWeights) -> Iterator[LayerSummary]:
    """Of a file without architecture: what it holds arrays for."""
    if stored.by_name:
        for name in stored.layer_names:
            yield LayerSummary(name, "unknown", _parameters_below(stored, f"{name}/"))
        return
    groups = dict.fromkeys(weight.path.rpartition("/")[0].removesuffix("/vars") for weight in stored.weights)
    for group in groups:
        yield LayerSummary(stored.groups.get(group, group), "unknown", _parameters_below(stored, f"{group}/vars/"))


def _children(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The layers of a model's config; Keras before 2.3 writes a Sequential's config as a bare list."""
    inner = config.get("config")
    layers = inner if isinstance(inner, list) else inner.get("layers", []) if isinstance(inner, Mapping) else []
    return [layer for layer in layers if isinstance(layer, Mapping) and "class_name" in layer]


def _name(layer: Mapping[str, Any]) -> str:
    inner = layer.get("config")
    return str(layer.get("name") or (inner.get("name", "") if isinstance(inner, Mapping) else ""))


def _inputs(config: Mapping[str, Any]) -> Iterator[InputSummary]:
    for position, layer in enumerate(_children(config)):
        inner = layer["config"]
        shape = inner.get("batch_shape", inner.get("batch_input_shape")) if isinstance(inner, Mapping) else None
        if shape and (layer["class_name"] == "InputLayer" or position == 0):
            dtype = inner.get("dtype")
            yield InputSummary(_name(layer), tuple(shape), dtype if isinstance(dtype, str) else "float32")


def _layers(stored: StoredWeights) -> Iterator[LayerSummary]:
    if not _children(stored.config):
        for group, name in stored.groups.items():
            if group:
                yield LayerSummary(name, "unknown", _parameters_below(stored, f"{group}/vars/"))
        return
    if stored.format == "keras":
        yield from _layers_of_zip(stored, stored.config, "", "")
    else:
        yield from _layers_of_hdf5(stored)


def _layers_of_zip(stored: StoredWeights, model: Mapping[str, Any], names: str, group: str) -> Iterator[LayerSummary]:
    """Keras 3 addresses a layer as ``layers/<snake_case class>[_<count>]`` (keras/src/saving/saving_lib.py)."""
    used: dict[str, int] = {}
    is_sequential = model["class_name"] == "Sequential"
    for layer in _children(model):
        if is_sequential and layer["class_name"] == "InputLayer":
            continue
        key = _snake_case(layer["class_name"])
        count = used[key] = used.get(key, -1) + 1
        below = f"{group}layers/{key}_{count}/" if count else f"{group}layers/{key}/"
        if _children(layer):
            yield from _layers_of_zip(stored, layer, f"{names}{_name(layer)}/", below)
        else:
            parameters = _parameters_below(stored, below)
            yield LayerSummary(f"{names}{_name(layer)}", layer["class_name"], parameters)


def _layers_of_hdf5(stored: StoredWeights) -> Iterator[LayerSummary]:
    """A legacy .h5 has one group a layer of the outermost model; a nested model is shown as one row."""
    for layer in _children(stored.config):
        name = _name(layer)
        yield LayerSummary(name, layer["class_name"], _parameters_below(stored, f"{name}/"))


def _parameters_below(stored: StoredWeights, group: str) -> int:
    return sum(math.prod(weight.shape) for weight in stored.weights if weight.path.startswith(group))


def _snake_case(name: str) -> str:
    """``SeparableConv2D`` → ``separable_conv2d``, as keras/src/utils/naming.py does it."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
