"""Inputs and labels: from a file or from the user's factory, checked against the model."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import CorruptInputError, DifferenceError, RefusedError, UsageError
from ..plan import Array
from . import gate, user_code
from .generate import InputSpec, input_specs

if TYPE_CHECKING:
    import keras

LABELS = "labels"


def inputs(source: str | Path, base: Path, model: keras.Model, labels_key: str = LABELS) -> dict[str, Array]:
    """Input name → array, batch first, checked against the model.

    ``source`` is an .npz whose keys are the input names (``labels_key`` is left aside), an .npy or an .npz of one
    array for a model of one input, or "file.py:function" returning such an array or a dict of arrays.

    Raises:
        UsageError: names, shapes, dtypes or lengths that the model does not take; says what it expects.
        DifferenceError: NaN or Inf in an input: nothing can be compared on it.
        CorruptInputError, RefusedError: a file that cannot be read, or that holds Python objects.
    """
    found = _read(source, base, "inputs")
    specs = input_specs(model)
    names = {spec.name for spec in specs}
    arrays = {name: array for name, array in found.items() if name != labels_key or name in names}
    if len(arrays) == len(specs) == 1:
        arrays = {specs[0].name: next(iter(arrays.values()))}
    return checked_inputs(arrays, model, str(source))


def checked_inputs(arrays: Mapping[str, Array], model: keras.Model, where: str) -> dict[str, Array]:
    """The arrays in the order of the model's inputs, found to be what it takes; errors as of ``inputs``."""
    arrays = {name: _numeric(array, where) for name, array in arrays.items()}
    specs = input_specs(model)
    if specs:
        _check_names(arrays, specs, where)
        for spec in specs:
            _check_array(arrays[spec.name], spec, where)
        arrays = {spec.name: arrays[spec.name] for spec in specs}
    _check_lengths(arrays, where)
    for name, array in arrays.items():
        check_finite(array, f"{where}: input {name!r}")
    return arrays


def labels(source: str | Path, base: Path, samples: int, key: str = LABELS) -> Array:
    """Integer class labels, one a sample, from an .npy, the array ``key`` of an .npz, or "file.py:function".

    Raises:
        UsageError: not integers, not one-dimensional, or not as many as ``samples``.
    """
    found = _read(source, base, key)
    if key not in found:
        raise UsageError(f"has the arrays {', '.join(found)}, no {key!r}", where=str(source), fix="name one of them")
    return checked_labels(found[key], samples, str(source))


def checked_labels(array: Array, samples: int, where: str) -> Array:
    """The labels, found to be one integer a sample; errors as of ``labels``."""
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise UsageError(
            f"labels are integer classes of shape ({samples},); received {array.dtype} {array.shape}",
            where=where,
            fix="one-hot labels become classes by array.argmax(-1)" if array.ndim == 2 else "give one integer a sample",
        )
    if len(array) != samples:
        raise UsageError(f"{len(array)} labels for {samples} samples", where=where, fix="give one a sample")
    return array


def _read(source: str | Path, base: Path, kind: str) -> dict[str, Array]:
    """Name → array; the name of a lone array is ``kind``."""
    if user_code.is_code(str(source)):
        function = user_code.attribute(str(source), base, UsageError)
        if not callable(function):
            raise UsageError(f"is a {type(function).__name__}", where=str(source), fix="name a function")
        given = user_code.call(function, str(source), base, UsageError)
        arrays = given if isinstance(given, Mapping) else {kind: given}
        return {str(name): np.asarray(array) for name, array in arrays.items()}
    path = gate.local_file(source, base, kind)
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            arrays = {name: loaded[name] for name in loaded.files} if hasattr(loaded, "files") else {kind: loaded}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, KeyError) as error:
        if "allow_pickle" in str(error) and _begins_like_pickle_or_numpy(path):
            raise RefusedError(
                "the file holds Python objects (a pickle)", where=str(path), fix="save plain arrays with numpy.savez"
            ) from None
        what = f"is empty, truncated or no .npy or .npz file ({error})"
        raise CorruptInputError(what, where=str(path), fix="save it again with numpy.savez") from None
    return arrays


def _begins_like_pickle_or_numpy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) in (b"\x80", b"\x93", b"P")


def _numeric(array: Array, where: str) -> Array:
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        fix = "give numbers or booleans"
        if array.dtype.kind in "USO":
            fix += ": what reads texts (StringLookup, TextVectorization) is called before the model, on the data"
        raise UsageError(f"received an array of dtype {array.dtype}", where=where, fix=fix)
    return array


def _check_names(arrays: Mapping[str, Array], specs: tuple[InputSpec, ...], where: str) -> None:
    if set(arrays) != {spec.name for spec in specs}:
        raise UsageError(
            f"received {', '.join(arrays) or 'nothing'}",
            where=where,
            fix="the model takes " + "; ".join(str(spec) for spec in specs),
        )


def _check_array(array: Array, spec: InputSpec, where: str) -> None:
    received = f"received {array.dtype} {array.shape}, input {spec} is expected"
    fits = len(array.shape) == len(spec.shape) and all(
        expected in (None, size) for size, expected in zip(array.shape, spec.shape, strict=True)
    )
    if not fits:
        fix = "the first axis is the batch" if len(array.shape) + 1 == len(spec.shape) else "give it in Keras layout"
        raise UsageError(received, where=where, fix=fix)
    if array.dtype.name != spec.dtype:
        raise UsageError(received, where=where, fix=f"convert it with .astype({spec.dtype!r})")


def _check_lengths(arrays: Mapping[str, Array], where: str) -> None:
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        told = ", ".join(f"{name} {length}" for name, length in lengths.items()) or "none"
        raise UsageError(f"samples an input: {told}", where=where, fix="give equally many samples, at least one")


def check_finite(array: Array, where: str) -> None:
    """Refuse what nothing can be compared on.

    Raises:
        DifferenceError: names the first NaN or Inf and its index.
    """
    if array.dtype.kind in "biu":
        return
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(axis) for axis in np.argwhere(~finite)[0])
        count = int(finite.size - np.count_nonzero(finite))
        raise DifferenceError(
            f"{array[index]} at index {index} ({count} of {array.size} values are not finite)",
            where=where,
            fix="give finite values",
        )
