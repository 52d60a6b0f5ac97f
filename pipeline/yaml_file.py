"""Reading a YAML file that a person wrote: plain data, and the line of every value.

Strict, because a configuration that is read in another way than it was meant costs an evening: YAML 1.2 (``1e-3``
is a number, ``no`` is text), one document, no key twice, no tags, no anchors or aliases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from ..stages.errors import UsageError

# Far above any real configuration; ruamel's scanner takes time quadratic in the depth.
MAX_BYTES = 1 << 20
MAX_DEPTH = 20

KeyPath: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlFile:
    """A parsed file.

    Attributes:
        path: of the file.
        data: its content as dicts, lists and scalars; a dict at the top.
        lines: key path (``("tolerance", "atol")``) → line, counted from 1.
    """

    path: Path
    data: dict[str, Any]
    lines: dict[KeyPath, int]

    def where(self, key_path: KeyPath) -> str:
        """``config.yaml:7``, the line of the nearest value at or above ``key_path``."""
        while key_path and key_path not in self.lines:
            key_path = key_path[:-1]
        return f"{self.path}:{self.lines.get(key_path, 1)}"


def read_yaml(path: Path) -> YamlFile:
    """Parse ``path``.

    Raises:
        UsageError: the file cannot be read, or is not the strict YAML described above; names file and line.
    """
    text = _text(path)
    try:
        _refuse_features(path, text)
        root = _parser().compose(text)
        data = _parser().load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"this is not valid YAML: {error.problem}", where=f"{path}:{line}", fix=_fix(error)) from None
    except (YAMLError, ValueError) as error:
        what = f"this is not valid YAML: {str(error).splitlines()[0]}"
        raise UsageError(what, where=f"{path}:1", fix="write it as plain YAML") from None
    if not isinstance(data, dict):
        received = "nothing" if data is None else f"a {type(data).__name__}"
        fix = "write at least `model:`; `torchgraft init MODEL TARGET` writes a commented config"
        raise UsageError(f"a config is a mapping of options, received {received}", where=f"{path}:1", fix=fix)
    return YamlFile(path, data, dict(_lines(root, ())))


def _parser() -> YAML:
    return YAML(typ="safe", pure=True)


def _text(path: Path) -> str:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not a regular file" if path.exists() else "does not exist"
        raise UsageError(f"the config {what}", where=str(path), fix="give the path of a YAML file")
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"the config is larger than {MAX_BYTES} bytes", where=str(path), fix="give a YAML file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("the config is binary, not UTF-8 text", where=f"{path}:1", fix="give a YAML file") from None
    except OSError as error:
        raise UsageError(f"the config cannot be read: {error.strerror}", where=str(path)) from None


def _refuse_features(path: Path, text: str) -> None:
    """Refuse what a config never needs, on the events: nothing is built yet, so no alias has been multiplied."""
    depth = documents = 0
    for event in _parser().parse(text):
        line = event.start_mark.line + 1 if event.start_mark else 1
        where = f"{path}:{line}"
        name = type(event).__name__
        depth += name.endswith(("MappingStartEvent", "SequenceStartEvent"))
        depth -= name.endswith(("MappingEndEvent", "SequenceEndEvent"))
        documents += isinstance(event, DocumentStartEvent)
        if depth > MAX_DEPTH:
            raise UsageError(
                f"nested deeper than {MAX_DEPTH} levels", where=where, fix="a config needs no more than four"
            )
        if documents > 1:
            raise UsageError("a second document starts here", where=where, fix="one file is one job: write two files")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise UsageError("anchors and aliases are not read", where=where, fix="write the value out")
        if isinstance(event, NodeEvent) and (tag := getattr(event, "tag", None)):
            raise UsageError(f"tags are not read, received {tag}", where=where, fix="write plain values")


def _fix(error: MarkedYAMLError) -> str:
    problem = str(error.problem)
    if "\\t" in problem:
        return "indent with spaces; YAML does not allow tabs"
    if "duplicate key" in problem:
        return "keep one of the two lines"
    return "correct the line; strings that hold `: ` or start with a symbol need quotes"


def _lines(node: Node | None, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _lines(value, (*path, key.value))
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _lines(item, (*path, index))
