"""``torchgraft init``: a config that works as it is written, with every other option in a comment."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from ..stages.errors import ResourceError, UsageError
from .config import JobOptions, ModelOptions, TargetOptions
from .config_docs import Option, options

WIDTH = 120
COLUMN = 32


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
        "# Every option, with its default; of `path`, `factory`, and of `file`, `factory`, `generate`, give one.\n"
    )
    return head + "".join(_commented(option) for option in options())


def _commented(option: Option) -> str:
    """``#   atol: 1e-06             # Absolute part.``, the meaning going on below itself."""
    *groups, name = option.path.split(".")
    entry = f"# {'  ' * len(groups)}{name}: {option.value}".rstrip().ljust(COLUMN)
    lines = textwrap.wrap(option.meaning, WIDTH - COLUMN - 2, break_on_hyphens=False)
    first, *others = lines or [""]
    return "".join(
        f"{left}# {text}\n" for left, text in [(entry, first), *[("#".ljust(COLUMN), text) for text in others]]
    )
