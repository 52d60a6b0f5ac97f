"""The process of one job: loads what the config names, converts, and writes the files into the staging folder.

worker_process.py starts it as ``python -m torchgraft.pipeline.worker HANDLE``; the job is one JSON line on stdin.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..stages.base import Job, Tolerance
from ..stages.errors import ResourceError, TorchgraftError, WorkerCrashedError
from ..stages.precision import derived_tolerance
from .config import JobOptions
from .events import DONE, ERROR, EventWriter, error_to_json
from .stated import hints_of

# Names under which a process holds torchgraft: what it started with stands a second time as ``__mp_main__``.
OURS = ("torchgraft", "__main__", "__mp_main__")


@dataclass(frozen=True)
class WorkOrder:
    """One job, as it goes to the worker.

    Attributes:
        name: of the job.
        options: what its config says.
        base: the folder that paths in it are relative to.
        staging: where the files are to be written.
        hint_places: left side of each hint → where the config says it.
    """

    name: str
    options: JobOptions
    base: Path
    staging: Path
    hint_places: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        paths = {"base": str(self.base), "staging": str(self.staging), "hint_places": dict(self.hint_places)}
        return json.dumps({"name": self.name, "options": self.options.model_dump(mode="json"), **paths})

    @classmethod
    def from_json(cls, text: str) -> WorkOrder:
        data = json.loads(text)
        options = JobOptions.model_validate(data["options"])
        return cls(data["name"], options, Path(data["base"]), Path(data["staging"]), data["hint_places"])


def main() -> None:
    """Do one job and leave; what went wrong goes to the parent as an event, and the exit code is then 1."""
    events = EventWriter(int(sys.argv[1]))
    order = WorkOrder.from_json(sys.stdin.readline())
    threading.Thread(target=_die_with_parent, args=(_take_stdin(),), daemon=True).start()
    try:
        events.send(DONE, **perform(order, events))
    except TorchgraftError as error:
        events.send(ERROR, **error_to_json(error))
        sys.exit(1)
    except MemoryError:
        fault = ResourceError(
            "memory ran out", where=order.name, fix="give fewer samples, or a machine with more memory"
        )
        events.send(ERROR, **error_to_json(fault))
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug, told with its traceback
        events.send(ERROR, **error_to_json(_bug(error)))
        sys.exit(1)


def perform(order: WorkOrder, events: EventWriter) -> dict[str, Any]:
    """Load, convert, write. What is returned are the fields of the DONE event."""
    from .conversion import run_conversion
    from .delivery import peak_memory_bytes, write_files
    from .summary import difference_error

    start = time.perf_counter()
    events.started("load", 0, 6)
    try:
        job = load_job(order)
    except TorchgraftError as error:
        error.details = (*error.details, f"In stage load of job {order.name}.")
        raise
    loading = time.perf_counter() - start
    events.finished("load", loading)
    conversion = run_conversion(job, events)
    conversion = replace(conversion, timings={"load": loading, **conversion.timings}, owns_module=True)
    if not conversion.verified:
        raise difference_error(conversion, order.name)
    events.step("writing the files")
    delivered = write_files(conversion, order.staging, order.name, onnx=order.options.onnx)
    return {
        "summary": delivered.summary.to_json(),
        "hashes": dict(delivered.hashes),
        "sources": user_sources(),
        "peak_bytes": peak_memory_bytes(),
    }


def load_job(order: WorkOrder) -> Job:
    """What the config names, as objects."""
    from ..stages import load

    options, base = order.options, order.base
    source = load.ModelSource(**options.model.model_dump())
    load.seed_torch(options.seed)  # what the module keeps of its own (a new head) is the same in a rerun
    # The user's module first: it is quick to import, and a typing error in it should not wait for a training run.
    module = load.torch_module(options.target.object, options.target.kwargs, base) if options.target else None
    loaded = load.load_model(source, base)
    model = loaded.model
    if given := options.inputs.file or options.inputs.factory:
        inputs = load.inputs(given, base, model)
    else:
        generate = options.inputs.generate
        assert generate is not None
        seed = options.seed if generate.seed is None else generate.seed
        inputs = load.generated_inputs(model, generate.samples, seed, generate.range, generate.ranges)
    labels = None
    if options.labels:
        samples = len(next(iter(inputs.values())))
        labels = load.labels(options.labels.file or options.labels.factory or "", base, samples)
    return Job(
        model=model,
        module=module,
        inputs=inputs,
        labels=labels,
        tolerance=_tolerance(options, model, module),
        probe_samples=options.probe_samples,
        seed=options.seed,
        fit=options.fit.stated(),
        hints=hints_of(options.hints, base, order.hint_places),
        allow_unmatched=tuple(options.allow_unmatched),
        model_source=str(source),
        model_notes=loaded.notes,
        module_source=options.target.object if options.target else "the imported module",
    )


def _tolerance(options: JobOptions, model: Any, module: Any) -> Tolerance:
    """As the config states it; what it leaves out is derived."""
    stated, derived = options.tolerance, derived_tolerance(model, module)
    atol = derived.atol if stated.atol is None else stated.atol
    rtol = derived.rtol if stated.rtol is None else stated.rtol
    return Tolerance(atol, rtol, derived.reason if (atol, rtol) == (derived.atol, derived.rtol) else "the config's")


def user_sources() -> list[str]:
    """Source files of the user's that this process has imported: what an unchanged rerun depends on."""
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    modules = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    files = {Path(file).resolve() for name, file in modules.items() if file and name.partition(".")[0] not in OURS}
    own = (path for path in files if path.suffix == ".py" and not any(path.is_relative_to(root) for root in installed))
    return sorted(str(path) for path in own)


def _bug(error: Exception) -> WorkerCrashedError:
    return WorkerCrashedError(
        f"torchgraft itself failed: {type(error).__name__}: {error}",
        fix="report it with the lines above; the other jobs are not touched by it",
        details=tuple("".join(traceback.format_exception(error)).splitlines()),
    )


def _take_stdin() -> int:
    """The pipe from the parent, under another handle. Stdin is then empty: ``input()`` fails and does not wait."""
    pipe = os.dup(0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return pipe


def _die_with_parent(pipe: int) -> None:
    """The pipe stays open as long as the parent lives: its end is the parent's, also after SIGKILL."""
    while os.read(pipe, 1 << 16):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
