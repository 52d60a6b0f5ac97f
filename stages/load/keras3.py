"""What Keras 3 itself does with a file, and what its errors mean."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CorruptInputError, RefusedError, ResourceError, TorchgraftError, UnsupportedError
from .lambda_names import lambda_names
from .policy import FACTORY, custom_line
from .proof import order_fault
from .stored import StoredWeights

if TYPE_CHECKING:
    import keras

_SKIPPED = "Skipping nested container"
# Of Keras' messages in safe mode (keras/src/saving/serialization_lib.py and saving_lib.py).
_REFUSALS = (
    "Requested the deserialization of a",
    "disallowed during deserialization for security",
    "Not allowed:",
)
# Functions of keras/src/saving/saving_lib.py and keras/src/legacy/saving/legacy_h5_format.py.
_WEIGHT_LOADERS = {"_load_state", "_raise_loading_failure", "load_weights_from_hdf5_group"}
_UNKNOWN_CLASS = ("Unknown layer: '", "Could not locate class '", "Could not locate function '")
_OTHER_MODEL = (
    "give the weights of this very architecture; the file that is named must fill every variable of the model"
)


def loaded(stored: StoredWeights, custom: Mapping[str, Any], *, trust: bool) -> keras.Model:
    """The whole model of a file, uncompiled.

    Raises:
        RefusedError, CorruptInputError, UnsupportedError, ResourceError: as Keras' own errors mean.
    """
    import keras

    named = lambda_names(stored.path) if trust else nullcontext()
    with _translated(stored.path, stored), named, _no_skipped_container(stored.path):
        model: keras.Model = keras.saving.load_model(
            stored.path, custom_objects=dict(custom), compile=False, safe_mode=not trust
        )
    _refuse_unconnected(model, stored.path)
    return model


def _refuse_unconnected(model: keras.Model, path: Path) -> None:
    """Refuse a Sequential with a layer that fails: Keras leaves it without inputs, and says nothing."""
    import keras

    if not isinstance(model, keras.Sequential) or getattr(model, "inputs", None) or not model.layers:
        return
    first, *others = model._layers  # noqa: SLF001 - ``layers`` leaves the InputLayer out
    if not isinstance(first, keras.layers.InputLayer):
        return
    value = first.output
    for layer in others:
        try:
            value = layer(value)
        except Exception as error:
            cause: BaseException = error
            while cause.__context__ is not None:
                cause = cause.__context__
            first_line = (str(cause).strip().splitlines() or [""])[0]
            raise UnsupportedError(
                f"layer {layer.name!r} fails when it is called ({type(cause).__name__}: {first_line})",
                where=str(path),
                fix=FACTORY,
            ) from error


def rebuilt(config: Mapping[str, Any], path: Path, custom: Mapping[str, Any], *, trust: bool) -> keras.Model:
    """The model that a config describes, its weights random yet; errors as of ``loaded``."""
    import keras
    from keras.src.legacy.saving import saving_utils
    from keras.src.saving import serialization_lib

    known, safe = keras.saving.CustomObjectScope(dict(custom)), serialization_lib.SafeModeScope(not trust)
    named = lambda_names(path) if trust else nullcontext()
    with _translated(path, None), named, known, safe:
        if "module" in config:
            model = keras.saving.deserialize_keras_object(
                dict(config), custom_objects=dict(custom), safe_mode=not trust
            )
        else:  # of a legacy .h5, or of Keras 2's to_json
            model = saving_utils.model_from_config(dict(config), custom_objects=dict(custom))
    if not isinstance(model, keras.Model) or not model.built:
        raise UnsupportedError(
            "the config does not say what its inputs are, so no weights can be made",
            where=str(path),
            fix="give a factory 'file.py:function' that builds the model, and `weights`",
        )
    return model


def filled(model: keras.Model, stored: StoredWeights) -> None:
    """Load the weights of a file into a model that stands already.

    Raises:
        CorruptInputError: the file does not fit the model, or lacks a part of it.
    """
    if stored.by_name:
        _fill_by_name(model, stored)
        return
    from keras.src.saving import saving_lib

    # By content, not by the file's name: `model.load_weights` takes a Keras 3 file of another name for a legacy one.
    with _translated(stored.path, stored, fix=_OTHER_MODEL), _no_skipped_container(stored.path):
        if stored.format == "keras":
            model.load_weights(stored.path)
        else:
            store = saving_lib.H5IOStore(stored.path)
            try:
                saving_lib._load_state(model, store, None, "", visited_saveables=set())  # noqa: SLF001
            finally:
                store.close()


def _fill_by_name(model: keras.Model, stored: StoredWeights) -> None:
    """A legacy file, by the names of its layers. Order alone, which is Keras' own way, could swap two of one shape."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    kept = {name for name, arrays in (stored.weight_names or {}).items() if arrays}
    wanted = {layer.name for layer in model.layers if layer.weights}
    if kept != wanted:
        raise CorruptInputError(
            f"the file holds weights of the layers {_some(kept - wanted)}, the model has {_some(wanted - kept)} in "
            "their place",
            where=str(stored.path),
            fix="build the model with the layer names of the file",
        )

    with _translated(stored.path, stored, fix=_OTHER_MODEL), h5py.File(stored.path, "r") as file:
        legacy_h5_format.load_weights_from_hdf5_group_by_name(file[stored.top], model)


