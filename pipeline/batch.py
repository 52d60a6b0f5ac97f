"""Many configs: all are checked before any work, each is done in its own process, one failing stops none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..stages import deliver
from ..stages.errors import RefusedError, TorchgraftError, UsageError
from .config_file import JobConfig, read_config
from .delivery import SUMMARY
from .run_dir import MANIFEST

OUTPUT_NAMES = (
    deliver.SAFETENSORS,
    deliver.PICKLE,
    deliver.PLAN,
    deliver.COMPARISON,
    deliver.EVIDENCE,
    deliver.ONNX,
    deliver.ONNX_DATA,
    SUMMARY,
    MANIFEST,
)


def read_batch(paths: Sequence[Path], output: Path | None = None) -> list[JobConfig]:
    """Read every config and check them against each other; nothing has been written then.

    Args:
        paths: config files.
        output: instead of the folder that the config says; for several configs a folder below it by each job's name.

    Raises:
        UsageError: all faults of all configs at once.
    """
    configs: list[JobConfig] = []
    faults: list[TorchgraftError] = []
    for path in paths:
        try:
            config = read_config(path)
            if output is not None:
                folder = output.absolute() if len(paths) == 1 else output.absolute() / config.name
                config = replace(config, folder=folder.resolve())
            configs.append(config)
            faults += _faults_of_paths(config)
        except UsageError as error:
            faults.append(error)
    faults += _shared_outputs(configs)
    faults += [fault for config in configs for fault in _overwritten_inputs(config, configs)]
    if len(faults) == 1:
        raise faults[0]
    if faults:
        details = tuple(line for fault in faults for line in str(fault).splitlines())
        raise UsageError(f"{len(faults)} faults, nothing was done", details=details)
    return configs


def exit_code(codes: Sequence[int]) -> int:
    """Of a batch: that of its only job, or 0 where all are verified, or 1."""
    if len(codes) == 1:
        return codes[0]
    return 1 if any(codes) else 0


def _faults_of_paths(config: JobConfig) -> list[TorchgraftError]:
    """Inputs that are no regular files: found now, not after an hour of other jobs. A refused one fails its own job."""
    from ..stages.load.gate import local_file

    faults: list[TorchgraftError] = []
    for path in config.input_files():
        try:
            local_file(path, config.base, "input")
        except UsageError as error:
            error.details = (f"It is named in {config.path}.", *error.details)
            faults.append(error)
        except RefusedError:
            continue
    return faults


def _shared_outputs(configs: Sequence[JobConfig]) -> list[TorchgraftError]:
    first: dict[Path, JobConfig] = {}
    faults: list[TorchgraftError] = []
    for config in configs:
        other = first.setdefault(config.folder, config)
        if other is not config:
            what = f"the output folder {config.folder} is also that of {other.path}"
            faults.append(UsageError(what, where=str(config.path), fix="give each job its own `output` or `name`"))
    return faults


def _overwritten_inputs(config: JobConfig, configs: Sequence[JobConfig]) -> list[TorchgraftError]:
    """Inputs of ``config`` that a job of the batch would write, or would need as its folder."""
    faults: list[TorchgraftError] = []
    for path in config.input_files():
        for other in configs:
            if path == other.folder or path in [other.folder / name for name in OUTPUT_NAMES]:
                what = f"the input {path} is an output of {other.path}"
                faults.append(UsageError(what, where=str(config.path), fix="choose another output folder"))
    return faults
