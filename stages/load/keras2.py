"""A file of Keras 1 or 2: by Keras 3 where that can be, else by tf_keras; which one and why is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TorchgraftError, UnsupportedError
from .keras3 import filled, rebuilt
from .legacy_config import FUNCTIONS, translated
from .policy import FACTORY
from .proof import prove_tf_keras_weights, prove_weights
from .source import LoadedModel
from .stored import StoredWeights

if TYPE_CHECKING:
    import keras

PIP = "pip install 'torchgraft[keras2]' (tf_keras, Keras 2's own code)"


def is_legacy(version: str) -> bool:
    """Whether Keras 1 or 2 wrote it."""
    return version.startswith(("1.", "2."))


def legacy_model(
    stored: StoredWeights, custom: Mapping[str, Any], *, trust: bool, architecture: Path | None = None
) -> LoadedModel:
    """The model of a file that passed the policy.

    Args:
        stored: its architecture and weights.
        custom: name → the job's own class or function.
        trust: whether the file's own code may run.
        architecture: the JSON file that the architecture is from, where it is not in the file of weights.

    Raises:
        UnsupportedError: Keras 3 cannot rebuild it, and tf_keras is missing, or cannot either.
        CorruptInputError: the weights are not those that the config describes.
    """
    writer = f"written by Keras {stored.keras_version}"
    read = partial(_tf_keras_model, stored, custom, trust=trust, architecture=architecture)
    where = architecture or stored.path
    try:
        config, changes = translated(stored.config, stored.keras_version, str(where))
        model = rebuilt(config, where, {**FUNCTIONS, **custom}, trust=trust)
    except UnsupportedError as refused:
        if stored.keras_version.startswith("1."):
            raise
        made = from_tf_keras(_by_tf_keras(read, where, refused), stored)
        return LoadedModel(made.model, (f"{writer}; Keras 3 cannot: {_short(refused)}", *made.notes))
    filled(model, stored)
    prove_weights(model, stored)
    return LoadedModel(model, (f"{writer}, read by Keras 3; {_compared(model, read)}", *changes))


def is_tf_keras_model(model: Any) -> bool:
    """Whether it is one, without importing tf_keras."""
    kinds = type(model).__mro__
    return any(kind.__module__.split(".")[0] == "tf_keras" and kind.__name__ == "Model" for kind in kinds)


def from_tf_keras(model: Any, stored: StoredWeights | None) -> LoadedModel:
    """A tf_keras model as a Keras 3 model, its weights proven against the file where there is one."""
    from .from_tf_keras import keras3_model

    if stored is not None:
        prove_tf_keras_weights(model, stored)
    return LoadedModel(*keras3_model(model))


def _compared(model: keras.Model, read: Callable[[], Any]) -> str:
    """Whether Keras 2's own code gives the same outputs: a name may mean another thing there (``hard_sigmoid`` did).

    Raises:
        DifferenceError: it does not.
    """
    if find_spec("tf_keras") is None:
        return "not compared with Keras 2's own code, since tf_keras is not installed"
    from .from_tf_keras import prove_outputs

    try:
        theirs = read()
    except Exception as error:  # noqa: BLE001 - whatever tf_keras cannot read of an old file
        return f"not compared with Keras 2's own code, since tf_keras cannot read it ({type(error).__name__})"
    prove_outputs(theirs, model)
    return "tf_keras computes the same on random inputs"


def _by_tf_keras(read: Callable[[], Any], where: Path, reason: TorchgraftError) -> Any:
    if find_spec("tf_keras") is None:
        what = f"{reason.what.splitlines()[0]}, and tf_keras is not installed"
        raise UnsupportedError(what, where=str(where), fix=f"{PIP}, or {FACTORY}")
    try:
        return read()
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:400]
        raise UnsupportedError(
            f"neither Keras 3 nor tf_keras can rebuild the model ({type(error).__name__}: {first})",
            where=str(where),
            fix=reason.fix,
            details=(f"Keras 3: {reason.what}",),
        ) from error


def _tf_keras_model(stored: StoredWeights, custom: Mapping[str, Any], *, trust: bool, architecture: Path | None) -> Any:
    import tf_keras

    if architecture is not None:
        model = tf_keras.models.model_from_json(architecture.read_text(encoding="utf-8"), dict(custom))
        model.load_weights(stored.path)
        return model
    options = {"safe_mode": not trust} if stored.format == "keras" else {}
    return tf_keras.models.load_model(stored.path, compile=False, custom_objects=dict(custom), **options)


def _short(reason: TorchgraftError) -> str:
    """Its first line, without what Keras prints of a layer's whole config."""
    return reason.what.splitlines()[0].partition(" using config=")[0][:200]
