"""FAULTS rows 25 to 29: a config that is wrong is refused with its line, exit code 2, before any work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torchgraft.pipeline.batch import read_batch
from torchgraft.pipeline.config_file import read_config
from torchgraft.stages.errors import UsageError

# Far more than it takes, far less than the minutes that a parser without a limit takes for these.
SECONDS = 20


def refused(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "job.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        read_config(path)
    assert caught.value.exit_code == 2
    assert caught.value.fix
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        ("model: a.keras\nmodel: b.keras\n", 2, "duplicate key"),
        ("model: a.keras\ntolerance:\n  atol: 1\n  atol: 2\n", 4, "duplicate key"),
        ("model: a.keras\nmodle: b.keras\n", 2, "nearest known one is model"),
        ("model: a.keras\ntolerance:\n\tatol: 1\n", 3, "tabs"),
        ("model: a.keras\n---\nmodel: b.keras\n", 2, "second document"),
        ("", 1, "received nothing"),
        ("# only a comment\n", 1, "received nothing"),
        ("- model\n", 1, "received a list"),
        ("just text\n", 1, "received a str"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", 1, "binary"),
        (b"\x00\x01\x02", 1, "not valid YAML"),
        ("model: [a\n", 2, "not valid YAML"),
        ("model: a.keras\nseed: 1\n  onnx: true\n", 3, "not valid YAML"),
    ],
)
def test_row_25_what_is_no_config_is_refused_with_its_line(tmp_path, content, line, word):
    message = refused(tmp_path, content)
    assert word in message
    assert f"job.yaml:{line}:" in message


@pytest.mark.parametrize("option", ["modle", "modl", "mdoel"])
def test_row_25_a_misspelt_option_is_told_once_and_not_as_a_missing_one(tmp_path, option):
    message = refused(tmp_path, f"{option}: a.keras\ntarget: net.py:Net\n")
    assert "nearest known one is model" in message
    assert "missing" not in message
    assert "missing" in refused(tmp_path, "wrong: a.keras\ntarget: net.py:Net\n")


@pytest.mark.parametrize(
    "content",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nmodel: *b\n",
        "model: &m\n  path: *m\n",
        "model: " + "[" * 100_000,
        "model: " + "{a: " * 50_000,
        "model: a.keras\n<<: {seed: 1}\nbase: &base {}\n",
    ],
    ids=["alias bomb", "cycle", "deep list", "deep mapping", "merge"],
)
def test_row_26_a_config_that_multiplies_itself_is_refused_before_it_is_built(tmp_path, content):
    path = tmp_path / "job.yaml"
    path.write_text(content)
    program = "import sys; from torchgraft.pipeline.config_file import read_config; read_config(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert "UsageError" in done.stderr


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [touch marker]", "!custom x", "!!binary aGk="])
def test_row_27_tags_are_refused_and_nothing_is_run(tmp_path, monkeypatch, tag):
    monkeypatch.chdir(tmp_path)
    assert "tags are not read" in refused(tmp_path, f"model: {tag}\n")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("value", [".nan", "-.inf", ".inf", "-1e-3", "'1e-3'", "nan", "true"])
def test_row_28_a_tolerance_that_is_no_number_is_refused(tmp_path, value):
    message = refused(tmp_path, f"model: a.keras\ntolerance:\n  rtol: {value}\n")
    assert "job.yaml:3: tolerance.rtol" in message


def test_row_28_an_exponent_is_a_number(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("model: a.keras\ntolerance: {atol: 1e-3, rtol: 2E-05}\n")
    tolerance = read_config(path).options.tolerance
    assert (tolerance.atol, tolerance.rtol) == (0.001, 0.00002)


@pytest.fixture
def job(tmp_path):
    """Writes a config whose inputs exist."""

    def write(name: str, text: str = "") -> Path:
        (tmp_path / "net.py").write_text("raise AssertionError('imported before the configs were checked')\n")
        (tmp_path / "model.keras").write_bytes(b"never opened")
        path = tmp_path / f"{name}.yaml"
        path.write_text(f"model: model.keras\ntarget: net.py:Net\n{text}")
        return path

    return write


def refused_batch(paths, output=None) -> str:
    with pytest.raises(UsageError) as caught:
        read_batch(paths, output)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_row_29_two_jobs_with_one_output(job):
    message = refused_batch([job("a", "output: out\n"), job("b", "output: ./x/../out\n")])
    assert "out is also that of" in message
    assert "a.yaml" in message
    assert "b.yaml" in message


def test_row_29_two_jobs_of_one_name_below_one_output(job, tmp_path):
    assert "also that of" in refused_batch([job("a", "name: same\n"), job("b", "name: same\n")], tmp_path / "out")


def test_row_29_one_output_through_a_link(job, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert "also that of" in refused_batch([job("a", "output: real\n"), job("b", "output: link\n")])


@pytest.mark.parametrize("output", ["net.py", "model.keras"])
def test_row_29_an_output_that_is_an_input(job, output):
    assert "is an output of" in refused_batch([job("a", f"output: {output}\n")])


def test_row_29_an_input_that_another_job_would_write(job, tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    np_file = tmp_path / "runs" / "a" / "model.onnx"
    np_file.write_bytes(b"x")
    second = tmp_path / "b.yaml"
    second.write_text("model: {path: runs/a/model.onnx}\n")
    assert "is an output of" in refused_batch([job("a"), second])


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/etc", "", ".hidden", "a b"])
def test_row_29_a_name_that_is_a_path(job, name):
    assert "name" in refused_batch([job("a", f"name: '{name}'\n")])


def test_good_configs_are_read_without_opening_what_they_name(job):
    configs = read_batch([job("a"), job("b")])
    assert [config.name for config in configs] == ["a", "b"]


def test_an_input_that_is_missing_is_told_before_any_work(job, tmp_path):
    path = job("a")
    (tmp_path / "net.py").unlink()
    message = refused_batch([path])
    assert "net.py" in message
    assert "a.yaml" in message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="FIFOs are of POSIX")
def test_an_input_that_is_a_fifo_is_refused_and_never_opened(job, tmp_path):
    path = job("a")
    (tmp_path / "model.keras").unlink()
    os.mkfifo(tmp_path / "model.keras")
    assert "FIFO" in refused_batch([path])
