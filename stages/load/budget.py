"""What a file would unpack to, by what it declares: a bomb is refused before a byte of it is unpacked."""

from __future__ import annotations

import math
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RefusedError

if TYPE_CHECKING:
    from .stored import StoredWeights

# Keras stores its members without compression; JSON packs to a tenth.
_RATIO = 50
_HARMLESS = 64 << 20
_SIZES = ("units", "filters", "input_dim", "output_dim", "key_dim", "value_dim", "num_heads", "hidden_dim")
_AGAIN = "save the model again with Keras"


def check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse members that lead out of the archive, hide another, or unpack to far more than the file.

    Raises:
        RefusedError: with the member's name.
    """
    seen: set[str] = set()
    for info in archive.infolist():
        reason = _member_fault(info) or ("is there twice" if info.filename in seen else "")
        seen.add(info.filename)
        if reason:
            raise RefusedError(f"member {info.filename!r} of the zip {reason}", where=str(path), fix=_AGAIN)
    if any(info.header_offset == 0 for info in archive.infolist()) or not seen:
        return
    raise RefusedError("the zip has something in front of its first member", where=str(path), fix=_AGAIN)


def _member_fault(info: zipfile.ZipInfo) -> str:
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        return "leads out of it"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a symbolic link"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.file_size > _HARMLESS and info.file_size > _RATIO * max(info.compress_size, 1):
        return f"unpacks from {info.compress_size} bytes to {info.file_size}"
    return ""


def check_arrays(stored: StoredWeights) -> None:
    """Refuse arrays that declare far more than the file holds, and layers far larger than all of its arrays.

    Raises:
        RefusedError: with the array or the layer.
    """
    held = stored.path.stat().st_size
    declared = 0
    for weight in stored.weights:
        declared += math.prod(weight.shape) * 8
        if declared > _HARMLESS and declared > _RATIO * 8 * held:
            what = f"the array {weight.path!r} of shape {weight.shape} is more than a file of {held} bytes can hold"
            raise RefusedError(what, where=str(stored.path), fix=_AGAIN)
    most = max(sum(math.prod(weight.shape) for weight in stored.weights), 1 << 20)
    for name, option, size in _sizes(stored.config, ""):
        if size > most:
            what = f"{option} is {size}, more than all the weights in the file"
            raise RefusedError(what, where=f"{stored.path}, layer {name!r}", fix=_AGAIN)


def _sizes(node: Any, name: str) -> Iterator[tuple[str, str, int]]:
    if isinstance(node, Mapping):
        name = str(node["name"]) if isinstance(node.get("name"), str) else name
        for key, value in node.items():
            if key in _SIZES and isinstance(value, int):
                yield name, key, value
            else:
                yield from _sizes(value, name)
    elif isinstance(node, list | tuple):
        for entry in node:
            yield from _sizes(entry, name)
