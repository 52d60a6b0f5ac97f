"""Reading JSON values under their types: what a Plan file holds is checked once, where it is read.

Every function returns the value as the type that its name says, or raises ValueError with what was received.
JSON's ``true`` is no integer here, and ``2.0`` is no axis: a wrong type would pass comparisons and fail much later.
"""

# ruff: noqa: TRY004 - a wrong type in a file is a wrong value, not a mistake of the caller

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def within(where: str) -> Iterator[None]:
    """Put ``where`` before the message of a ValueError from inside.

    >>> with within("key fc.weight"):
    ...     integer("2", "axis")
    Traceback (most recent call last):
    ValueError: key fc.weight: axis must be an integer, received '2'
    """
    try:
        yield
    except ValueError as fault:
        raise ValueError(f"{where}: {fault}") from fault


def record(value: object, what: str, *names: str) -> Mapping[str, Any]:
    """A JSON object with exactly the fields ``names``; with no names, any."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be an object, received {value!r}")
    if names and set(value) != set(names):
        raise ValueError(f"{what} must have the fields {', '.join(names)}, received {', '.join(map(str, value))}")
    return value


def items(value: object, what: str) -> list[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise ValueError(f"{what} must be an array, received {value!r}")
    return value


def integer(value: object, what: str) -> int:
    """A JSON integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{what} must be an integer, received {value!r}")
    return value


def integers(value: object, what: str) -> tuple[int, ...]:
    """A JSON array of integers."""
    return tuple(integer(one, what) for one in items(value, what))


def shape(value: object, what: str = "shape") -> tuple[int, ...]:
    """A JSON array of lengths, none of them negative.

    >>> shape([3, 4])
    (3, 4)
    """
    lengths = integers(value, what)
    if any(length < 0 for length in lengths):
        raise ValueError(f"{what} must not be negative, received {value!r}")
    return lengths


def number(value: object, what: str) -> float:
    """A JSON number; an integer stays one."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"{what} must be a number, received {value!r}")
    return value


def text(value: object, what: str) -> str:
    """A JSON string."""
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string, received {value!r}")
    return value


def texts(value: object, what: str) -> tuple[str, ...]:
    """A JSON array of strings."""
    return tuple(text(one, what) for one in items(value, what))