def _some(names: set[str]) -> str:
    shown = sorted(names)[:6]
    return (", ".join(map(repr, shown)) or "none") + (" …" if len(names) > len(shown) else "")


@contextmanager
def _no_skipped_container(path: Path) -> Iterator[None]:
    """Keras only warns of a container of layers whose weights the file lacks, and leaves them random."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if _SKIPPED in str(warning.message):
            raise CorruptInputError(
                f"the file lacks the weights of a container of layers ({str(warning.message).split(':')[0]})",
                where=str(path),
                fix="save the model again with Keras 3.12 or later",
            )
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@contextmanager
def _translated(path: Path, stored: StoredWeights | None, fix: str = "") -> Iterator[None]:
    try:
        yield
    except TorchgraftError:
        raise
    except MemoryError as error:
        raise ResourceError("the model does not fit into memory", where=str(path)) from error
    except Exception as error:
        raise _meaning(error, path, stored, fix) from error


def _meaning(error: Exception, path: Path, stored: StoredWeights | None, fix: str) -> TorchgraftError:
    text = str(error)
    first = text.partition("\n\n")[0].partition(" Full object config")[0].strip()[:600]
    where, told = str(path), f"{type(error).__name__}: {first}"
    if any(fragment in text for fragment in _REFUSALS):
        return RefusedError(f"Keras refuses the model ({told})", where=where, fix=FACTORY)
    unknown = next((text.split(words, 1)[1].split("'", maxsplit=1)[0] for words in _UNKNOWN_CLASS if words in text), "")
    if unknown:
        what = f"{unknown!r} is no class or function of this Keras"
        return UnsupportedError(what, where=where, fix=f"{custom_line(unknown)}, or {FACTORY}", details=(told,))
    if stored is None or not (fix or _was_loading_weights(error)):
        writer = f", written by Keras {stored.keras_version}" if stored else ""
        return UnsupportedError(f"this Keras cannot rebuild the model{writer} ({told})", where=where, fix=FACTORY)
    reason = order_fault(stored) or f"Keras cannot load the weights ({told})"
    return CorruptInputError(reason, where=where, fix=fix or "save the model again from the program that trained it")


def _was_loading_weights(error: Exception) -> bool:
    """Whether the architecture stood already: a wrong one is unsupported, wrong weights are corrupt."""
    frames = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
    return bool(frames & _WEIGHT_LOADERS)
