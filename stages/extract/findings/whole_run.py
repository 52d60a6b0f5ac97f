"""A module that can only be run again as a whole, and that departs from Keras.

1. Numbers come back from Python into what it computes: of choices between equal candidates few can be made otherwise,
   and no order of output features, so that what is said to depart may be such a choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ...base import Finding
from ...errors import MappingError
from ...torch_graph import Reading
from .context import Context

#: What is done about it.
FIX = "compute with tensors there (x / x.max(), not x / x.max().item(); no numpy), or settle choices by `hints`"
#: So many calls are named.
NAMED = 4


def whole_runs(context: Context) -> Iterable[Finding]:
    """One warning where the module departs."""
    cause = of_a_whole_run(context.found.reading)
    if cause and not context.alignment.is_whole:
        yield Finding("warning", "the module", "", cause, FIX)


@contextmanager
def told_of_a_whole_run(reading: Reading) -> Iterator[None]:
    """What is raised inside for keys without a place says so, too."""
    try:
        yield
    except MappingError as error:
        cause = of_a_whole_run(reading)
        error.details = (*error.details, *([f"{cause}: {FIX}"] if cause else []))
        raise


def of_a_whole_run(reading: Reading) -> str:
    """Why choices may have been missed; "" where none was."""
    if not reading.left:
        return ""
    calls = ", ".join(list(reading.left)[:NAMED])
    return f"numbers leave torch and come back ({calls}): choices between equal candidates can hardly be taken back"
