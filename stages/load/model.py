"""The Keras model of a job, by the kind of its source; whatever the kind, every weight is proven against the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from . import gate, user_code
from .custom import custom_objects
from .keras2 import from_tf_keras, is_legacy, is_tf_keras_model, legacy_model
from .keras3 import filled, loaded, rebuilt
from .policy import check_policy
from .proof import prove_weights
from .source import LoadedModel, ModelSource
from .stored import StoredWeights, stored_json, stored_model, stored_weights

if TYPE_CHECKING:
    import keras


def keras_model(source: str | Path | ModelSource, base: Path | None = None, sha256: str | None = None) -> keras.Model:
    """The model alone; see ``load_model``."""
    named = source if isinstance(source, ModelSource) else ModelSource.of(source)
    return load_model(named if sha256 is None else ModelSource(**{**vars(named), "sha256": sha256}), base).model


def load_model(source: ModelSource, base: Path | None = None) -> LoadedModel:
    """Load a file, or build a model and fill it from one.

    A file is read statically first; Keras then loads it in safe mode, uncompiled; at last every weight is compared
    with the file, bit by bit.

    Args:
        source: where from.
        base: the folder that its paths are relative to; the working directory by default.

    Raises:
        UsageError: not a file, or a factory that fails or gives no ``keras.Model``.
        RefusedError: the file would run code (a Lambda layer) and is not trusted, or leads out of itself.
        CorruptInputError: empty, truncated, damaged, weights only, or not what its config describes.
        UnsupportedError: a class or an option that neither Keras 3 nor tf_keras knows, or tf_keras is missing.
    """
    base = base or Path.cwd()
    if source.factory is not None:
        return _from_factory(source, base)
    if source.architecture is not None:
        return _from_architecture(source, base)
    assert source.path is not None
    path = gate.model_path(source.path, base)
    gate.check_sha256(path, source.sha256)
    if path.is_dir():
        from .saved_model import saved_model

        return saved_model(path, source, custom_objects(source.custom_objects, base))
    return _from_file(stored_model(path), source, base)


def model_in_memory(model: Any) -> LoadedModel | None:
    """A keras.Model as it is, a tf_keras.Model as its Keras 3 twin; None for anything else."""
    import keras

    if is_tf_keras_model(model):
        return from_tf_keras(model, None)
    return LoadedModel(model) if isinstance(model, keras.Model) else None


def _from_file(stored: StoredWeights, source: ModelSource, base: Path) -> LoadedModel:
    check_policy(stored.config, str(stored.path), source.custom_objects, trust=source.trust)
    custom = custom_objects(source.custom_objects, base)
    if is_legacy(stored.keras_version):
        return legacy_model(stored, custom, trust=source.trust)
    model = loaded(stored, custom, trust=source.trust)
    prove_weights(model, stored)
    return LoadedModel(model)


def _from_architecture(source: ModelSource, base: Path) -> LoadedModel:
    assert source.architecture is not None
    path = gate.local_file(source.architecture, base, "architecture")
    config = stored_json(path)
    check_policy(config, str(path), source.custom_objects, trust=source.trust)
    weights = _weights(source, base)
    note = f"architecture from {path.name}, weights from {weights.path.name}"
    custom = custom_objects(source.custom_objects, base)
    version = str(config.get("keras_version", "3"))
    if is_legacy(version):
        whole = replace(weights, config=config, keras_version=version)
        made = legacy_model(whole, custom, trust=source.trust, architecture=path)
        return LoadedModel(made.model, (note, *made.notes))
    return LoadedModel(_filled(rebuilt(config, path, custom, trust=source.trust), weights), (note,))


def _from_factory(source: ModelSource, base: Path) -> LoadedModel:
    assert source.factory is not None
    target = source.factory
    if source.sha256 is not None and source.weights is None:
        raise UsageError("sha256 is of a model file, the model is a factory", where=target, fix="remove sha256")
    weights = _weights(source, base) if source.weights else None
    model = _built(target, base)
    notes = (f"built by {target}, weights from {weights.path.name}",) if weights else ()
    if is_tf_keras_model(model):
        made = from_tf_keras(model, weights)
        return LoadedModel(made.model, (*notes, *made.notes))
    return LoadedModel(_filled(model, weights) if weights else model, notes)


def _weights(source: ModelSource, base: Path) -> StoredWeights:
    assert source.weights is not None
    path = gate.local_file(source.weights, base, "weights")
    gate.check_sha256(path, source.sha256)
    return stored_weights(path)


def _filled(model: keras.Model, weights: StoredWeights) -> keras.Model:
    filled(model, weights)
    prove_weights(model, weights)
    return model


def _built(target: str, base: Path) -> Any:
    """A keras.Model, or a tf_keras.Model."""
    import keras

    function = user_code.attribute(target, base, UsageError)
    if not callable(function):
        raise UsageError(f"is a {type(function).__name__}, not a function", where=target, fix="name a function")
    model = user_code.call(function, target, base, UsageError)
    if not isinstance(model, keras.Model) and not is_tf_keras_model(model):
        raise UsageError(
            f"gives a {type(model).__module__}.{type(model).__qualname__}, not a keras.Model",
            where=target,
            fix="return the model from the function",
        )
    if not model.built:
        raise UsageError("gives a model that is not built", where=target, fix="call it once on data, or model.build()")
    return model
