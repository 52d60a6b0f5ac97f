"""The user's own classes and functions that a model file names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError
from . import user_code


def custom_objects(named: Mapping[str, str], base: Path) -> dict[str, Any]:
    """Name in the file → class or function; also under the name that its registration gives it ("package>Name").

    Raises:
        UsageError: no such file or name, importing it failed, or it is neither a class nor a function.
    """
    found: dict[str, Any] = {}
    for name, target in named.items():
        given = user_code.attribute(target, base, UsageError)
        if not callable(given):
            raise UsageError(
                f"{target} is a {type(given).__name__}",
                where=f"model.custom_objects.{name}",
                fix="name a class or a function",
            )
        found.update(dict.fromkeys((name, name.rpartition(">")[2], registered_name(given)), given))
    return found


def registered_name(given: Any) -> str:
    """What ``keras.saving`` calls it in a file."""
    import keras

    name: str = keras.saving.get_registered_name(given)
    return name
