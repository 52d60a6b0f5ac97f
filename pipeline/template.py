"""``torchgraft init``: a config that works as it is written, with every other option in a comment."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

from ..stages.errors import ResourceError, UsageError
from ..stages.load.gate import local_file, model_path
from ..stages.load.user_code import is_code
from .config import JobOptions, ModelOptions, TargetOptions
from .config_docs import Option, options

WIDTH = 120
COLUMN = 32


def write_template(model: str, target: str, path: Path) -> str:
    """Write the config for ``model`` and ``target`` to ``path``; returns what is missing yet, or "".

    Both are as the command line has them, relative to the working directory; a config has them relative to itself.

    Raises:
        UsageError: the file exists already, the model does not, or one is not of the form that a config takes.
    """
    try:
        JobOptions(
            model=ModelOptions(**ModelOptions.from_text(model)), target=TargetOptions(**TargetOptions.from_text(target))
        )
    except ValueError as error:
        fix = "MODEL is a .keras or .h5 file or file.py:function; TARGET is file.py:Class or package.module:attribute"
        raise UsageError(f"received MODEL {model!r} and TARGET {target!r}", where="init", fix=fix) from error
    if is_code(model):
        local_file(_file_of(model), Path.cwd(), "MODEL")
    else:
        model_path(model, Path.cwd(), "MODEL")
    missing = is_code(target) and not Path(_file_of(target)).expanduser().is_file()
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(_beside(model, path), _beside(target, path) if is_code(target) else target))
    except FileExistsError:
        raise UsageError("the file exists", where=str(path), fix="remove it, or give another --output") from None
    except OSError as error:
        raise ResourceError(
            f"cannot be written: {error.strerror}", where=str(path), fix="give another --output"
        ) from None
    return f"{_file_of(target)} does not exist yet: write it before you run the job" if missing else ""


def _file_of(text: str) -> str:
    """The file of ``file.py:name``; any other text is a file itself."""
    return text.rpartition(":")[0] if is_code(text) else text


def _beside(text: str, config: Path) -> str:
    """A file, or ``file.py:name``, relative to the config's folder; an absolute one stays as it is."""
    file = _file_of(text)
    found = Path(file).expanduser()
    if found.is_absolute():
        return text
    # Links in the folders are followed: `..` in the config starts from where its folder truly is.
    relative = os.path.relpath(found.parent.resolve() / found.name, config.parent.resolve())
    return relative + text.removeprefix(file)


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
