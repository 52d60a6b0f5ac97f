"""What can build and run an image here: docker where its engine answers, else buildah without any daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from .pip_settings import local_paths, pip_conf, pip_settings

IMAGE = "torchgraft-test"
SUITE = "bookworm"
MIRROR = os.environ.get("TORCHGRAFT_DEBIAN_MIRROR", "http://deb.debian.org/debian")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class Engine(Protocol):
    def build(self, context: Path, scratch: Path) -> None:
        """Build ``IMAGE`` from the Dockerfile in ``context``."""

    def run(self, *arguments: str, mount: Path) -> subprocess.CompletedProcess[str]:
        """The image's entrypoint with ``arguments``, ``mount`` as /work, as the image's own user."""

    def close(self) -> None:
        """Leave nothing running; the image stays."""


def engine(storage: Path) -> Engine | None:
    """The first that works here, or None."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        return Docker()
    if shutil.which("buildah") and os.geteuid() == 0:
        return Buildah(storage)
    return None


def torch_index() -> list[str]:
    """The build argument that TORCHGRAFT_TORCH_INDEX asks for; set to nothing, torch comes from the default index."""
    index = os.environ.get("TORCHGRAFT_TORCH_INDEX")
    return [] if index is None else ["--build-arg", f"TORCH_INDEX={index}"]


def base_image() -> list[str]:
    image = os.environ.get("TORCHGRAFT_BASE_IMAGE")
    return ["--build-arg", f"BASE_IMAGE={image}"] if image else []


class Docker:
    def build(self, context: Path, scratch: Path) -> None:
        conf = scratch / "pip.conf"
        conf.write_text(pip_conf(pip_settings()))
        secret = ["--secret", f"id=pip,src={conf}"]
        environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        subprocess.run(
            ["docker", "build", "-t", IMAGE, *base_image(), *torch_index(), *secret, str(context)],
            check=True,
            env=environment,
        )

    def run(self, *arguments: str, mount: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "run", "--rm", "-v", f"{mount}:/work", IMAGE, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def close(self) -> None:
        pass


@dataclass
class Buildah:
    """Chroot isolation and vfs storage need neither daemon nor kernel features; debootstrap makes the base image."""

    storage: Path

    def _buildah(self, *arguments: str, check: bool = True, capture: bool = True) -> subprocess.CompletedProcess[str]:
        top = ["buildah", "--root", str(self.storage / "root"), "--runroot", str(self.storage / "run")]
        done = subprocess.run(
            [*top, "--storage-driver", "vfs", *arguments], capture_output=capture, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"buildah {arguments[0]} failed:\n{(done.stdout or '')[-4000:]}\n{done.stderr or ''}")
        return done

    def build(self, context: Path, scratch: Path) -> None:
        settings = pip_settings()
        (scratch / "pip.conf").write_text(pip_conf(settings))
        base = base_image() or ["--build-arg", f"BASE_IMAGE={self._debian(scratch)}"]
        volumes = [option for path in local_paths(settings) for option in ("--volume", f"{path}:{path}:ro")]
        secret = ["--secret", f"id=pip,src={scratch / 'pip.conf'}"]
        arguments = ["--isolation", "chroot", "--layers=false", *volumes, *secret, *base, *torch_index()]
        self._buildah("build", *arguments, "-t", IMAGE, str(context), capture=False)

    def _debian(self, scratch: Path) -> str:
        """A Debian with Python, no image registry needed; trusts the certificates that this machine trusts."""
        name = f"localhost/torchgraft-base-{SUITE}"
        if self._buildah("inspect", "--type", "image", name, check=False).returncode == 0:
            return name
        tree = scratch / "debian"
        packages = "python3,python3-venv,ca-certificates"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(tree), MIRROR], check=True
        )
        if CERTIFICATES.exists():
            shutil.copy(CERTIFICATES, tree / CERTIFICATES.relative_to("/"))
        container = self._buildah("from", "scratch").stdout.strip()
        self._buildah("copy", container, str(tree), "/")
        self._buildah("commit", "--rm", container, name)
        shutil.rmtree(tree)
        return name

    def run(self, *arguments: str, mount: Path) -> subprocess.CompletedProcess[str]:
        entrypoint = json.loads(self._buildah("inspect", self._container).stdout)["OCIv1"]["config"]["Entrypoint"]
        options = ["--isolation", "chroot", "--volume", f"{mount}:/work", self._container]
        return self._buildah("run", *options, "--", *entrypoint, *arguments, check=False)

    @cached_property
    def _container(self) -> str:
        """One for all runs: vfs copies the whole image for each."""
        return self._buildah("from", IMAGE).stdout.strip()

    def close(self) -> None:
        self._buildah("rm", self._container)
