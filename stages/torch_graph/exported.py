"""A module as ``torch.export`` traces it, without any value: it takes the branch that libraries keep for tracing."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr

import torch
from torch import nn
from torch.export.graph_signature import InputKind, OutputKind

from .generators import kept_generators
from .recurrent import SpelledOut
from .replayed import AtenGraph


def exported(module: nn.Module, inputs: Sequence[torch.Tensor]) -> AtenGraph:
    """Trace ``module``, a working copy. Raises whatever the tracing meets."""
    with torch.no_grad(), kept_generators(), _quiet(), SpelledOut():
        program = torch.export.export(module, tuple(inputs), strict=False)
    inputs_of: dict[object, list[str]] = {}
    keys: dict[str, str] = {}
    constants: dict[str, torch.Tensor] = {}
    for spec in program.graph_signature.input_specs:
        name = str(getattr(spec.arg, "name", ""))
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.persistent is not False:
            keys[name] = str(spec.target)
        elif spec.kind != InputKind.USER_INPUT:
            constants[name] = program.constants[str(spec.target)]
        inputs_of.setdefault(spec.kind, []).append(name)
    kinds = [spec.kind for spec in program.graph_signature.output_specs]
    return AtenGraph(
        "torch.export",
        program.graph,
        inputs_of.get(InputKind.USER_INPUT, []),
        keys,
        [name for name in inputs_of.get(InputKind.BUFFER, []) if name in keys],
        constants,
        [position for position, kind in enumerate(kinds) if kind == OutputKind.USER_OUTPUT],
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own words on a failing export: the reason is in the exception."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.export", "torch._dynamo", "torch.fx")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # torch prints the graph that it gave up
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
