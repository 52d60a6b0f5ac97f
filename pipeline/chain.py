"""The six stages in order: each under its contract, timed, and what only the pipeline asks of what they give."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from ..stages.base import Artifacts, ImportedModule, Job, Progress, Silent, Stage, Verification, run_stage
from ..stages.errors import TorchgraftError, UnsupportedError
from .stated import check_stated

IMPORTED = "the imported module"


class StageProgress(Progress, Protocol):
    """A Progress that is also told where the stages begin and end."""

    def started(self, stage: str, number: int, total: int) -> None: ...

    def finished(self, stage: str, seconds: float) -> None: ...


class SilentStages(Silent):
    """The StageProgress of somebody who does not want any."""

    def started(self, stage: str, number: int, total: int) -> None: ...

    def finished(self, stage: str, seconds: float) -> None: ...


def run_stages(job: Job, progress: StageProgress) -> tuple[Artifacts, dict[str, float]]:
    """(the artifacts of all six stages, stage → seconds).

    Raises:
        TorchgraftError: with the stage, and those before it, in its details.
    """
    _check_backend()
    check_stated(job)
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
    return artifacts, timings


def stages() -> tuple[Stage, ...]:
    """The six stages, in order."""
    with _uncollected():
        from ..stages.compare import Compare
        from ..stages.export import Export
        from ..stages.extract import Extract
        from ..stages.importer import Import
        from ..stages.normalize import Normalize
        from ..stages.verify import Verify

    return (Export(), Normalize(), Verify(), Import(), Extract(), Compare())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: what importing torch makes all stays, and looking for garbage among it takes long."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check_result(artifacts: Artifacts, kind: type) -> None:
    """What only the pipeline asks of an artifact: the graphs agree, and there is a target."""
    if kind is Verification and not artifacts[Verification].verified:
        from ..stages.verify import difference_error

        raise difference_error(artifacts[Verification])
    if kind is ImportedModule and artifacts[Job].module is None:
        imported = artifacts[ImportedModule].module
        artifacts.add(replace(artifacts[Job], module=imported, module_source=IMPORTED))


def _check_backend() -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UnsupportedError(
            f"Keras runs on the backend {keras.backend.backend()}, and tf2onnx exports from TensorFlow",
            where="keras",
            fix="set KERAS_BACKEND=tensorflow before Keras is imported",
        )


def _stage_note(job: Job, failed: str, timings: Mapping[str, float]) -> str:
    done = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in timings.items()) or "none"
    return f"In stage {failed} of {job.model_source} → {job.module_source}; stages done: {done}."
