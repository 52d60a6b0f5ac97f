"""What a failed verification says."""

from __future__ import annotations

from ..base import Agreement, Verification
from ..errors import DifferenceError

SHOWN = 12


def difference_error(verification: Verification) -> DifferenceError:
    """The error of a verification that did not succeed: it names the first differing layer."""
    first = verification.first_difference
    assert first is not None, "everything agrees"
    differing = [row for row in verification.agreements if not row.agrees]
    more = [f"… and {len(differing) - SHOWN} more"] if len(differing) > SHOWN else []
    return DifferenceError(
        f"{first.runtimes[0]} does not agree with {first.runtimes[1]}: {first.reason}",
        where=f"layer {first.name}",
        fix="widen `tolerance` where this is only rounding; else report the layer and its options: the graph is "
        "torchgraft's own work",
        details=(*(_line(row) for row in differing[:SHOWN]), *more),
    )


def _line(row: Agreement) -> str:
    return f"  {row.name} ({row.runtimes[0]} / {row.runtimes[1]}): {row.reason}"
