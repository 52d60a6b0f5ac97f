"""How a module is read: by ``torch.export``, else by forward hooks, else it is refused."""

from __future__ import annotations

import copy
import logging
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from ..errors import MappingError, TorchgraftError, UnsupportedError
from .exported import ExportedReading
from .hooked import HookedReading
from .reading import Reading


def working_copy(module: nn.Module) -> nn.Module:
    """A copy in eval mode that shares the parameters, so that running it leaves the user's module as it was.

    Buffers are copied (a forward may write to them), parameters are not (they may be gigabytes, and nothing
    here trains). A module that cannot be copied is refused.
    """
    shared = {id(parameter): parameter for parameter in module.parameters()}
    try:
        twin = copy.deepcopy(module, shared)
    except Exception as error:  # a user's __deepcopy__ may raise anything
        raise UnsupportedError(
            f"the module cannot be copied ({type(error).__name__}: {error})",
            where=type(module).__name__,
            fix="keep open files, locks and generators out of the module's attributes",
        ) from error
    return twin.eval()


def read(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Reading:
    """Read a module that takes ``inputs``, without changing it.

    Raises:
        MappingError: its forward fails on these inputs.
        UnsupportedError: it can neither be traced nor read by hooks.
    """
    twin = working_copy(module)
    _run_once(twin, inputs)
    try:
        with torch.no_grad(), _quiet():
            return ExportedReading(torch.export.export(twin, tuple(inputs), strict=False))
    except Exception as error:  # noqa: BLE001 - torch.export raises whatever the tracing met; hooks answer all of it
        refusal = f"torch.export: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    try:
        return HookedReading(working_copy(module), inputs)
    except TorchgraftError as error:
        error.details = (*error.details, refusal)
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own words on a failing export: the reason is in the exception."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.export", "torch._dynamo", "torch.fx")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _run_once(module: nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    with torch.no_grad(), user_forward(module, inputs):
        module(*inputs)


@contextmanager
def user_forward(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Iterator[None]:
    """What the user's ``forward`` raises inside becomes a ForwardError with the user's file and line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, TorchgraftError):
            raise
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
        happened = "called sys.exit" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        raise ForwardError(
            f"forward fails on inputs of shape {shapes}: {happened}",
            where=_line_of(error) or type(module).__name__,
            fix="make forward run on inputs of these shapes: check the line named first, the shapes that the layers "
            "expect, and the order of forward's arguments against the Keras model's inputs",
        ) from error


def _line_of(error: BaseException) -> str:
    """``file:line`` of the last frame that is neither a library's nor ours."""
    ours = str(Path(__file__).parents[1])
    own = [
        f"{frame.filename}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and not frame.filename.startswith((ours, "<"))
    ]
    return own[-1] if own else ""


class ForwardError(MappingError):
    """The module's forward fails on the inputs that were tried."""
