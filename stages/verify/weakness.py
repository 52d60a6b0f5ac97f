"""Whether the outputs tell anything: a model that is saturated, or dead, gives the same whatever it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import keras
import numpy as np

from ..base import Run
from ..errors import DifferenceError
from ..plan import Array
from .keras_run import run_keras
from .samples import Samples

#: By what floating inputs are multiplied to see whether any would do better.
STRONGER = (10.0, 0.1, 1000.0)


def refuse_weak(model: keras.Model, samples: Samples, run: Run) -> None:
    """Raise a DifferenceError where no output differs between samples: equal ones prove nothing of the weights."""
    if samples.count < 2 or not model.weights or not run.outputs or not _is_weak(run.outputs.values()):
        return
    better = next((factor for factor in STRONGER if not _is_weak(_stronger(model, samples, factor))), None)
    names = ", ".join(run.outputs)
    tried = " and ".join(f"{factor:g}" for factor in STRONGER)
    raise DifferenceError(
        f"weak probe: {names} {'is' if len(run.outputs) == 1 else 'are'} the same on all {samples.count} samples",
        where=f"output {next(iter(run.outputs))}",
        fix=f"give inputs {better:g} times as large: on them the outputs differ"
        if better
        else f"give inputs on which the outputs differ; on {tried} times these they do not either: some layer is "
        "saturated or dead",
    )


def _stronger(model: keras.Model, samples: Samples, factor: float) -> list[Array]:
    count = min(samples.count, max(samples.probed, 2))
    inputs: Mapping[str, Array] = {
        name: array[:count] * np.asarray(factor, array.dtype) if array.dtype.kind == "f" else array[:count]
        for name, array in samples.inputs.items()
    }
    return list(run_keras(model, replace(samples, inputs=inputs, probed=count, probe_batch=count)).outputs.values())


def _is_weak(outputs: Iterable[Array]) -> bool:
    """Whether every output is finite and the same for all samples."""
    return all(np.isfinite(array).all() and (array == array[:1]).all() for array in outputs)
