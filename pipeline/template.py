"""``torchgraft init``: a config that works as it is written, with every other option in a comment."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from ..stages.errors import ResourceError, UsageError
from .config import JobOptions, ModelOptions, TargetOptions
from .config_docs import Option, options

WIDTH = 110


def write_template(model: str, target: str, path: Path) -> None:
    """Write the config for ``model`` and ``target`` to ``path``.

    Raises:
        UsageError: the file exists already, or model or target is not of the form that a config takes.
    """
    try:
        JobOptions(
            model=ModelOptions(**ModelOptions.from_text(model)), target=TargetOptions(**TargetOptions.from_text(target))
        )
    except ValueError as error:
        fix = "MODEL is a .keras or .h5 file or file.py:function; TARGET is file.py:Class or package.module:attribute"
        raise UsageError(f"received MODEL {model!r} and TARGET {target!r}", where="init", fix=fix) from error
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(model, target))
    except FileExistsError:
        raise UsageError("the file exists", where=str(path), fix="remove it, or give another --output") from None
    except OSError as error:
        raise ResourceError(
            f"cannot be written: {error.strerror}", where=str(path), fix="give another --output"
        ) from None


def template(model: str, target: str) -> str:
    """The text of the config: JSON strings are YAML strings, whatever is in the name."""
    head = (
        "# A torchgraft job: run it with `torchgraft run` and this file's name. Paths are relative to this file.\n\n"
        f"model: {json.dumps(model, ensure_ascii=False)}\n"
        f"target: {json.dumps(target, ensure_ascii=False)}\n\n"
        "# What else can be said, with what holds where it is left out:\n"
    )
    return head + "".join(_commented(option) for option in options())


def _commented(option: Option) -> str:
    default = f" (default {option.default.strip('`')})" if option.default.startswith("`") else ""
    text = f"{option.path}{default}: {option.meaning}"
    return (
        textwrap.fill(text, WIDTH, initial_indent="#   ", subsequent_indent="#       ", break_on_hyphens=False) + "\n"
    )
