"""From a conversion to files: written, read back, hashed; and the manifest that lists them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..stages.errors import ResourceError
from .run_dir import disk_errors, open_run_dir, sha256_of
from .summary import Summary, summary_of, text_of
from .versions import library_versions, source_digest

if TYPE_CHECKING:
    from .conversion import Conversion

SUMMARY = "summary.txt"
FORMAT = 1


@dataclass(frozen=True)
class Delivered:
    """What was written into the staging folder: the summary, and name → sha256 of each file."""

    summary: Summary
    hashes: Mapping[str, str]


def write_files(conversion: Conversion, folder: Path, name: str, *, onnx: bool) -> Delivered:
    """Write every file of a conversion into ``folder`` and prove that the tensors read back bit by bit.

    Raises:
        ResourceError: the disk is full or refuses, or does not give back what was written.
    """
    from ..stages import deliver

    summary = summary_of(conversion, name)
    _check_space(conversion, folder, onnx=onnx)
    with disk_errors(folder):
        deliver.write_state_dict(conversion.state_dict, folder)
        deliver.check_state_dict(conversion.state_dict, folder)
        deliver.write_json(conversion.plan.to_json(), folder / deliver.PLAN)
        deliver.write_json(conversion.comparison_json(), folder / deliver.COMPARISON)
        deliver.write_json(conversion.evidence_json(), folder / deliver.EVIDENCE)
        if onnx:
            conversion.write_onnx(folder)
        (folder / SUMMARY).write_text(text_of(summary), encoding="utf-8")
        hashes = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    return Delivered(summary, hashes)


def manifest_of(
    delivered: Delivered, *, fingerprint: Mapping[str, Any], peak_bytes: int, seconds: float
) -> dict[str, Any]:
    """Everything that tells where the files come from; ``RunDir.publish`` adds their hashes.

    Args:
        delivered: what was written.
        fingerprint: config and inputs by which an unchanged rerun is known; empty where there is no config.
        peak_bytes: largest resident memory of the process that did it.
        seconds: wall time of the whole job.
    """
    summary = delivered.summary
    return {
        "format": FORMAT,
        "job": summary.name,
        "verified": summary.verified,
        "exit_status": 0 if summary.verified else 7,
        "model": summary.model,
        "notes": list(summary.notes),
        "module": summary.module,
        "versions": library_versions(),
        "source": source_digest(),
        **fingerprint,
        "stages": {stage: round(taken, 3) for stage, taken in summary.stages.items()},
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak_bytes,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def save_conversion(conversion: Conversion, folder: Path, *, onnx: bool) -> None:
    """Write and publish a conversion from the process that made it (``Conversion.save``)."""
    start = time.perf_counter()
    with open_run_dir(folder.absolute()) as run_dir, run_dir.staging() as staging:
        delivered = write_files(conversion, staging, folder.name, onnx=onnx)
        seconds = sum(conversion.timings.values()) + time.perf_counter() - start
        manifest = manifest_of(delivered, fingerprint={}, peak_bytes=peak_memory_bytes(), seconds=seconds)
        run_dir.publish(staging, delivered.hashes, manifest)


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far."""
    import resource

    # Linux counts in KiB (getrusage(2)).
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _check_space(conversion: Conversion, folder: Path, *, onnx: bool) -> None:
    """Refuse before the first byte: what a full disk leaves behind is never whole."""
    weights = sum(tensor.numel() * tensor.element_size() for tensor in conversion.state_dict.values())
    needed = weights * (3 if onnx else 2) + (1 << 20)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(
            f"the disk has {free} bytes free, the outputs need about {needed}",
            where=str(folder.parent),
            fix="free disk space or choose another output folder",
        )
