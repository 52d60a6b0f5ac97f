"""The options as text, made from the models in config.py: the README's table and the template's comments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .config import JobOptions
from .config_file import group_of, is_named


class Option(NamedTuple):
    """One option: ``tolerance.atol``, its default as YAML (empty where it has none), what it means."""

    path: str
    value: str
    meaning: str
    required: bool


def options(group: type[BaseModel] = JobOptions, prefix: str = "") -> Iterator[Option]:
    """Every option, a group before its members."""
    for name, field in group.model_fields.items():
        inner = group_of(field.annotation)
        doc = " ".join((inner.__doc__ or "").split()) if inner else ""
        if inner is not None and is_named(field.annotation):
            yield Option(prefix + name, "", field.description or "", required=False)
            yield Option(f"{prefix}{name}.{field.title}", "", doc, required=False)
            yield from options(inner, f"{prefix}{name}.{field.title}.")
            continue
        meaning = " ".join(part for part in (doc, field.description) if part)
        yield Option(prefix + name, _value(field), meaning, field.is_required() and not prefix)
        if inner is not None:
            yield from options(inner, f"{prefix}{name}.")


def option_table() -> str:
    """The options as a Markdown table."""
    rows = ("| option | default | meaning |", "|---|---|---|")
    cells = (f"| `{option.path}` | {_cell(option)} | {_escaped(option.meaning)} |" for option in options())
    return "\n".join((*rows, *cells)) + "\n"


def _cell(option: Option) -> str:
    return "required" if option.required else f"`{option.value}`" if option.value else ""


def _escaped(text: str) -> str:
    return text.replace("|", r"\|")


def _value(field: FieldInfo) -> str:
    default: Any = field.default
    if default is PydanticUndefined or default is None:
        return ""
    return json.dumps(default)
