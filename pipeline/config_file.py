"""From a config.yaml to checked options, with file and line where one is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..stages.errors import UsageError
from .config import JobOptions
from .stated import is_plan
from .yaml_file import KeyPath, YamlFile, read_yaml


@dataclass(frozen=True)
class JobConfig:
    """The options of one job, and the file that they come from.

    Attributes:
        path: the config file; relative paths in it are relative to its folder.
        options: what it says.
        folder: where the outputs go, absolute.
        hint_places: left side of each hint → "config.yaml:7".
    """

    path: Path
    options: JobOptions
    folder: Path
    hint_places: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> Path:
        return self.path.parent

    @property
    def name(self) -> str:
        return job_name(self.path, self.options)

    def input_files(self) -> list[Path]:
        """Every file that the config names, absolute, and those in a SavedModel; a module that is installed is none."""
        options = self.options
        model = options.model
        named = [model.path, model.architecture, model.weights, options.inputs.file]
        named.append(options.labels.file if options.labels else None)
        named += [keras for ours, keras in options.hints.items() if is_plan(ours, keras)]
        objects = [model.factory, *model.custom_objects.values(), options.inputs.factory]
        objects.append(options.labels.factory if options.labels else None)
        objects.append(options.target.object if options.target else None)
        named += [text.rpartition(":")[0] for text in objects if text and text.rpartition(":")[0].endswith(".py")]
        paths = dict.fromkeys((self.base / Path(name).expanduser()).resolve() for name in named if name)
        return [file for path in paths for file in (_files_below(path) if path.is_dir() else [path])]


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def job_name(path: Path, options: JobOptions) -> str:
    """What the job is called: as the config says, or after its file, or after the folder of a ``config.yaml``."""
    return options.name or (path.parent.name if path.stem == "config" else path.stem)


def read_config(path: str | Path) -> JobConfig:
    """Read and check one config file. Nothing that it names is opened.

    Raises:
        UsageError: with file and line; all faults of the file in one message.
    """
    source = Path(path).absolute()
    yaml = read_yaml(source)
    try:
        options = JobOptions.model_validate(yaml.data)
    except ValidationError as error:
        raise _usage_error(yaml, error) from None
    name = job_name(source, options)
    folder = source.parent / (options.output.folder if options.output else f"runs/{name}")
    return JobConfig(source, options, folder.resolve(), {ours: yaml.where(("hints", ours)) for ours in options.hints})


def _usage_error(yaml: YamlFile, error: ValidationError) -> UsageError:
    found = error.errors()
    misspelt = {(*loc[:-1], near) for fault in found if (near := _near_option(loc := tuple(fault["loc"]), fault, 0.6))}
    told = [fault for fault in found if fault["type"] != "missing" or tuple(fault["loc"]) not in misspelt]
    faults = [(tuple(fault["loc"]), *_explain(tuple(fault["loc"]), fault)) for fault in told]
    (first, what, fix), *others = faults
    details = tuple(f"{yaml.where(loc)}: {text}. {remedy}" for loc, text, remedy in others)
    return UsageError(what, where=yaml.where(first), fix=fix, details=details)


def _near_option(loc: KeyPath, fault: Any, cutoff: float) -> str:
    """The option that an unknown one at ``loc`` is nearest to; "" where there is none so near, or it is known."""
    near = difflib.get_close_matches(str(loc[-1]), known_keys(loc[:-1]), n=1, cutoff=cutoff) if loc else []
    return near[0] if near and fault["type"] == "extra_forbidden" else ""


def _explain(loc: KeyPath, fault: Any) -> tuple[str, str]:
    """(what is wrong, how to mend it) of one entry of pydantic's ``ValidationError.errors()``."""
    option = ".".join(str(part) for part in loc)
    if fault["type"] == "extra_forbidden":
        known = known_keys(loc[:-1])
        near = _near_option(loc, fault, 0)
        return f"unknown option {option}", f"the nearest known one is {near}; known here are {', '.join(known)}"
    if fault["type"] == "missing":
        return f"the option {option} is missing", f"add `{loc[-1]}:`"
    if fault["type"] == "value_error":
        reason = str(fault["ctx"]["error"])
        return (f"{option}: {reason}" if option else reason), describe(loc)
    fix = "write the number without quotes" if _is_quoted_number(fault) else describe(loc)
    if fault["type"] == "string_pattern_mismatch":
        return f"{option} is not of the form {fault['ctx']['pattern']}, received {fault['input']!r}", fix
    if fault["type"] == "model_type":
        return f"{option} should be a mapping of options, received {fault['input']!r}", fix
    reason = fault["msg"].removeprefix("Input should be ").removeprefix("Value should be ")
    return f"{option} should be {reason}, received {fault['input']!r}", fix


def _is_quoted_number(fault: Any) -> bool:
    return fault["type"] in ("float_type", "int_type") and isinstance(fault["input"], str)


def describe(loc: KeyPath) -> str:
    """What the option at ``loc`` takes, as its model says it."""
    for depth in range(len(loc), 0, -1):
        fields = _fields_of(loc[: depth - 1])
        field = fields.get(str(loc[depth - 1]))
        if field is not None:
            group = group_of(field.annotation)
            text = field.description or (group.__doc__ if group else "") or ""
            return f"{loc[depth - 1]}: {text}".strip()
    return "see `torchgraft schema`"


def known_keys(loc: KeyPath) -> list[str]:
    """The options that exist at ``loc``."""
    return list(_fields_of(loc))


def _fields_of(loc: KeyPath) -> dict[str, FieldInfo]:
    group: type[BaseModel] | None = JobOptions
    named = False  # whether the next part is a name that the user chose
    for part in loc:
        if named:
            named = False
            continue
        field = group.model_fields.get(str(part)) if group else None
        group, named = (group_of(field.annotation), is_named(field.annotation)) if field else (None, False)
    return dict(group.model_fields) if group and not named else {}


def is_named(annotation: Any) -> bool:
    """Whether the option maps names of the user's to groups of options, as ``fit.inputs`` does."""
    return get_origin(annotation) is dict and group_of(annotation) is not None


def group_of(annotation: Any) -> type[BaseModel] | None:
    """The group of options that an annotation such as ``LabelsOptions | None`` holds; None where it holds none."""
    candidates = (annotation, *get_args(annotation))
    return next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
