"""What the code of a trusted Lambda layer may name.

A file keeps the code of a Lambda, not the imports of the program that wrote it; Keras gives it the names of a module of
its own (keras/src/utils/python_utils.py), where ``keras`` is none. What people import by habit is known here; a Lambda
that names anything else is refused, before it fails somewhere inside.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any

from ..errors import UnsupportedError
from .policy import FACTORY

#: Name in the code → the module that it is.
NAMES: Mapping[str, str] = {
    "K": "keras.backend",
    "activations": "keras.activations",
    "backend": "keras.backend",
    "keras": "keras",
    "layers": "keras.layers",
    "math": "math",
    "np": "numpy",
    "numpy": "numpy",
    "ops": "keras.ops",
    "tensorflow": "tensorflow",
    "tf": "tensorflow",
}


@contextmanager
def lambda_names(where: Path) -> Iterator[None]:
    """While it is entered, the code of Lambdas is given ``NAMES``.

    Raises:
        UnsupportedError: a Lambda names something else, with its name and the line of the program that wrote it.
    """
    from keras.src.utils import python_utils

    load = python_utils.func_load
    unknown: list[str] = []

    def with_names(code: Any, defaults: Any = None, closure: Any = None, globs: Any = None) -> Any:
        known = {name: import_module(module) for name, module in NAMES.items()} if globs is None else globs
        function = load(code, defaults, closure, known)
        unknown.extend(
            f"{name!r} (line {function.__code__.co_firstlineno} of {Path(function.__code__.co_filename).name})"
            for name in sorted(_named(function.__code__) - set(known) - set(dir(builtins)))
        )
        return function

    python_utils.func_load = with_names
    try:
        yield
    finally:
        python_utils.func_load = load
        if unknown:
            what = f"the code of a Lambda layer names {', '.join(dict.fromkeys(unknown))}, which is not in the file"
            raise UnsupportedError(what, where=str(where), fix=FACTORY)


def _named(code: CodeType) -> set[str]:
    """The global names that code, and code inside it, reads."""
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    own = {str(each.argval) for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return own.union(*map(_named, inner))
