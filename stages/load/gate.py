"""The gate in front of every model file: is it a file at all, is it whole, is it what its name says.

Runs before Keras sees the file, with zipfile and h5py alone.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from pathlib import Path

import h5py

from ..errors import CorruptInputError, LockedError, UsageError
from .budget import check_members
from .saved_model_file import is_saved_model

KERAS_SUFFIXES = (".keras",)
HDF5_SUFFIXES = (".h5", ".hdf5")
CONFIG_MEMBER = "config.json"
METADATA_MEMBER = "metadata.json"
WEIGHTS_MEMBER = "model.weights.h5"
_ZIP_MAGIC = b"PK\x03\x04"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_CHUNK = 1 << 20


def local_file(source: str | Path, base: Path, kind: str = "model") -> Path:
    """The regular file that ``source`` names, relative to ``base``; never blocks on a FIFO or a device.

    Raises:
        UsageError: a URL, a folder, a FIFO, a device, or nothing at all.
    """
    path, mode = _local(source, base, kind)
    if stat.S_ISDIR(mode):
        raise UsageError(f"received a folder, not a {kind} file", where=str(path), fix="give a file in it")
    return path


def model_path(source: str | Path, base: Path, kind: str = "model") -> Path:
    """The same, or the folder of a SavedModel."""
    path, mode = _local(source, base, kind)
    if stat.S_ISDIR(mode) and not is_saved_model(path):
        raise UsageError(
            "received a folder without a saved_model.pb, not a model file", where=str(path), fix="give a file in it"
        )
    return path


def _local(source: str | Path, base: Path, kind: str) -> tuple[Path, int]:
    text = str(source)
    if "://" in text:
        raise UsageError(f"received a URL, not a file: {text}", where=kind, fix="download it and give its path")
    path = (base / Path(text).expanduser()).resolve()
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"the {kind} file cannot be found: {reason}", where=str(path), fix="check the path") from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        what = "a FIFO" if stat.S_ISFIFO(mode) else "a device or a socket"
        raise UsageError(f"received {what}, not a regular file", where=str(path), fix="copy its content to a file")
    return path, mode


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal; of a folder, that of its files' names and hashes, in order."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = (f"{file.relative_to(path).as_posix()} {sha256_of(file)}\n" for file in files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str | None) -> None:
    """Compare with what the config states.

    Raises:
        CorruptInputError: the file has another hash.
    """
    if expected is None:
        return
    received = sha256_of(path)
    if received != expected.lower():
        raise CorruptInputError(
            f"the file is not the one that was meant: sha256 {received}, expected {expected.lower()}",
            where=str(path),
            fix="restore the file, or correct sha256 in the config",
        )


def check_format(path: Path) -> str:
    """``"keras"`` or ``"h5"``, after the whole file was found to be one.

    Raises:
        CorruptInputError: empty, truncated, damaged, or another format than the name says.
        LockedError: somebody writes it.
        UsageError: a file that carries neither name nor content of a Keras model.
    """
    with path.open("rb") as file:
        magic = file.read(8)
    suffix = path.suffix.lower()
    if not magic:
        raise CorruptInputError("the file is empty (0 bytes)", where=str(path), fix="save or copy the model again")
    is_zip, is_hdf5 = magic.startswith(_ZIP_MAGIC), magic == _HDF5_MAGIC
    if suffix in KERAS_SUFFIXES:
        if is_hdf5:
            raise CorruptInputError("this is HDF5, not a zip", where=str(path), fix="rename it to .h5")
        if not is_zip:
            raise _unknown(path, "not a zip", magic)
        _check_zip(path)
        return "keras"
    if suffix in HDF5_SUFFIXES:
        if is_zip:
            raise CorruptInputError("this is a zip, not HDF5", where=str(path), fix="rename it to .keras")
        if not is_hdf5:
            raise _unknown(path, "not HDF5", magic)
        _check_hdf5(path)
        return "h5"
    if is_zip or is_hdf5:
        name, right = ("a zip", ".keras") if is_zip else ("HDF5", ".h5")
        raise CorruptInputError(
            f"the extension {suffix!r} is no Keras model's, the content is {name}",
            where=str(path),
            fix=f"if it is a Keras model, rename it to {right}",
        )
    raise UsageError(
        f"the extension {suffix!r} is no Keras model's",
        where=str(path),
        fix=f"give a {', '.join((*KERAS_SUFFIXES, *HDF5_SUFFIXES))} file, or a factory 'file.py:function'",
    )


def _unknown(path: Path, what: str, magic: bytes) -> CorruptInputError:
    return CorruptInputError(
        f"{what}: the file begins with {magic!r}", where=str(path), fix="save or copy the model again"
    )


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(archive, path)
            bad = archive.testzip()
            members = archive.namelist()
    except zipfile.BadZipFile as error:
        what = f"truncated or damaged zip ({error})"
        raise CorruptInputError(what, where=str(path), fix="save or copy the model again") from None
    except (zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise CorruptInputError(
            f"the zip cannot be read ({error})", where=str(path), fix="save or copy the model again"
        ) from None
    if bad is not None:
        raise CorruptInputError(
            f"member {bad!r} of the zip is damaged: its CRC-32 does not hold",
            where=str(path),
            fix="save or copy the model again",
        )
    for member in (CONFIG_MEMBER, WEIGHTS_MEMBER):
        if member not in members:
            raise CorruptInputError(
                f"the zip has no member {member!r}; it has {', '.join(sorted(members)[:8]) or 'none'}",
                where=str(path),
                fix="save the whole model with model.save('name.keras')",
            )


def _check_hdf5(path: Path) -> None:
    try:
        with h5py.File(path, "r"):
            pass
    except OSError as error:
        if "lock file" in str(error):  # HDF5 locks what it writes (H5Pset_file_locking)
            raise LockedError(
                "another process has the file open for writing", where=str(path), fix="wait until it has closed it"
            ) from None
        what = "truncated HDF5" if "truncated" in str(error) else "damaged HDF5"
        raise CorruptInputError(f"{what} ({error})", where=str(path), fix="save or copy the model again") from None
