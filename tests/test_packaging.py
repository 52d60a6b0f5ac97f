"""What is in the wheel, what an import costs, and whether the names that are promised exist."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
FOLDERS = {"pipeline/_root": "torchgraft", "pipeline": "torchgraft/pipeline", "stages": "torchgraft/stages"}


def in_wheel(path: Path) -> str:
    """Where a source file stands in the wheel."""
    for folder, package in FOLDERS.items():
        if path.is_relative_to(REPOSITORY / folder):
            return f"{package}/{path.relative_to(REPOSITORY / folder).as_posix()}"
    raise AssertionError(path)


def sources() -> set[str]:
    return {in_wheel(path) for folder in ("pipeline", "stages") for path in (REPOSITORY / folder).rglob("*.py")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """Built from a copy, so that no build folder of before adds to it; without network."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    for name in ("pipeline", "stages"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(copy)], check=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_every_source_file_is_in_the_wheel_and_nothing_else(wheel):
    modules = {name for name in wheel.namelist() if name.endswith(".py")}
    assert modules == sources()
    assert "torchgraft/py.typed" in wheel.namelist()


def test_a_package_that_is_not_listed_would_be_seen(wheel):
    """The twin of the test above: without one listed package the sets differ."""
    modules = {name for name in wheel.namelist() if name.endswith(".py")}
    assert {name for name in modules if not name.startswith("torchgraft/stages/plan/")} != sources()


def test_the_command_is_in_the_wheel(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "torchgraft = torchgraft.pipeline.cli:main" in wheel.read(name).decode()


def loaded_by(*program: str) -> set[str]:
    """The heavy libraries that a fresh interpreter has loaded after the statements."""
    heavy = ("tensorflow", "keras", "torch", "onnxruntime")
    text = "; ".join([*program, "import sys", f"print(*[name for name in {heavy} if name in sys.modules])"])
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd="/")
    return set(done.stdout.splitlines()[-1].split())


CLI = "from typer.testing import CliRunner; from torchgraft.pipeline.cli import app; invoke = CliRunner().invoke"


@pytest.mark.parametrize(
    "program",
    [
        ("import torchgraft",),
        ("import torchgraft", "torchgraft.convert, torchgraft.Plan, torchgraft.Finding, torchgraft.UsageError"),
        (CLI, "assert invoke(app, ['--help']).exit_code == 0"),
        (CLI, "assert invoke(app, ['run', '--help']).exit_code == 0"),
        (CLI, "assert invoke(app, ['schema']).exit_code == 0"),
        (CLI, "assert invoke(app, ['explain', '/nowhere', 'key']).exception.exit_code == 2"),
        (
            "import torchgraft.pipeline.batch as batch, pathlib",
            f"batch.read_batch([pathlib.Path({str(REPOSITORY / 'configs/lenet-digits/config.yaml')!r})])",
        ),
    ],
    ids=["import", "names", "help", "run help", "schema", "explain", "config"],
)
def test_neither_tensorflow_nor_torch_is_loaded_by(program):
    assert loaded_by(*program) == set()


def test_a_loaded_library_would_be_seen():
    assert "onnxruntime" in loaded_by("import onnxruntime")


def test_every_public_name_exists():
    import torchgraft

    for name in torchgraft.__all__:
        assert getattr(torchgraft, name) is not None, name
    with pytest.raises(AttributeError, match="no attribute 'convertt'"):
        torchgraft.convertt  # noqa: B018


def test_every_error_is_public():
    import torchgraft
    from torchgraft.stages import errors

    kinds = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert kinds <= set(torchgraft.__all__)


def test_every_requirement_is_pinned_in_the_constraints():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if not line.startswith("#")}
    assert all("==" in line and "://" not in line for line in lines if not line.startswith("#"))
    for requirement in (*project["dependencies"], *extras):
        name = requirement.split(">")[0].split("=")[0].strip().lower()
        assert name in pinned, requirement
