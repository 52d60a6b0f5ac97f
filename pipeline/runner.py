"""One job from config to published files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stages.errors import CorruptInputError, TorchgraftError
from .config_file import JobConfig
from .delivery import Delivered, manifest_of
from .run_dir import MANIFEST, RunDir, open_run_dir, sha256_of
from .summary import NotVerifiedError, Summary
from .versions import library_versions, source_digest
from .worker import WorkOrder
from .worker_process import Listener, run_worker


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        name: of the job.
        folder: where its files are.
        seconds: wall time.
        summary: of the conversion, also of one that is not verified; None where none was finished.
        files: names in ``folder``, the manifest last; those of the earlier run where nothing has changed.
        unchanged: whether an earlier run's outputs still stand for this config and these inputs.
        error: why the job failed.
    """

    name: str
    folder: Path
    seconds: float
    summary: Summary | None = None
    files: tuple[str, ...] = ()
    unchanged: bool = False
    error: TorchgraftError | None = None

    @property
    def exit_code(self) -> int:
        return self.error.exit_code if self.error else 0


def run_job(config: JobConfig, listener: Listener, *, force: bool = False) -> Outcome:
    """Do one job, or find that nothing has changed since it was done. An error is part of the Outcome.

    Args:
        config: of the job.
        listener: is told what is being done.
        force: do it also where nothing has changed.
    """
    start = time.perf_counter()
    try:
        with open_run_dir(config.folder) as run_dir:
            earlier = None if force else _earlier_run(run_dir, config)
            if earlier is not None:
                files = (*earlier["outputs"], MANIFEST)
                return Outcome(config.name, config.folder, time.perf_counter() - start, files=files, unchanged=True)
            return _convert(run_dir, config, listener, start)
    except TorchgraftError as error:
        summary = error.summary if isinstance(error, NotVerifiedError) else None
        return Outcome(config.name, config.folder, time.perf_counter() - start, summary, error=error)


def _convert(run_dir: RunDir, config: JobConfig, listener: Listener, start: float) -> Outcome:
    before = _hashes(config.input_files())
    with run_dir.staging() as staging:
        order = WorkOrder(config.name, config.options, config.base, staging, config.hint_places)
        result = run_worker(order, config.options.limits, listener)
        _refuse_changed(before)
        sources = _hashes([Path(source) for source in result["sources"]])
        delivered = Delivered(Summary.from_json(result["summary"]), result["hashes"])
        manifest = manifest_of(
            delivered,
            fingerprint={"config": _settings(config), "inputs": {**before, **sources}},
            peak_bytes=result["peak_bytes"],
            seconds=time.perf_counter() - start,
        )
        run_dir.publish(staging, delivered.hashes, manifest)
    files = (*delivered.hashes, MANIFEST)
    return Outcome(config.name, config.folder, time.perf_counter() - start, delivered.summary, files)


def _earlier_run(run_dir: RunDir, config: JobConfig) -> dict[str, Any] | None:
    """The manifest of the run in the folder, where it is what running now would give again."""
    manifest = run_dir.manifest()
    if manifest is None:
        return None
    expected = {
        "versions": library_versions(),
        "source": source_digest(),
        "config": _settings(config),
        "verified": True,
    }
    if any(manifest.get(name) != value for name, value in expected.items()):
        return None
    inputs = manifest.get("inputs")
    if not isinstance(inputs, dict) or not {str(path) for path in config.input_files()} <= inputs.keys():
        return None
    if _hashes([Path(path) for path in inputs]) != inputs:
        return None
    return manifest if run_dir.outputs_hold(manifest) else None


def _settings(config: JobConfig) -> dict[str, Any]:
    """What the config says, without where the outputs go and when the job is ended."""
    return {"name": config.name, **config.options.model_dump(mode="json", exclude={"name", "output", "limits"})}


def _hashes(paths: list[Path]) -> dict[str, str]:
    """Path → sha256 of those that are regular files: the loader says what is wrong with the others."""
    return {str(path): sha256_of(path) for path in paths if path.is_file()}


def _refuse_changed(before: Mapping[str, str]) -> None:
    after = _hashes([Path(path) for path in before])
    changed = [path for path in before if after.get(path) != before[path]]
    if changed:
        raise CorruptInputError(
            "the file changed during the run", where=changed[0], fix="wait until nobody writes it, then run again"
        )
