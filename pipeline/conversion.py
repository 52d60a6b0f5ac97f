"""One conversion: the six stages in order, and what they gave.

>>> conversion = convert("lenet.keras", LeNet5(), inputs=images)
>>> conversion.verified
True
>>> module.load_state_dict(conversion.state_dict, strict=True)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..stages.base import (
    Artifacts,
    Comparison,
    ExportedGraph,
    Extraction,
    Finding,
    ImportedModule,
    Job,
    NormalizedGraph,
    Progress,
    Silent,
    Stage,
    Tolerance,
    Verification,
    run_stage,
)
from ..stages.errors import DifferenceError, TorchgraftError, UnsupportedError, UsageError
from ..stages.plan import Array, Plan

if TYPE_CHECKING:
    import keras
    import torch

IMPORTED = "the imported module"


class StageProgress(Progress, Protocol):
    """A Progress that is also told where the stages begin and end."""

    def started(self, stage: str, number: int, total: int) -> None: ...

    def finished(self, stage: str, seconds: float) -> None: ...


class SilentStages(Silent):
    """The StageProgress of somebody who does not want any."""

    def started(self, stage: str, number: int, total: int) -> None: ...

    def finished(self, stage: str, seconds: float) -> None: ...


@dataclass(frozen=True)
class Conversion:
    """What a conversion gave.

    Attributes:
        job: what was asked for; its ``module`` is the imported one where no other was given.
        artifacts: of the six stages, each under its class.
        timings: stage → seconds.
    """

    job: Job
    artifacts: Artifacts
    timings: Mapping[str, float]

    @property
    def verified(self) -> bool:
        """Outputs and layers agree in all three runtimes, and no finding of severity "error"."""
        return self.verification.verified and self.comparison.verified

    @cached_property
    def state_dict(self) -> dict[str, torch.Tensor]:
        """The user's keys → tensors, in the module's order; keys that the plan leaves as they are come from the module.

        Keys that are tied in the module are one tensor here.
        """
        from ..stages.deliver import tensor_of

        assert self.job.module is not None
        own = self.job.module.state_dict()
        state = self.artifacts[Extraction].state
        tensors = {
            key: tensor_of(state[key]) if key in state else own[key].detach().contiguous().clone()
            for key in self.plan.shapes
        }
        for first, *others in self.plan.ties:
            tensors.update(dict.fromkeys(others, tensors[first]))
        return tensors

    @property
    def plan(self) -> Plan:
        """Every key with the Recipe that makes it."""
        return self.artifacts[Extraction].plan

    @property
    def comparison(self) -> Comparison:
        """Outputs and layers of Keras, ONNX Runtime and the user's module."""
        return self.artifacts[Comparison]

    @property
    def verification(self) -> Verification:
        """The ONNX graphs, raw and normalised, against Keras."""
        return self.artifacts[Verification]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What weights cannot mend, worst first."""
        return self.comparison.findings

    @property
    def imported(self) -> torch.fx.GraphModule:
        """The module that onnx2torch made, runnable; it takes the inputs in the normalised graph's layout."""
        return self.artifacts[ImportedModule].module

    def comparison_json(self) -> dict[str, Any]:
        """Everything that was compared, as in ``comparison.json``."""
        from ..stages.deliver import comparison_json

        return comparison_json(self.comparison, self.verification, self.job.tolerance)

    def write_onnx(self, folder: str | Path) -> None:
        """Write ``model.onnx``, the normalised graph with its weights inside, into ``folder``."""
        from ..stages.deliver import write_onnx

        write_onnx(self.artifacts[NormalizedGraph], self.artifacts[ExportedGraph], Path(folder))

    def save(self, folder: str | Path, *, onnx: bool = False, allow_unverified: bool = False) -> None:
        """Write every file of the conversion into ``folder``, atomically, manifest last.

        Raises:
            DifferenceError: the conversion is not verified, and ``allow_unverified`` is not set.
            LockedError, ResourceError: the folder is in use, or cannot be written.
        """
        from .delivery import save_conversion
        from .summary import difference_error

        if not self.verified and not allow_unverified:
            raise difference_error(self)
        save_conversion(self, Path(folder), onnx=onnx)


