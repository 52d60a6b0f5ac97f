"""The Keras model: from a file that passed the gate, or from the user's factory."""

from __future__ import annotations

import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CorruptInputError, RefusedError, ResourceError, TorchgraftError, UnsupportedError, UsageError
from . import gate, user_code
from .policy import check_policy
from .proof import order_fault, prove_weights
from .stored import StoredModel, stored_model

if TYPE_CHECKING:
    import keras

_SKIPPED = "Skipping nested container"
_FACTORY = "give a factory 'file.py:function' that builds the model in your own code and loads its weights"
# Of Keras' messages in safe mode (keras/src/saving/serialization_lib.py and saving_lib.py).
_REFUSALS = (
    "Requested the deserialization of a",
    "disallowed during deserialization for security",
    "Not allowed:",
)
# Functions of keras/src/saving/saving_lib.py and keras/src/legacy/saving/legacy_h5_format.py.
_WEIGHT_LOADERS = {"_load_state", "_raise_loading_failure", "load_weights_from_hdf5_group"}


def keras_model(source: str | Path, base: Path | None = None, sha256: str | None = None) -> keras.Model:
    """Load a .keras or .h5/.hdf5 file, or call a factory.

    A file is read statically first; Keras then loads it in safe mode, uncompiled; at last every weight is compared
    with the file, bit by bit.

    Args:
        source: a path, or "file.py:function"; both relative to ``base``.
        base: a folder; the working directory by default.
        sha256: of the file; None: not checked.

    Raises:
        UsageError: not a file, or a factory that fails or gives no ``keras.Model``.
        RefusedError: the file would run code (a Lambda layer), or leads out of itself.
        CorruptInputError: empty, truncated, damaged, weights only, or not what its config describes.
        UnsupportedError: a class or an option that this Keras does not know.
    """
    base = base or Path.cwd()
    if user_code.is_code(str(source)):
        return _from_factory(str(source), base, sha256)
    path = gate.local_file(source, base)
    gate.check_sha256(path, sha256)
    stored = stored_model(path)
    check_policy(stored.config, str(path))
    model = _loaded(stored)
    prove_weights(model, stored)
    return model


def _from_factory(target: str, base: Path, sha256: str | None) -> keras.Model:
    import keras

    if sha256 is not None:
        raise UsageError("sha256 is of a model file, the model is a factory", where=target, fix="remove sha256")
    function = user_code.attribute(target, base, UsageError)
    if not callable(function):
        raise UsageError(f"is a {type(function).__name__}, not a function", where=target, fix="name a function")
    model = user_code.call(function, target, base, UsageError)
    if not isinstance(model, keras.Model):
        raise UsageError(
            f"gives a {type(model).__module__}.{type(model).__qualname__}, not a keras.Model",
            where=target,
            fix="return the model from the function",
        )
    if not model.built:
        raise UsageError("gives a model that is not built", where=target, fix="call it once on data, or model.build()")
    return model


def _loaded(stored: StoredModel) -> keras.Model:
    import keras

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model: keras.Model = keras.saving.load_model(stored.path, compile=False, safe_mode=True)
    except MemoryError as error:
        raise ResourceError("the model does not fit into memory", where=str(stored.path)) from error
    except Exception as error:
        raise _translated(error, stored) from error
    for warning in caught:
        if _SKIPPED in str(warning.message):
            raise CorruptInputError(
                f"the file lacks the weights of a container of layers ({str(warning.message).split(':')[0]})",
                where=str(stored.path),
                fix="save the model again with Keras 3.12 or later",
            )
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return model


def _translated(error: Exception, stored: StoredModel) -> TorchgraftError:
    text = str(error)
    first = text.partition("\n\n")[0].partition(" Full object config")[0].strip()[:600]
    where = str(stored.path)
    told = f"{type(error).__name__}: {first}"
    if any(fragment in text for fragment in _REFUSALS):
        return RefusedError(f"Keras refuses the model ({told})", where=where, fix=_FACTORY)
    if not _was_loading_weights(error):
        what = f"this Keras cannot rebuild the model, written by Keras {stored.keras_version} ({told})"
        return UnsupportedError(what, where=where, fix=_FACTORY)
    reason = order_fault(stored) or f"Keras cannot load the weights ({told})"
    return CorruptInputError(reason, where=where, fix="save the model again from the program that trained it")


def _was_loading_weights(error: Exception) -> bool:
    """Whether the architecture stood already: a wrong one is unsupported, wrong weights are corrupt."""
    frames = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    return bool(frames & _WEIGHT_LOADERS)
