"""A SavedModel: by tf_keras where it has Keras 2's metadata, else one of its signatures as the function that it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CorruptInputError, RefusedError, TorchgraftError, UnsupportedError, UsageError
from .keras2 import from_tf_keras
from .policy import FACTORY
from .saved_model_file import VARIABLES, SavedModelFile, saved_model_file
from .source import DEFAULT_SIGNATURE, LoadedModel, ModelSource


def saved_model(path: Path, source: ModelSource, custom: dict[str, Any]) -> LoadedModel:
    """The model in a folder that holds a SavedModel.

    Raises:
        UsageError: it has not the signature that is named.
        RefusedError: the job does not trust it, or it has operations that reach out of the graph.
        CorruptInputError: it is damaged, or a variable is not in its checkpoint.
        UnsupportedError: an operation that this TensorFlow does not know, or that cannot be exported.
    """
    described = saved_model_file(path)
    if described.outside:
        raise RefusedError(
            f"the SavedModel has operations that reach out of its graph: {', '.join(described.outside)}",
            where=str(path),
            fix=FACTORY,
        )
    if not source.trust:
        raise RefusedError(
            "received a SavedModel, whose graph runs while it is loaded",
            where=str(path),
            fix=f"set `trust: true` under `model` if you know who wrote it, save the model as .keras, or {FACTORY}",
        )
    asked = source.signature != DEFAULT_SIGNATURE
    if asked and source.signature not in described.signatures:
        raise _no_signature(UsageError, source, path, described.signatures)
    _check_operations(described)
    if asked:
        return _signature(described, source, "this signature is asked for")
    if described.keras and find_spec("tf_keras") is not None:
        import tf_keras

        try:
            theirs = tf_keras.models.load_model(path, compile=False, custom_objects=custom)
        except Exception as error:  # noqa: BLE001 - whatever tf_keras cannot revive: the signature says the same
            first = (str(error).strip().splitlines() or [""])[0][:200]
            return _signature(described, source, f"tf_keras cannot rebuild it ({type(error).__name__}: {first})")
        _prove_variables(theirs.variables, described)
        made = from_tf_keras(theirs, None)
        return LoadedModel(made.model, ("SavedModel with Keras 2's metadata", *made.notes))
    why = "Keras 2's metadata needs tf_keras, which is not installed" if described.keras else "no Keras metadata"
    return _signature(described, source, why)


def _check_operations(described: SavedModelFile) -> None:
    from tensorflow.python.framework import op_def_registry

    unknown = sorted(name for name in described.operations if op_def_registry.get(name) is None)
    library = unknown and _functions(described.path)
    unknown = [name for name in unknown if name not in (library or ())]
    if unknown:
        raise UnsupportedError(
            f"this TensorFlow does not know the operations {', '.join(unknown[:6])}",
            where=str(described.path),
            fix=FACTORY,
        )


def _functions(path: Path) -> set[str]:
    """Functions may stand as operations, under their own names."""
    from . import wire
    from .saved_model_file import GRAPH

    return {wire.first_text(one, 1, 1) for one in wire.below((path / GRAPH).read_bytes(), 2, 2, 2, 1)}


def _signature(described: SavedModelFile, source: ModelSource, why: str) -> LoadedModel:
    import keras
    import tensorflow as tf

    from .traced import TracedLayer

    path = described.path
    try:
        holder = tf.saved_model.load(str(path))
    except (IndexError, tf.errors.DataLossError, tf.errors.OutOfRangeError, tf.errors.NotFoundError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        what = f"the file of the variables is truncated or damaged ({first})"
        raise CorruptInputError(what, where=f"{path}/{VARIABLES}", fix="save or copy the whole folder again") from error
    except (tf.errors.OpError, ValueError, OSError, KeyError, AttributeError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        what = f"TensorFlow cannot load it ({type(error).__name__}: {first})"
        raise UnsupportedError(what, where=str(path), fix=FACTORY) from error
    if source.signature not in holder.signatures:
        raise _no_signature(UnsupportedError, source, path, holder.signatures)
    function = holder.signatures[source.signature]
    specs = dict(sorted(function.structured_input_signature[1].items()))
    inputs = {name: _input(name, spec, path) for name, spec in specs.items()}
    names = list(inputs)

    def call(values: list[Any]) -> Any:
        return function(**dict(zip(names, values, strict=True)))

    layer = TracedLayer(call, function.variables, source.signature)
    layer.holder = holder  # its variables live as long as it does
    _prove_variables(function.variables, described)
    assert not layer.prove(), layer.prove()
    given = [inputs[name] for name in names]
    layer.check(given)
    model = keras.Model(given[0] if len(given) == 1 else given, layer(given), name="saved_model")
    note = f"SavedModel, signature {source.signature!r} as TensorFlow operations, one layer for all of it: {why}"
    return LoadedModel(model, (note,))


def _no_signature(
    kind: type[TorchgraftError], source: ModelSource, path: Path, signatures: Iterable[str]
) -> TorchgraftError:
    known = sorted(name for name in signatures if not name.startswith("__"))
    return kind(
        f"there is no signature {source.signature!r}; there are {', '.join(known) or 'none'}",
        where=str(path),
        fix="name one with `signature` under `model`, or save it with signatures",
    )


def _input(name: str, spec: Any, path: Path) -> Any:
    import keras

    if spec.shape.rank is None or spec.dtype.name == "string":
        raise UnsupportedError(
            f"input {name!r} of the signature is {spec.dtype.name} of shape {spec.shape}",
            where=str(path),
            fix="save it with a signature whose inputs are numbers of a known rank",
        )
    return keras.Input(batch_shape=tuple(spec.shape), dtype=spec.dtype.name, name=name)


def _prove_variables(variables: Any, described: SavedModelFile) -> None:
    """Every variable, counted by content, is in the checkpoint of the SavedModel."""
    import tensorflow as tf

    if not variables:
        return
    reader = tf.train.load_checkpoint(str(described.path / VARIABLES))
    kept = Counter(
        _key(reader.get_tensor(name))
        for name in reader.get_variable_to_shape_map()
        if not name.startswith("_CHECKPOINT")
    )
    for variable in variables:
        key = _key(variable.numpy())
        if not kept[key]:
            raise CorruptInputError(
                f"variable {variable.name!r} is not what the checkpoint holds",
                where=str(described.path),
                fix="save or copy the whole folder again",
            )
        kept[key] -= 1


def _key(array: Any) -> tuple[Any, ...]:
    array = np.asarray(array)
    return array.shape, array.dtype.name, array.tobytes()