def convert(
    model: str | Path | keras.Model,
    module: str | torch.nn.Module | None = None,
    *,
    inputs: Array | Mapping[str, Array] | None = None,
    labels: Array | None = None,
    tolerance: Tolerance | None = None,
    probe_samples: int = 4,
    samples: int = 16,
    seed: int = 0,
    progress: StageProgress | None = None,
) -> Conversion:
    """Graft the weights of a Keras model onto a PyTorch module.

    Args:
        model: a ``keras.Model``, a ``.keras`` or ``.h5`` path, or "file.py:function".
        module: an ``nn.Module``, "file.py:Class" or "package.module:attribute"; None: the imported one is it.
        inputs: of the Keras model, batch first, in Keras layout: one array, or name → array. None: random ones.
        labels: integer class labels of the inputs; then accuracies are measured.
        tolerance: when two arrays agree; ``Tolerance()`` by default.
        probe_samples: how many samples are compared layer by layer.
        samples: how many inputs are generated where none are given.
        seed: of every random number.
        progress: is told what is being done.

    Raises:
        TorchgraftError: see stages/errors.py. A module whose outputs differ is not an error here:
            ``Conversion.verified`` is False and ``Conversion.findings`` says why.
    """
    from ..stages import load

    base = Path.cwd()
    keras_model = load.keras_model(str(model), base) if isinstance(model, str | Path) else model
    torch_module = load.torch_module(module, {}, base) if isinstance(module, str) else module
    arrays = load.generated_inputs(keras_model, samples, seed) if inputs is None else _named(inputs, keras_model)
    job = Job(
        model=keras_model,
        module=torch_module,
        inputs=arrays,
        labels=None if labels is None else np.asarray(labels),
        tolerance=tolerance or Tolerance(),
        probe_samples=probe_samples,
        seed=seed,
        model_source=str(model) if isinstance(model, str | Path) else f"the model {keras_model.name!r}",
        module_source=module if isinstance(module, str) else type(module).__qualname__,
    )
    return run_stages(job, progress or SilentStages())


def run_stages(job: Job, progress: StageProgress) -> Conversion:
    """The six stages, each timed and under its contract.

    Raises:
        TorchgraftError: with the stage, and those before it, in its details.
    """
    _check_job(job)
    artifacts = Artifacts(job)
    timings: dict[str, float] = {}
    chain = stages()
    for number, stage in enumerate(chain, 1):
        progress.started(stage.name, number, len(chain))
        start = time.perf_counter()
        try:
            run_stage(stage, artifacts, progress)
            _check_result(artifacts, stage.gives)
        except TorchgraftError as error:
            error.details = (*error.details, _stage_note(job, stage.name, timings))
            raise
        timings[stage.name] = time.perf_counter() - start
        progress.finished(stage.name, timings[stage.name])
    return Conversion(artifacts[Job], artifacts, timings)


def stages() -> tuple[Stage, ...]:
    """The six stages, in order."""
    from ..stages.compare import Compare
    from ..stages.export import Export
    from ..stages.extract import Extract
    from ..stages.importer import Import
    from ..stages.normalize import Normalize
    from ..stages.verify import Verify

    return (Export(), Normalize(), Verify(), Import(), Extract(), Compare())


def _check_result(artifacts: Artifacts, kind: type) -> None:
    """What only the pipeline asks of an artifact: weights are finite, graphs agree, and there is a target."""
    if kind is ExportedGraph:
        _refuse_not_finite(artifacts[ExportedGraph].variables)
    elif kind is Verification and not artifacts[Verification].verified:
        from .summary import graph_error

        raise graph_error(artifacts[Verification], artifacts[Job])
    elif kind is ImportedModule and artifacts[Job].module is None:
        imported = artifacts[ImportedModule].module
        artifacts.add(replace(artifacts[Job], module=imported, module_source=IMPORTED))


def _refuse_not_finite(variables: Mapping[str, Array]) -> None:
    """Raise DifferenceError for NaN or Inf: every runtime agrees on NaN, so nothing else would find it."""
    for path, array in variables.items():
        if array.dtype.kind in "iub" or (finite := np.isfinite(array)).all():
            continue
        index = tuple(int(axis) for axis in np.argwhere(~finite)[0])
        count = int(array.size - np.count_nonzero(finite))
        raise DifferenceError(
            f"the weight holds {array[index]} at index {index} ({count} of {array.size} values are not finite)",
            where=path,
            fix="train or restore the model again: such a model predicts nothing that could be compared",
        )


def _check_job(job: Job) -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UnsupportedError(
            f"Keras runs on the backend {keras.backend.backend()}, and tf2onnx exports from TensorFlow",
            where="keras",
            fix="set KERAS_BACKEND=tensorflow before Keras is imported",
        )
    if job.labels is not None and len(job.labels) != len(next(iter(job.inputs.values()))):
        raise UsageError(
            f"{len(job.labels)} labels for {len(next(iter(job.inputs.values())))} samples",
            where="labels",
            fix="give one label for each sample",
        )


def _named(inputs: Array | Mapping[str, Array], model: keras.Model) -> dict[str, Array]:
    if isinstance(inputs, Mapping):
        return {name: np.asarray(array) for name, array in inputs.items()}
    from ..stages.keras_io import declared_inputs

    # A subclassed model declares none: then the array is its first argument, by whatever name.
    names = [entry.name for entry in declared_inputs(model)] or ["inputs"]
    if len(names) != 1:
        raise UsageError(
            f"one array for the inputs {', '.join(names)}", where="inputs", fix="give a dict: input name → array"
        )
    return {names[0]: np.asarray(inputs)}


def _stage_note(job: Job, failed: str, timings: Mapping[str, float]) -> str:
    done = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in timings.items()) or "none"
    return f"In stage {failed} of {job.model_source} → {job.module_source}; stages done: {done}."
