"""One conversion: the six stages in order, and what they gave.

>>> conversion = convert("lenet.keras", LeNet5(), inputs=images)
>>> conversion.verified
True
>>> module.load_state_dict(conversion.state_dict, strict=True)
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..stages.base import (
    Artifacts,
    Comparison,
    ExportedGraph,
    Extraction,
    Finding,
    ImportedModule,
    Job,
    NormalizedGraph,
    Tolerance,
    Verification,
)
from ..stages.fit import Fit
from ..stages.plan import Array, Plan
from ..stages.precision import derived_tolerance
from .chain import IMPORTED, SilentStages, StageProgress, run_stages
from .stated import hints_of, patterns_of

if TYPE_CHECKING:
    import keras
    import torch

    from ..stages.load import ModelSource


@dataclass(frozen=True)
class Conversion:
    """What a conversion gave.

    Attributes:
        job: what was asked for; its ``module`` is the imported one where no other was given.
        artifacts: of the six stages, each under its class.
        timings: stage → seconds.
        owns_module: whether nobody else has the module: the weights are then put into it, where they are asked for.
    """

    job: Job
    artifacts: Artifacts
    timings: Mapping[str, float]
    owns_module: bool = False

    @property
    def verified(self) -> bool:
        """Outputs and layers agree in all three runtimes, and no finding of severity "error"."""
        return self.verification.verified and self.comparison.verified

    @cached_property
    def state_dict(self) -> dict[str, torch.Tensor]:
        """The user's keys → tensors, in the module's order; keys that the plan leaves as they are come from the module.

        Keys that are tied in the module are one tensor here. It is a copy of all weights, made when it is asked for and
        kept (with ``owns_module`` it is the module's own): ``load_into`` does without.
        """
        from ..stages.torch_graph import exact_tensor, packed

        assert self.job.module is not None
        if self.owns_module:
            self.load_into(self.job.module)
            held = self.job.module.state_dict()
            return {key: packed(held[key]) for key in self.plan.shapes}
        own = self.job.module.state_dict()
        state = self.artifacts[Extraction].state
        tensors = {
            key: exact_tensor(state[key]) if key in state else own[key].detach().contiguous().clone()
            for key in self.plan.shapes
        }
        for first, *others in self.plan.ties:
            tensors.update(dict.fromkeys(others, tensors[first]))
        return tensors

    def load_into(self, module: torch.nn.Module) -> None:
        """Do what ``module.load_state_dict(conversion.state_dict, strict=True)`` does, without a second copy of all.

        Tensor by tensor, straight from the memory of the Keras variables; keys that the plan leaves as they are stay.

        Raises:
            UsageError: the module has other keys, shapes or dtypes than the one that was converted.
        """
        from ..stages.torch_graph import put_into

        put_into(module, self.artifacts[Extraction].state, self.plan.shapes)

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
    def partial(self) -> str:
        """What of the Keras model, or of the module, takes no part in a partial target; "" where all does."""
        from .partial import partial_of

        return partial_of(self.artifacts[Extraction])

    @cached_property
    def imported(self) -> torch.fx.GraphModule:
        """The module that onnx2torch made, runnable; it takes the inputs in the normalised graph's layout.

        In memory of its own: beside a module of the user's this is a copy, made when it is asked for.
        """
        from ..stages.torch_graph import in_own_memory

        module = self.artifacts[ImportedModule].module
        if module is self.job.module:
            return module
        module = copy.deepcopy(module)
        in_own_memory(module)
        return module

    @property
    def fit(self) -> Fit:
        """How the module takes Keras' inputs and gives Keras' outputs, as stated or found."""
        return self.artifacts[Extraction].fit

    def comparison_json(self) -> dict[str, Any]:
        """Everything that was compared, as in ``comparison.json``."""
        from ..stages.deliver import comparison_json, left_over_json

        comparison = comparison_json(self.comparison, self.verification, self.job.tolerance)
        return {
            **comparison,
            **left_over_json(self.artifacts[Extraction]),
            "partial": self.partial,
            "fit": self.fit.to_json(),
        }

    def evidence_json(self) -> dict[str, Any]:
        """Why every key holds what it holds, as in ``evidence.json``."""
        from ..stages.deliver import evidence_json

        return evidence_json(self.artifacts[Extraction])

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
    model: str | Path | ModelSource | keras.Model,
    module: str | torch.nn.Module | None = None,
    *,
    inputs: Array | Mapping[str, Array] | None = None,
    labels: Array | None = None,
    tolerance: Tolerance | None = None,
    probe_samples: int = 4,
    samples: int = 16,
    seed: int = 0,
    hints: Mapping[str, str] | Plan | None = None,
    allow_unmatched: Iterable[str] = (),
    fit: Fit | Mapping[str, Any] | None = None,
    progress: StageProgress | None = None,
) -> Conversion:
    """Graft the weights of a Keras model onto a PyTorch module.

    Args:
        model: a ``keras.Model`` or ``tf_keras.Model``, a path, "file.py:function", or a ``ModelSource``, which says of
            a file what a config can: weights apart from their architecture, custom objects, trust.
        module: an ``nn.Module``, "file.py:Class" or "package.module:attribute"; None: the imported one is it.
        inputs: of the Keras model, batch first, in Keras layout: one array, or name → array. None: random ones.
        labels: integer class labels of the inputs; then accuracies are measured.
        tolerance: when two arrays agree; derived from what the two compute in by default.
        probe_samples: how many samples are compared layer by layer.
        samples: how many inputs are generated where none are given.
        seed: of every random number.
        hints: key or module path → Keras variable or layer path, what ``*`` and ``**`` stand for carried over; or a
            previous Plan. Decides what values leave open; a wrong one is contradicted.
        allow_unmatched: keys ("head.*", or "head") that keep the module's own values; what they read is compared.
        fit: how the module takes Keras' inputs and gives Keras' outputs, as the config has it; found where not stated.
        progress: is told what is being done.

    Raises:
        TorchgraftError: see stages/errors.py. A module whose outputs differ is not an error here:
            ``Conversion.verified`` is False and ``Conversion.findings`` says why.
    """
    from ..stages import load
    from . import arguments

    base = Path.cwd()
    seed = arguments.whole_number(seed, 0, "seed")
    samples = arguments.whole_number(samples, 1, "samples")
    probe_samples = arguments.whole_number(probe_samples, 1, "probe_samples")
    tolerance = arguments.tolerance_of(tolerance)
    torch_module = arguments.module_of(module, base)
    loaded = arguments.model_of(model, base)
    keras_model = loaded.model
    if inputs is None:
        arrays = load.generated_inputs(keras_model, samples, seed)
    else:
        arrays = arguments.inputs_of(inputs, keras_model)
    job = Job(
        model=keras_model,
        module=torch_module,
        inputs=arrays,
        labels=arguments.labels_of(labels, len(next(iter(arrays.values())))),
        tolerance=tolerance or derived_tolerance(keras_model, torch_module),
        probe_samples=probe_samples,
        seed=seed,
        fit=arguments.fit_of(fit),
        hints=hints_of(hints, base),
        allow_unmatched=patterns_of(allow_unmatched),
        model_source=f"the model {keras_model.name!r}" if hasattr(model, "layers") else str(model),
        model_notes=loaded.notes,
        module_source=_source(module),
    )
    return run_conversion(job, progress or SilentStages())


def _source(module: str | torch.nn.Module | None) -> str:
    if module is None:
        return IMPORTED
    return module if isinstance(module, str) else type(module).__qualname__


def run_conversion(job: Job, progress: StageProgress) -> Conversion:
    """The six stages of a job; TorchgraftError as ``convert`` raises it."""
    artifacts, timings = run_stages(job, progress)
    return Conversion(artifacts[Job], artifacts, timings)
