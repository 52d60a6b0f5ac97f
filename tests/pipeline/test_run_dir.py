"""The output folder: one writer, whole outputs or none, leftovers swept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torchgraft.pipeline.run_dir import HOLDER, MANIFEST, STAGING_PREFIX, open_run_dir, sha256_of
from torchgraft.stages.errors import LockedError, ResourceError


def publish(folder: Path, files: dict[str, str]) -> None:
    with open_run_dir(folder) as run_dir, run_dir.staging() as staging:
        for name, text in files.items():
            (staging / name).write_text(text)
        hashes = {name: sha256_of(staging / name) for name in files}
        run_dir.publish(staging, hashes, {"format": 1})


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_published_is_there_and_nothing_else(tmp_path):
    publish(tmp_path / "out", {"a.txt": "one", "b.txt": "two"})
    assert set(content(tmp_path / "out")) == {"a.txt", "b.txt", MANIFEST}
    with open_run_dir(tmp_path / "out") as run_dir:
        manifest = run_dir.manifest()
        assert manifest is not None
        assert manifest["outputs"].keys() == {"a.txt", "b.txt"}
        assert run_dir.outputs_hold(manifest)


@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_an_output_that_was_touched_does_not_hold(tmp_path, damage):
    publish(tmp_path, {"a.txt": "one"})
    (tmp_path / "a.txt").write_text("other") if damage == "changed" else (tmp_path / "a.txt").unlink()
    with open_run_dir(tmp_path) as run_dir:
        assert not run_dir.outputs_hold(run_dir.manifest() or {})


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"outputs": []}'])
def test_a_manifest_that_is_none_holds_nothing(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with open_run_dir(tmp_path) as run_dir:
        assert not run_dir.outputs_hold(run_dir.manifest() or {})


def test_a_failure_leaves_the_earlier_output_as_it_was_and_no_temporary(tmp_path):
    publish(tmp_path, {"a.txt": "one"})
    before = content(tmp_path)
    with pytest.raises(RuntimeError), open_run_dir(tmp_path) as run_dir, run_dir.staging() as staging:
        (staging / "a.txt").write_text("half")
        raise RuntimeError
    assert content(tmp_path) == before


def test_a_failure_leaves_no_folder_that_was_not_there(tmp_path):
    with pytest.raises(RuntimeError), open_run_dir(tmp_path / "a" / "b"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_reads_back_differently_is_not_published(tmp_path):
    publish(tmp_path, {"a.txt": "one"})
    before = content(tmp_path)
    with (
        pytest.raises(ResourceError, match=r"a\.txt reads back"),
        open_run_dir(tmp_path) as run_dir,
        run_dir.staging() as staging,
    ):
        (staging / "a.txt").write_text("two")
        run_dir.publish(staging, {"a.txt": sha256_of(tmp_path / "a.txt")}, {})
    assert content(tmp_path) == before


def test_an_output_of_before_that_is_no_more_is_removed_and_a_foreign_file_is_kept(tmp_path):
    publish(tmp_path, {"a.txt": "one", "model.onnx": "graph"})
    (tmp_path / "notes.txt").write_text("mine")
    publish(tmp_path, {"a.txt": "two"})
    assert set(content(tmp_path)) == {"a.txt", "notes.txt", MANIFEST}


def test_a_manifest_cannot_name_a_file_elsewhere_for_removal(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    folder = tmp_path / "out"
    publish(folder, {"a.txt": "one"})
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["outputs"]["../outside.txt"] = "0"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    publish(folder, {"a.txt": "two"})
    assert outside.exists()


def test_leftovers_of_a_killed_run_are_swept(tmp_path):
    left = tmp_path / f"{STAGING_PREFIX}killed"
    left.mkdir()
    (left / "state_dict.pt").write_bytes(b"half")
    (tmp_path / HOLDER).write_text('{"pid": 1, "host": "x", "command": "dead"}')
    publish(tmp_path, {"a.txt": "one"})
    assert set(content(tmp_path)) == {"a.txt", MANIFEST}


HOLD = """
import pathlib, sys
from torchgraft.pipeline.run_dir import open_run_dir
with open_run_dir(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds ``tmp_path`` until its stdin is closed, or it is killed."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_on_the_folder_is_told_who_has_it(tmp_path, holder):
    with pytest.raises(LockedError) as caught, open_run_dir(tmp_path):
        pass
    assert caught.value.exit_code == 9
    assert str(holder.pid) in str(caught.value)
    assert os.uname().nodename in str(caught.value)
    holder.communicate()
    publish(tmp_path, {"a.txt": "one"})


def test_the_lock_of_a_dead_holder_is_free(tmp_path, holder):
    holder.kill()
    holder.wait()
    publish(tmp_path, {"a.txt": "one"})
    assert set(content(tmp_path)) == {"a.txt", MANIFEST}


@pytest.mark.parametrize("folder", ["/proc/torchgraft-test/out", "file/out"])
def test_a_folder_that_cannot_be_written_is_a_resource_error(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(ResourceError) as caught, open_run_dir(Path(folder).absolute()):
        pass
    assert caught.value.exit_code == 8
