"""What a worker tells its parent: one JSON object a line, on a pipe of its own.

A pipe of its own, so that whatever the user's module prints to stdout is only text.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ..stages import errors
from ..stages.errors import TorchgraftError
from .summary import NotVerifiedError, Summary

STARTED, FINISHED, STEP, DONE, ERROR = "started", "finished", "step", "done", "error"


class EventWriter:
    """The worker's end. It is a StageProgress, too."""

    def __init__(self, handle: int) -> None:
        self._stream = os.fdopen(handle, "w", encoding="utf-8", buffering=1)

    def send(self, event: str, **fields: Any) -> None:
        self._stream.write(json.dumps({"event": event, **fields}) + "\n")

    def step(self, text: str, done: int | None = None, total: int | None = None) -> None:
        self.send(STEP, text=text, done=done, total=total)

    def started(self, stage: str, number: int, total: int) -> None:
        self.send(STARTED, stage=stage, number=number, total=total)

    def finished(self, stage: str, seconds: float) -> None:
        self.send(FINISHED, stage=stage, seconds=seconds)


def error_to_json(error: TorchgraftError) -> dict[str, Any]:
    """The error as plain values; ``error_from_json`` is its inverse."""
    return {
        # A stage may raise a kind of its own: what crosses is the one of the tree that it is.
        "kind": next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__),
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
        "details": list(error.details),
        "summary": error.summary.to_json() if isinstance(error, NotVerifiedError) else None,
    }


def error_from_json(data: dict[str, Any]) -> TorchgraftError:
    """The error that a worker sent."""
    what, rest = data["what"], {"where": data["where"], "fix": data["fix"], "details": tuple(data["details"])}
    if data["summary"] is not None:
        return NotVerifiedError(what, summary=Summary.from_json(data["summary"]), **rest)
    found: TorchgraftError = getattr(errors, data["kind"])(what, **rest)
    return found
