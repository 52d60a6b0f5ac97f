"""One job in its own process: what it prints, how it is limited, and that nothing of it is left."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torchgraft.pipeline.chain import SilentStages
from torchgraft.pipeline.config import JobOptions
from torchgraft.pipeline.events import error_from_json, error_to_json
from torchgraft.pipeline.summary import NotVerifiedError, Summary
from torchgraft.pipeline.worker import WorkOrder
from torchgraft.pipeline.worker_process import run_worker
from torchgraft.stages import errors
from torchgraft.stages.base import Finding
from torchgraft.stages.errors import MappingError, ResourceError, TorchgraftError, WorkerCrashedError

# How long a process may take to end that should end at once: far longer than it takes, on a busy machine too.
SECONDS = 30


class Recorder(SilentStages):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def printed(self, line: str) -> None:
        self.lines.append(line)


def run(tmp_path: Path, net: str, listener: Recorder | None = None, **limits: float):
    """A job whose module file is ``net``; its model is never reached."""
    (tmp_path / "net.py").write_text("import os, sys, time, subprocess, signal\n" + net)
    (tmp_path / "model.keras").write_bytes(b"never opened")
    data = {"model": "model.keras", "target": "net.py:Net", "limits": limits}
    options = JobOptions.model_validate(data)
    staging = tmp_path / "staging"
    staging.mkdir()
    return run_worker(WorkOrder("job", options, tmp_path, staging), options.limits, listener or Recorder())


@pytest.fixture
def conversion_summary() -> Summary:
    found = (Finding("error", "bn", "bn_3", "eps is 1e-05", "pass eps=1e-3"),)
    return Summary(
        name="job", model="m.keras", module="net.py:Net", verified=False, stages={"load": 1.5}, mapping=(), unused=(),
        graphs=(1, 2), outputs=(), layers=(), not_compared={}, accuracy={"keras": 0.75}, findings=found,
    )  # fmt: skip


def gone(pid: int) -> bool:
    """Whether the process has ended; a zombie has."""
    for _ in range(SECONDS * 10):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


SLEEP_WITH_A_CHILD = """
child = subprocess.Popen(["sleep", "600"])
open("{pids}", "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(600)
"""


def test_the_time_limit_ends_the_job_and_its_children(tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(ResourceError, match="time limit of 8 seconds") as caught:
        run(tmp_path, SLEEP_WITH_A_CHILD.format(pids=pids), seconds=8.0)
    assert caught.value.exit_code == 8
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_the_memory_limit_ends_the_job(tmp_path):
    with pytest.raises(ResourceError, match="memory limit of 1 GB"):
        run(tmp_path, "hoard = b'x' * 1_500_000_000\ntime.sleep(600)\n", memory_gb=1.0)


@pytest.mark.parametrize(
    ("net", "how"),
    [
        ("print('last words', flush=True); os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("print('last words', flush=True); os._exit(3)", "exit status 3"),
    ],
)
def test_a_process_that_dies_is_a_crash_with_its_last_words(tmp_path, net, how):
    with pytest.raises(WorkerCrashedError) as caught:
        run(tmp_path, net)
    assert caught.value.exit_code == 10
    assert how in caught.value.what
    assert "stage load" in caught.value.where
    assert caught.value.details[-1] == "last words"


def test_what_the_module_prints_is_only_text(tmp_path):
    listener = Recorder()
    fake = '{"event": "done", "summary": {}, "hashes": {}}'
    with pytest.raises(MappingError, match="has broken"):
        run(tmp_path, f"print('{fake}')\nraise RuntimeError('it has broken')\n", listener)
    assert fake in listener.lines


def test_a_module_that_asks_for_input_fails_at_once(tmp_path):
    with pytest.raises(MappingError, match="EOFError"):
        run(tmp_path, "name = input('name? ')\n", seconds=SECONDS)


def test_a_crash_is_told_without_the_notes_of_native_libraries(tmp_path):
    note = "I0000 00:00:1700000000.000000   1 port.cc:153] oneDNN custom operations are on."
    with pytest.raises(WorkerCrashedError) as caught:
        run(tmp_path, f"print('last words\\n{note}', flush=True); os._exit(3)")
    assert caught.value.details == ("last words",)


def test_a_pipe_that_a_child_keeps_open_does_not_hold_the_job(tmp_path):
    """The child inherits stdout; the job ends with the worker all the same."""
    with pytest.raises(MappingError, match="after the child"):
        run(tmp_path, "subprocess.Popen(['sleep', '600'])\nraise RuntimeError('after the child')\n")


def test_a_thread_that_never_ends_does_not_hold_the_job(tmp_path):
    """Python waits for it at the end of the process; the outcome is told before that."""
    net = "import threading\nthreading.Thread(target=time.sleep, args=(600,)).start()\nraise RuntimeError('told')\n"
    with pytest.raises(MappingError, match="told"):
        run(tmp_path, net)


def test_everything_that_was_said_before_the_crash_is_kept(tmp_path):
    listener = Recorder()
    with pytest.raises(WorkerCrashedError):
        run(tmp_path, "print('line\\n' * 50_000 + 'last words', flush=True); os._exit(3)", listener)
    assert listener.lines.count("line") == 50_000
    assert listener.lines[-1] == "last words"


def test_what_was_found_crosses_the_pipe_with_the_error(conversion_summary):
    error = NotVerifiedError("what", summary=conversion_summary, where="where", fix="fix", details=("one",))
    for back in (error_from_json(json.loads(json.dumps(error_to_json(error)))), pickle.loads(pickle.dumps(error))):
        assert isinstance(back, NotVerifiedError)
        assert str(back) == str(error)
        assert back.summary == conversion_summary


@pytest.mark.parametrize(
    "kind", [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TorchgraftError)]
)
def test_every_error_crosses_the_pipe(kind):
    error = kind("what", where="where", fix="fix", details=("one", "two"))
    back = error_from_json(error_to_json(error))
    assert type(back) is kind
    assert str(back) == str(error)


def test_an_error_of_a_stage_crosses_as_the_one_of_the_tree_that_it_is():
    class OfAStage(MappingError):
        pass

    assert type(error_from_json(error_to_json(OfAStage("what")))) is MappingError


@pytest.fixture
def sleeping(tmp_path):
    """A run by the command line that sleeps in the user's module: the process, and the pids of its worker and child."""
    pids = tmp_path / "pids"
    (tmp_path / "net.py").write_text("import os, time, subprocess\n" + SLEEP_WITH_A_CHILD.format(pids=pids))
    (tmp_path / "model.keras").write_bytes(b"never opened")
    (tmp_path / "job.yaml").write_text("model: model.keras\ntarget: net.py:Net\noutput: out\n")
    command = [sys.executable, "-m", "torchgraft", "run", str(tmp_path / "job.yaml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as process:
        for _ in range(SECONDS * 10):
            if pids.exists() and len(pids.read_text().split()) == 2:
                break
            time.sleep(0.1)
        yield process, [int(pid) for pid in pids.read_text().split()]
        process.kill()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_leaves_nothing(sleeping, tmp_path, number, status):
    process, pids = sleeping
    process.send_signal(number)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == status
    assert "Traceback" not in stderr
    assert all(gone(pid) for pid in pids)
    assert not (tmp_path / "out").exists()


def test_the_worker_does_not_outlive_its_parent(sleeping, tmp_path):
    process, pids = sleeping
    process.kill()
    process.wait(SECONDS)
    assert all(gone(pid) for pid in pids)
    # What is left is swept by the next run on the folder.
    from torchgraft.pipeline.run_dir import open_run_dir

    with open_run_dir(tmp_path / "out"):
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".torchgraft-holder.json"]
    assert list((tmp_path / "out").iterdir()) == []
