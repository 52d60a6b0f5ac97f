"""Jobs that fail in their own ways, in one batch with a good one: each has its exit code, and none touches another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from keras_models import conv_bn_pool_dense
from torchgraft.pipeline.run_dir import MANIFEST

# Row, what is in its net.py, what is in its config, exit code, and what the message says.
FAULTS = {
    "import_error": (30, "import nowhere_at_all\n", "", 6, ["net.py", "nowhere_at_all"]),
    "exits": (30, "import sys\nsys.exit(0)\n", "", 6, ["net.py", "2"]),
    "sleeps": (30, "import time\ntime.sleep(600)\n", "limits: {seconds: 12}\n", 8, ["12 seconds", "limits.seconds"]),
    "crashes": (22, "import os, signal\nos.kill(os.getpid(), signal.SIGABRT)\n", "", 10, ["SIGABRT"]),
    "no_module": (32, "Net = dict\n", "", 6, ["nn.Module"]),
    "does_not_fit": (
        32,
        "from torch import nn\n\ndef Net():\n    return nn.Linear(3, 4)\n",
        "",
        6,
        ["weight", "(4, 3)"],
    ),
}


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> tuple[Path, dict[str, dict]]:
    """One batch of all faults, the good job in their midst: the folder, and how each job ended."""
    folder = tmp_path_factory.mktemp("batch")
    conv_bn_pool_dense().save(folder / "model.keras")
    names = list(FAULTS)
    configs = []
    for name in [*names[:3], "good", *names[3:], "corrupt"]:
        job = folder / name
        job.mkdir()
        net, settings = FAULTS[name][1:3] if name in FAULTS else ("", "")
        (job / "net.py").write_text(net)
        target = "" if name == "good" else "target: net.py:Net\n"
        (job / "config.yaml").write_text(f"model: ../model.keras\n{target}output: out\n{settings}")
        configs.append(str(job / "config.yaml"))
    stored = (folder / "model.keras").read_bytes()
    (folder / "corrupt" / "model.keras").write_bytes(stored[: len(stored) // 2])
    (folder / "corrupt" / "config.yaml").write_text("model: model.keras\noutput: out\n")
    command = [sys.executable, "-m", "torchgraft", "run", "--json", *configs]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return folder, {event["name"]: event for event in events if event["event"] == "job_ended"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_exit_code_and_says_what_where_and_what_to_do(batch, name):
    folder, ended = batch
    _, _, _, status, words = FAULTS[name]
    message = ended[name]["error"]
    assert ended[name]["exit_code"] == status, message
    for word in [*words, "stage", "To fix it"]:
        assert word in message
    assert not (folder / name / "out").exists()


def test_row_17_half_a_file_is_a_corrupt_input(batch):
    folder, ended = batch
    assert ended["corrupt"]["exit_code"] == 4
    assert "model.keras" in ended["corrupt"]["error"]
    assert not (folder / "corrupt" / "out").exists()


def test_the_good_job_beside_them_is_verified(batch):
    folder, ended = batch
    assert ended["good"]["exit_code"] == 0
    assert json.loads((folder / "good" / "out" / MANIFEST).read_text())["verified"] is True


def test_every_job_was_done(batch):
    _, ended = batch
    assert set(ended) == {*FAULTS, "good", "corrupt"}
