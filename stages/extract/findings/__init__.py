"""What weights cannot mend: one checker a file.

Add one in five steps: a file here with a function ``(Context) -> Iterable[Finding]``; numbered cases in its
docstring; its name in ``CHECKERS``; a test in tests/stages/extract with a module that has the fault and one
that has not; a line in the README's table of findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...base import Finding
from .ambiguity import ambiguities
from .context import Context
from .departure import departures
from .epsilon import epsilons
from .feeding import feeding
from .geometry import geometries
from .hidden import hidden_padding
from .layout import layouts
from .output import outputs
from .preprocessing import preprocessing
from .ranges import ranges
from .recurrence import recurrences
from .whole_run import whole_runs
from .zeros import zeros

CHECKERS: tuple[Callable[[Context], Iterable[Finding]], ...] = (
    feeding,
    hidden_padding,
    recurrences,
    departures,
    whole_runs,
    geometries,
    epsilons,
    outputs,
    preprocessing,
    layouts,
    ambiguities,
    zeros,
    ranges,
)


def find(context: Context) -> tuple[Finding, ...]:
    """All findings, worst first."""
    found = [finding for checker in CHECKERS for finding in checker(context)]
    return tuple(sorted(found, key=lambda finding: Finding.RANK.index(finding.severity)))


__all__ = ["CHECKERS", "Context", "find"]
