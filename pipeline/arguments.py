"""What the caller of ``convert`` gave, held to what a config is held to: wrong types and values are usage errors."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from ..stages import load
from ..stages.base import Tolerance
from ..stages.errors import UsageError
from ..stages.fit import Fit
from ..stages.plan import Array
from .config import FitOptions

if TYPE_CHECKING:
    import keras
    import torch


def model_of(model: Any, base: Path) -> load.LoadedModel:
    """The Keras model, loaded where a path, "file.py:function" or a ``ModelSource`` is given."""
    if isinstance(model, str | Path):
        model = load.ModelSource.of(model)
    if isinstance(model, load.ModelSource):
        return load.load_model(model, base)
    loaded = load.model_in_memory(model)
    if loaded is None:
        fix = "give a keras.Model, a path, or 'file.py:function'"
        raise UsageError(f"received {_kind(model)}", where="model", fix=fix)
    return loaded


def module_of(module: Any, base: Path) -> torch.nn.Module | None:
    """The module, built where "file.py:Class" is given; None for None."""
    import torch

    if isinstance(module, str):
        return load.torch_module(module, {}, base)
    if module is not None and not isinstance(module, torch.nn.Module):
        is_class = isinstance(module, type) and issubclass(module, torch.nn.Module)
        fix = f"build it: {module.__name__}(…)" if is_class else "give a torch.nn.Module, 'file.py:Class', or None"
        raise UsageError(f"received {_kind(module)}", where="module", fix=fix)
    return module


def inputs_of(inputs: Any, model: keras.Model) -> dict[str, Array]:
    """Input name → array, checked as those of a file are.

    Raises:
        UsageError: no arrays, or not what the model takes.
        DifferenceError: NaN or Inf.
    """
    specs = load.input_specs(model)
    takes = "; ".join(str(spec) for spec in specs)
    if not isinstance(inputs, Mapping):
        # A subclassed model declares no inputs: then the array is its first argument, by whatever name.
        names = [spec.name for spec in specs] or ["inputs"]
        if len(names) != 1:
            fix = f"give a dict: input name → array, of {takes}"
            raise UsageError(f"one array for the inputs {', '.join(names)}", where="inputs", fix=fix)
        inputs = {names[0]: inputs}
    arrays = {str(name): _array(given, f"inputs[{name!r}]", takes) for name, given in inputs.items()}
    return load.checked_inputs(arrays, model, "inputs")


def labels_of(labels: Any, samples: int) -> Array | None:
    """One integer class a sample, checked as those of a file are; None for None."""
    if labels is None:
        return None
    return load.checked_labels(_array(labels, "labels", "one integer a sample"), samples, "labels")


def tolerance_of(tolerance: Any) -> Tolerance | None:
    """The tolerance; None where it is to be derived from what the models compute in."""
    fix = "give torchgraft.Tolerance(atol=…, rtol=…)"
    if tolerance is None:
        return None
    if not isinstance(tolerance, Tolerance):
        raise UsageError(f"received {_kind(tolerance)}", where="tolerance", fix=fix)
    for name in ("atol", "rtol"):
        value = getattr(tolerance, name)
        if not isinstance(value, Real) or not math.isfinite(value) or value < 0:
            raise UsageError(f"{name} is {value!r}", where="tolerance", fix=f"{fix} of finite numbers, 0 or more")
    return tolerance


def fit_of(fit: Any) -> Fit:
    """What is stated of how the module is fed and what it gives; nothing for None."""
    if fit is None or isinstance(fit, Fit):
        return fit or Fit()
    try:
        return FitOptions.model_validate(fit).stated()
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'fit'}: {fault['msg']}" for fault in error.errors()]
        raise UsageError(
            "; ".join(faults), where="fit", fix="write it as in a config: {'inputs': …, 'outputs': …, 'options': …}"
        ) from None


def whole_number(value: Any, least: int, name: str) -> int:
    """``value``, a whole number of at least ``least``."""
    if not isinstance(value, Integral) or int(value) < least:
        raise UsageError(f"received {value!r}", where=name, fix=f"give a whole number, {least} or more")
    return int(value)


def _array(given: Any, where: str, takes: str) -> Array:
    fix = "give a numpy array, as by numpy.asarray(…).astype(…)" + (f"; expected is {takes}" if takes else "")
    if not hasattr(given, "__array__"):
        raise UsageError(f"received {_kind(given)}", where=where, fix=fix)
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{_kind(given)} gives no array: {error}", where=where, fix=fix) from error


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    return f"{type(value).__qualname__} {reprlib.repr(value)}"
