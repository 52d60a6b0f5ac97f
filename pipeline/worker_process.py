"""One worker from outside: started in its own process group, listened to, limited, and ended with all its children."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from ..stages.errors import ResourceError, WorkerCrashedError
from .chain import StageProgress
from .config import LimitOptions
from .events import DONE, ERROR, FINISHED, STARTED, STEP, error_from_json
from .worker import WorkOrder

#: What TensorFlow is told unless the environment says otherwise. With oneDNN its CPU allocator keeps a table of 3% of
#: the weights and gives no memory back (mkl_cpu_allocator.h, bfc_allocator.h).
PREFERRED = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
_POLL_SECONDS = 0.2
_KEPT_LINES = 20
# TensorFlow's C++ side tells what hardware it found before any log level of ours reaches it.
_NATIVE_NOTE = re.compile(
    r"[IW]\d{4} \d\d:\d\d:|[IW]0000 |WARNING: All log messages before absl|To enable the following instr"
)


class Listener(StageProgress, Protocol):
    """A StageProgress that is also shown what the user's code prints."""

    def printed(self, line: str) -> None: ...


def run_worker(order: WorkOrder, limits: LimitOptions, listener: Listener) -> dict[str, Any]:
    """Do one job in a fresh process; returns the fields of its DONE event.

    Raises:
        TorchgraftError: what the worker met.
        ResourceError: a limit was reached; no process of the job is left.
        WorkerCrashedError: the process died; names the signal.
    """
    read_end, write_end = os.pipe()
    command = [sys.executable, "-P", "-m", "torchgraft.pipeline.worker", str(write_end)]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(write_end,),
        start_new_session=True,
        env={**PREFERRED, **os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONUNBUFFERED": "1"},
    )
    os.close(write_end)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with os.fdopen(read_end, "rb", buffering=0) as events, process.stdout, process.stdin:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(order.to_json().encode() + b"\n")
                process.stdin.flush()
            conversation = _Conversation(process, limits, listener)
            conversation.listen(events, process.stdout)
            return conversation.result()
    finally:
        # Also the children that the user's code started: nothing of a job outlives it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass
class _Conversation:
    process: subprocess.Popen[bytes]
    limits: LimitOptions
    listener: Listener
    outcome: dict[str, Any] | None = None
    stage: str = "start"
    start: float = field(default_factory=time.monotonic)
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def listen(self, events: IO[bytes], output: IO[bytes]) -> None:
        """Until the worker has told its outcome, or has died; children that it left may keep its pipes open."""
        pipes = (_Lines(events, self._take_event), _Lines(output, self._take_line))
        with selectors.DefaultSelector() as selector:
            for pipe in pipes:
                selector.register(pipe.stream, selectors.EVENT_READ, pipe)
            while self.outcome is None and self.process.poll() is None:
                for key, _ in selector.select(_POLL_SECONDS):
                    if not key.data.read():
                        selector.unregister(key.fileobj)
                self._check_limits()
        for pipe in pipes:
            pipe.drain()

    def result(self) -> dict[str, Any]:
        """The DONE event; otherwise the error that explains why there is none."""
        if self.outcome is None:
            raise self._crashed(self.process.wait())
        if self.outcome["event"] == ERROR:
            raise error_from_json(self.outcome)
        return self.outcome

    def _take_event(self, line: str) -> None:
        event = json.loads(line)
        kind = event["event"]
        if kind == STARTED:
            self.stage = event["stage"]
            self.listener.started(event["stage"], event["number"], event["total"])
        elif kind == FINISHED:
            self.listener.finished(event["stage"], event["seconds"])
        elif kind == STEP:
            self.listener.step(event["text"], event["done"], event["total"])
        elif kind in (DONE, ERROR):
            self.outcome = event

    def _take_line(self, line: str) -> None:
        if not _NATIVE_NOTE.match(line):
            self.last_lines.append(line)
            self.listener.printed(line)

    def _check_limits(self) -> None:
        if time.monotonic() - self.start > self.limits.seconds:
            raise ResourceError(
                f"the time limit of {self.limits.seconds:g} seconds is over",
                where=f"stage {self.stage}",
                fix="raise limits.seconds in the config, or give fewer samples",
            )
        limit = self.limits.memory_gb
        if limit is not None and (used := _resident_bytes(self.process.pid)) > limit * 1e9:
            raise ResourceError(
                f"the memory limit of {limit:g} GB is over: {used / 1e9:.2f} GB are in use",
                where=f"stage {self.stage}",
                fix="raise limits.memory_gb in the config, or give fewer samples",
            )

    def _crashed(self, status: int) -> WorkerCrashedError:
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
        return WorkerCrashedError(
            f"the process of the job died {how}",
            where=f"stage {self.stage}",
            fix="look at the lines above; SIGKILL is most often the system running out of memory",
            details=tuple(self.last_lines),
        )


@dataclass
class _Lines:
    """Bytes of a pipe, put together to lines."""

    stream: IO[bytes]
    take: Any
    rest: bytes = b""

    def read(self) -> bool:
        """Take what is there; False at the end of the stream."""
        chunk = os.read(self.stream.fileno(), 1 << 16)
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for line in (*lines, *([self.rest] if not chunk and self.rest else [])):
            self.take(line.decode("utf-8", "replace").rstrip("\r"))
        return bool(chunk)

    def drain(self) -> None:
        """Take what is left without waiting for more."""
        os.set_blocking(self.stream.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while self.read():
                pass


def _resident_bytes(pid: int) -> int:
    """Of one process, from /proc (Linux); 0 where it cannot be read, as after its end."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0
