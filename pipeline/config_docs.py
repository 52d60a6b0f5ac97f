"""The options as text, made from the models in config.py: the README's table and the template's comments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .config import JobOptions
from .config_file import group_of


class Option(NamedTuple):
    """One option: ``tolerance.atol``, ``1e-06``, what it means."""

    path: str
    default: str
    meaning: str


def options(group: type[BaseModel] = JobOptions, prefix: str = "") -> Iterator[Option]:
    """Every option, a group before its members."""
    for name, field in group.model_fields.items():
        inner = group_of(field.annotation)
        doc = " ".join((inner.__doc__ or "").split()) if inner else ""
        default = "" if prefix and field.is_required() else _default(field)
        yield Option(prefix + name, default, " ".join(part for part in (doc, field.description) if part))
        if inner is not None:
            yield from options(inner, f"{prefix}{name}.")


def option_table() -> str:
    """The options as a Markdown table."""
    rows = ("| option | default | meaning |", "|---|---|---|")
    cells = (
        f"| `{option.path}` | {option.default} | {option.meaning.replace('|', chr(92) + '|')} |" for option in options()
    )
    return "\n".join((*rows, *cells)) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: Any = field.default
    if default is PydanticUndefined or isinstance(default, BaseModel) or default is None:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
