"""What computed a result: the versions of the libraries, and a digest of torchgraft's own source."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = (
    "torchgraft",
    "tensorflow",
    "keras",
    "tf2onnx",
    "onnx",
    "onnx-ir",
    "onnxruntime",
    "onnx2torch",
    "torch",
    "numpy",
)


@cache
def library_versions() -> dict[str, str]:
    """Name → installed version, read from the metadata: nothing is imported."""
    return {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@cache
def source_digest() -> str:
    """One hash over every source file of torchgraft, so that a checkout that was edited does its work again."""
    digest = hashlib.sha256()
    pipeline = Path(__file__).parent
    for folder in (pipeline, pipeline.parent / "stages"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
