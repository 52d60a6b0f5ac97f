"""The folder of a run: one writer at a time, outputs that appear whole or not at all.

Publishing: files are written into a staging folder inside the output folder (same file system), flushed to disk, read
back and hashed, then moved into place one by one, the manifest last. Whoever finds a manifest whose hashes
hold has a whole run; a run that was killed in between leaves a manifest that does not hold, and is done again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stages.errors import LockedError, ResourceError

MANIFEST = "manifest.json"
STAGING_PREFIX = ".torchgraft-staging-"
HOLDER = ".torchgraft-holder.json"


@dataclass(frozen=True)
class RunDir:
    """An output folder that this process has locked; made by ``open_run_dir``."""

    folder: Path

    def manifest(self) -> dict[str, Any] | None:
        """The manifest of the run that is in the folder; None where there is none that can be read."""
        try:
            found = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def outputs_hold(self, manifest: Mapping[str, Any]) -> bool:
        """Whether every output that the manifest lists is there, with its hash."""
        outputs = manifest.get("outputs")
        if not isinstance(outputs, dict) or not outputs:
            return False
        paths = {self.folder / name: expected for name, expected in outputs.items()}
        return all(path.is_file() and sha256_of(path) == expected for path, expected in paths.items())

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A new folder for files to publish; gone afterwards, whatever happens."""
        with disk_errors(self.folder):
            path = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=self.folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def publish(self, staging: Path, hashes: Mapping[str, str], manifest: Mapping[str, Any]) -> None:
        """Move the files of ``staging`` into place, then the manifest, then remove outputs of before that are no more.

        Raises:
            ResourceError: a file does not read back with the hash it was written with, or the disk refuses.
        """
        before = self.manifest() or {}
        with disk_errors(self.folder):
            for name, expected in hashes.items():
                _flush(staging / name)
                if sha256_of(staging / name) != expected:
                    raise ResourceError(
                        f"{name} reads back with other content than was written",
                        where=str(self.folder),
                        fix="check the disk, then run again",
                    )
            text = json.dumps({**manifest, "outputs": dict(hashes)}, indent=1, ensure_ascii=False) + "\n"
            (staging / MANIFEST).write_text(text, encoding="utf-8")
            _flush(staging / MANIFEST)
            for name in (*hashes, MANIFEST):
                (staging / name).replace(self.folder / name)
            _flush(self.folder)
            for name in set(before.get("outputs", ())) - set(hashes):
                (self.folder / Path(name).name).unlink(missing_ok=True)


@contextlib.contextmanager
def open_run_dir(folder: Path) -> Iterator[RunDir]:
    """Create and lock the folder, sweep what a killed run left; afterwards release it, and remove it where it is empty.

    Raises:
        LockedError: another process has it; names its pid, host and command.
        ResourceError: the folder cannot be created or written.
    """
    made = _missing_parents(folder)
    with disk_errors(folder):
        handle = _lock(folder)
    try:
        with disk_errors(folder):
            _sweep(folder)
            (folder / HOLDER).write_text(json.dumps(_this_process()), encoding="utf-8")
        yield RunDir(folder)
    finally:
        with contextlib.suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        os.close(handle)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into ResourceError with what can be done."""
    try:
        yield
    except OSError as error:
        fixes = {
            errno.ENOSPC: "free disk space or choose another output folder",
            errno.EDQUOT: "free space in your quota",
        }
        raise ResourceError(
            f"the output folder cannot be written: {error.strerror or error}",
            where=str(error.filename or folder),
            fix=fixes.get(
                error.errno or 0, "choose a folder that you can write to: `output` in the config, or --output"
            ),
        ) from None


def _missing_parents(folder: Path) -> list[Path]:
    """The folder and its parents that do not exist yet, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _lock(folder: Path) -> int:
    """A handle that holds the folder's flock: the kernel frees it when the process ends, however it ends."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise _locked(folder) from None
        # Its last holder may have removed the folder between our open and our flock.
        with contextlib.suppress(OSError):
            if os.fstat(handle).st_ino == folder.stat().st_ino:
                return handle
        os.close(handle)


def _locked(folder: Path) -> LockedError:
    try:
        holder = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        who = f"process {holder['pid']} on {holder['host']}: {holder['command']}"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return LockedError(
        f"the output folder is in use by {who}", where=str(folder), fix="wait for it, or choose another output folder"
    )


def _this_process() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "command": " ".join(sys.argv)}


def _sweep(folder: Path) -> None:
    for left in folder.glob(STAGING_PREFIX + "*"):
        shutil.rmtree(left)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
