"""The image is really built, and converts LeNet inside.

    pytest -m container tests/container

Takes minutes and gigabytes. TORCHGRAFT_BASE_IMAGE and TORCHGRAFT_TORCH_INDEX become the build's arguments; an empty
TORCHGRAFT_TORCH_INDEX takes torch from pip's own index. TORCHGRAFT_CONTAINER_STORAGE keeps buildah's images.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from .engines import engine

pytestmark = pytest.mark.container
PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    storage = Path(os.environ.get("TORCHGRAFT_CONTAINER_STORAGE") or tmp_path_factory.mktemp("storage"))
    found = engine(storage)
    if found is None:
        pytest.fail("neither a docker engine nor buildah (as root) is here: apt-get install buildah debootstrap")
    found.build(PROJECT, tmp_path_factory.mktemp("build"))
    yield found
    found.close()


@pytest.fixture
def mount(tmp_path):
    """A copy of the example that any user may write to, as `docker run` users mount their own folder."""
    shutil.copytree(
        PROJECT / "configs/lenet-digits", tmp_path / "lenet-digits", ignore=shutil.ignore_patterns(".cache", "runs")
    )
    for folder in (tmp_path, tmp_path / "lenet-digits"):
        folder.chmod(0o777)
    return tmp_path


def test_the_image_converts_lenet_onto_the_hand_written_module(image, mount):
    done = image.run("run", "lenet-digits/config.yaml", mount=mount)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = mount / "lenet-digits/runs/lenet-digits"
    assert {"state_dict.safetensors", "state_dict.pt", "plan.json", "manifest.json"} <= {
        path.name for path in runs.iterdir()
    }
    assert json.loads((runs / "manifest.json").read_text())["versions"]["torch"]
    assert (runs / "manifest.json").stat().st_uid != 0, "the image does not run as root"


def test_the_image_reports_a_broken_module_as_a_person_would_see_it(image, mount):
    (mount / "lenet-digits/net.py").write_text("import no_such_package\n")
    done = image.run("run", "lenet-digits/config.yaml", mount=mount)
    assert done.returncode == 6, done.stdout + done.stderr
    assert "net.py:1" in done.stdout + done.stderr
