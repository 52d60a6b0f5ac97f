"""What a run shows while it works and when it ends: for a terminal, for a log, for a program, or nothing."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ..stages.errors import TorchgraftError
from .runner import Outcome
from .summary import WIDTH, NotVerifiedError, render, text_of
from .worker_process import Listener

TABLE_ROWS = 40


class View(Listener, Protocol):
    """A Listener that is also told which job is done, and how it ended."""

    def job_started(self, name: str, number: int, total: int) -> None: ...

    def job_ended(self, outcome: Outcome) -> None: ...

    def interrupted(self) -> None:
        """Leave the terminal in order."""


def view_for(*, quiet: bool, as_json: bool, verbose: bool = False) -> View:
    """The View that the command line asks for; ``verbose`` shows every row of every table."""
    limit = None if verbose else TABLE_ROWS
    if as_json:
        return JsonView(limit)
    if quiet:
        return QuietView(limit)
    return TerminalView(limit) if sys.stderr.isatty() else LogView(limit)


def show_error(error: TorchgraftError, job: str = "", limit: int | None = TABLE_ROWS) -> None:
    """The message on stderr, as plain text: it may hold brackets that rich would read as markup.

    Its tables end after ``limit`` rows: a module of another family has thousands of keys without a counterpart.
    """
    head = f"job {job}: " if job else ""
    if isinstance(error, NotVerifiedError):
        details = tuple(text_of(error.summary, limit).splitlines())
        # What was added behind the summary's own text, such as the stage.
        details += error.details[len(text_of(error.summary).splitlines()) :]
    else:
        details = bounded(error.details, limit)
    shown = TorchgraftError(error.what, where=error.where, fix=error.fix, details=details)
    print(f"torchgraft: error: {head}{shown}", file=sys.stderr, flush=True)  # noqa: T201 - the program's own output


def bounded(lines: Sequence[str], limit: int | None) -> tuple[str, ...]:
    """The lines, each run of indented ones (the rows below a heading) cut after ``limit`` rows."""
    shown: list[str] = []
    for indented, group in itertools.groupby(lines, key=lambda line: line.startswith("  ")):
        rows = list(group)
        over = len(rows) - limit if indented and limit is not None else 0
        shown += [*rows[:limit], f"  … {over} more, shown with --verbose"] if over > 0 else rows
    return tuple(shown)


class QuietView:
    """Errors only; their tables end after ``limit`` rows."""

    def __init__(self, limit: int | None = TABLE_ROWS) -> None:
        self._limit = limit

    def job_started(self, name: str, number: int, total: int) -> None: ...

    def started(self, stage: str, number: int, total: int) -> None: ...

    def finished(self, stage: str, seconds: float) -> None: ...

    def step(self, text: str, done: int | None = None, total: int | None = None) -> None: ...

    def printed(self, line: str) -> None: ...

    def interrupted(self) -> None: ...

    def job_ended(self, outcome: Outcome) -> None:
        if outcome.error:
            show_error(outcome.error, outcome.name, self._limit)


class LogView(QuietView):
    """Plain lines on stderr for stages and their steps, each step once a stage, and the summary on stdout."""

    def __init__(self, limit: int | None = TABLE_ROWS) -> None:
        super().__init__(limit)
        self._job = ""
        self._steps: set[str] = set()

    def job_started(self, name: str, number: int, total: int) -> None:
        self._job = name
        self._line(f"job {number} of {total}")

    def started(self, stage: str, number: int, total: int) -> None:
        self._steps.clear()
        self._line(f"{number}/{total} {stage} …" if number else f"{stage} …")

    def finished(self, stage: str, seconds: float) -> None:
        self._line(f"{stage}: {seconds:.2f} s")

    def step(self, text: str, done: int | None = None, total: int | None = None) -> None:  # noqa: ARG002 - no counters
        if text not in self._steps:
            self._steps.add(text)
            self._line(f"  {text}")

    def printed(self, line: str) -> None:
        self._line(f"| {line}")

    def job_ended(self, outcome: Outcome) -> None:
        if outcome.error:
            show_error(outcome.error, outcome.name, self._limit)
        else:
            show_result(outcome, self._limit)

    def _line(self, text: str) -> None:
        print(f"[{self._job}] {text}", file=sys.stderr, flush=True)  # noqa: T201 - the program's own output


class TerminalView(QuietView):
    """A moving line on the terminal, a line for each stage that is done, and the summary."""

    def __init__(self, limit: int | None = TABLE_ROWS) -> None:
        super().__init__(limit)
        self._console = Console(stderr=True)
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def job_started(self, name: str, number: int, total: int) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._console.print(Text(f"{name} ({number} of {total})", style="bold"))
        self._task = self._progress.add_task("start", total=None)
        self._progress.start()

    def started(self, stage: str, number: int, total: int) -> None:
        self._update(f"{number}/{total} {stage}" if number else stage)

    def finished(self, stage: str, seconds: float) -> None:
        self._console.print(Text(f"  {stage:<10} {seconds:6.2f} s"))

    def step(self, text: str, done: int | None = None, total: int | None = None) -> None:
        self._update(text, done, total)

    def printed(self, line: str) -> None:
        self._console.print(Text(f"  | {line}", style="dim"))

    def interrupted(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def job_ended(self, outcome: Outcome) -> None:
        self.interrupted()
        if outcome.error:
            show_error(outcome.error, outcome.name, self._limit)
        else:
            show_result(outcome, self._limit)

    def _update(self, text: str, done: int | None = None, total: int | None = None) -> None:
        if self._progress is not None:
            self._progress.update(self._task, description=text, completed=done or 0, total=total)


class JsonView(QuietView):
    """One JSON object a line on stdout; the last one of a job has event "job_ended"."""

    def job_started(self, name: str, number: int, total: int) -> None:
        self._send("job_started", name=name, number=number, total=total)

    def started(self, stage: str, number: int, total: int) -> None:
        self._send("started", stage=stage, number=number, total=total)

    def finished(self, stage: str, seconds: float) -> None:
        self._send("finished", stage=stage, seconds=seconds)

    def step(self, text: str, done: int | None = None, total: int | None = None) -> None:
        self._send("step", text=text, done=done, total=total)

    def printed(self, line: str) -> None:
        self._send("printed", line=line)

    def job_ended(self, outcome: Outcome) -> None:
        error = outcome.error
        self._send(
            "job_ended",
            name=outcome.name,
            exit_code=outcome.exit_code,
            folder=str(outcome.folder),
            files=list(outcome.files),
            unchanged=outcome.unchanged,
            seconds=outcome.seconds,
            accuracy=outcome.summary.accuracy if outcome.summary else {},
            findings=[str(finding) for finding in outcome.summary.findings] if outcome.summary else [],
            error=str(error) if error else None,
        )

    def _send(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), flush=True)  # noqa: T201 - the program's own output


def show_result(outcome: Outcome, limit: int | None = TABLE_ROWS) -> None:
    """The summary, and where the files are, on stdout."""
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    if outcome.unchanged:
        text = f"{outcome.name}: nothing has changed since the last run, nothing was done ({outcome.seconds:.2f} s)"
        console.print(Text(text))
    elif outcome.summary:
        console.print(render(outcome.summary, limit))
    console.print(Text(f"Files in {outcome.folder}:"), soft_wrap=True)
    console.print(Text(f"  {' · '.join(outcome.files)}"), soft_wrap=True)
