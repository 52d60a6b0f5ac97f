"""FAULTS rows 16, 17, 18: what is no file, and what is no whole file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from torchgraft.stages import load
from torchgraft.stages.errors import CorruptInputError, LockedError, UsageError
from torchgraft.stages.load import gate


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "model.keras")
    with pytest.raises(UsageError, match="a FIFO"):
        gate.local_file("model.keras", tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [("/dev/zero", "a device"), ("s3://bucket/m.keras", "a URL"), (".", "a folder"), ("gone.keras", "cannot be found")],
)
def test_what_is_no_regular_file_is_a_usage_error(tmp_path, source, message):
    with pytest.raises(UsageError, match=message):
        gate.local_file(source, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.keras", b"", "empty"),
        ("a.h5", b"", "empty"),
        ("a.keras", b"hello, world", "not a zip"),
        ("a.h5", b"hello, world", "not HDF5"),
    ],
)
def test_a_file_that_is_nothing_says_what_it_is_not(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptInputError, match=message):
        gate.check_format(tmp_path / name)


def test_an_unknown_extension_without_a_model_in_it_is_a_usage_error(tmp_path):
    (tmp_path / "a.txt").write_text("hello, world")
    with pytest.raises(UsageError, match="extension"):
        gate.check_format(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("original", "renamed", "fix"),
    [("model.keras", "a.h5", "rename it to .keras"), ("model.h5", "a.keras", "rename it to .h5"),
     ("model.keras", "a.zip", "rename it to .keras"), ("model.h5", "a.model", "rename it to .h5")],
)  # fmt: skip
def test_a_wrong_extension_names_the_right_one(saved, tmp_path, original, renamed, fix):
    shutil.copy(saved / original, tmp_path / renamed)
    with pytest.raises(CorruptInputError, match=fix):
        gate.check_format(tmp_path / renamed)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_truncated_file_is_called_truncated(saved, tmp_path, name, kept):
    content = (saved / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CorruptInputError, match="truncated"):
        load.keras_model(name, tmp_path)


@pytest.mark.parametrize("member", [gate.CONFIG_MEMBER, gate.WEIGHTS_MEMBER])
def test_a_flipped_bit_names_the_member_of_the_zip(saved, tmp_path, member):
    content = bytearray((saved / "model.keras").read_bytes())
    with zipfile.ZipFile(saved / "model.keras") as archive:
        info = archive.getinfo(member)
    content[info.header_offset + 30 + len(member) + info.file_size // 2] ^= 1
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(CorruptInputError, match=member):
        load.keras_model("model.keras", tmp_path)


def test_a_zip_without_weights_is_corrupt(saved, tmp_path):
    with zipfile.ZipFile(saved / "model.keras") as archive, zipfile.ZipFile(tmp_path / "a.keras", "w") as fewer:
        fewer.writestr(gate.CONFIG_MEMBER, archive.read(gate.CONFIG_MEMBER))
    with pytest.raises(CorruptInputError, match=r"no member 'model\.weights\.h5'"):
        gate.check_format(tmp_path / "a.keras")


def test_the_stated_hash_must_hold(saved):
    gate.check_sha256(saved / "model.h5", gate.sha256_of(saved / "model.h5").upper())
    with pytest.raises(CorruptInputError, match="sha256"):
        gate.check_sha256(saved / "model.h5", "0" * 64)


def test_row_24_a_file_that_somebody_writes_is_locked(saved, tmp_path):
    shutil.copy(saved / "model.h5", tmp_path / "model.h5")
    program = (
        f"import h5py, sys\nfile = h5py.File({str(tmp_path / 'model.h5')!r}, 'r+')\nprint('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(LockedError, match="open for writing"):
            load.keras_model("model.h5", tmp_path)
        writer.stdin.close()
        writer.wait()
    load.keras_model("model.h5", tmp_path)
