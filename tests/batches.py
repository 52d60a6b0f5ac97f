"""Batches of jobs run from the command line, for the tests of faults: one process tree for many jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def run_batch(configs: Iterable[str | Path]) -> dict[str, dict[str, Any]]:
    """How each job of a batch with failing jobs ended: name → its ``job_ended`` event."""
    command = [sys.executable, "-m", "torchgraft", "run", "--json", *map(str, configs)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {event["name"]: event for event in events if event["event"] == "job_ended"}
