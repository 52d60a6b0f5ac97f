"""FAULTS row 44, a full disk, and row 49, an output that cannot be written: exit code 8, and nothing half written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from keras_models import randomised
from torchgraft import Conversion, ResourceError, convert

Usage = namedtuple("Usage", "total used free")
ENDLESS = Usage(1 << 50, 0, 1 << 50)


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    """240 kB of weights: more than the small disk has, less than the large one."""
    import keras
    from keras import layers

    model = randomised(keras.Sequential([keras.Input((100,)), layers.Dense(600, name="dense")]))
    return convert(model, inputs=np.random.default_rng(0).normal(size=(3, 100)).astype("float32"))


@pytest.fixture
def disk(tmp_path):
    """Mounts a disk of the given size and gives its folder."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root; the test with a disk that only says that it is full runs everywhere")
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: str) -> Path:
        options = f"remount,size={size}" if os.path.ismount(folder) else f"size={size}"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"mount: {done.stderr.decode()}")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", folder], check=True)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(conversion, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000, 900, 100))
    with pytest.raises(ResourceError) as caught:
        conversion.save(tmp_path / "out")
    needed = sum(tensor.nbytes for tensor in conversion.state_dict.values())
    assert caught.value.exit_code == 8
    assert "100 bytes free" in str(caught.value)
    assert int(str(caught.value).rpartition("about ")[2].split()[0]) > 2 * needed
    assert list(tmp_path.iterdir()) == []


# From less than one file to all but the last: the disk is full at another write each time.
@pytest.mark.parametrize("size", ["100k", "260k", "500k"])
def test_row_44_a_disk_that_fills_up_leaves_the_earlier_output_and_the_next_run_succeeds(
    conversion, disk, monkeypatch, size
):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: ENDLESS)
    folder = disk(size) / "out"
    folder.mkdir()
    (folder / "plan.json").write_text("of before")
    with pytest.raises(ResourceError):
        conversion.save(folder, onnx=True)
    assert content(folder) == {"plan.json": b"of before"}
    disk("20m")
    conversion.save(folder, onnx=True)
    assert "manifest.json" in content(folder)


def test_row_49_a_disk_that_is_read_only_is_told_before_any_work(disk):
    from torchgraft.pipeline.run_dir import open_run_dir

    folder = disk("1m")
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    with pytest.raises(ResourceError, match="Read-only"), open_run_dir(folder / "out"):
        pytest.fail("the work has begun")
    with pytest.raises(ResourceError, match="Read-only"), open_run_dir(folder):
        pytest.fail("the work has begun")
