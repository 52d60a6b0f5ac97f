"""What an op reads is not what its Keras layer reads: the glue before it differs.

Ops that read the same departed value have one finding, at the first of them.

1. Other operations (ReLU for tanh, no activation at all): both lists are named.
2. The same operations with other settings (padding, pooling, an axis): said so, with the list.
3. They are the same on small values and not on large ones (ReLU6 for ReLU): a warning, for the inputs may never go
   there.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from .context import Context, glue_before


def departures(context: Context) -> Iterable[Finding]:
    """An error for each op that was placed by structure because its input differs; in case 3 a warning."""
    told: set[str] = set()
    for pair in context.alignment.pairs.values():
        if pair.by_values and pair.target.name not in context.unconfirmed:
            continue
        if pair.target.reads and pair.target.reads in told:
            continue
        told.add(pair.target.reads)
        ours = glue_before(context.found.reading, pair.target.reads)
        theirs = glue_before(context.reference.reading, pair.reference.reads)
        layer = context.reference.layer_of(pair.reference)
        extra, lacking = _without(ours, theirs), _without(theirs, ours)
        if extra or lacking:
            cause = f"before it the module computes {_listed(ours)}, Keras computes {_listed(theirs)}"
            fix = " and ".join([f"remove {_listed(extra)}"] * bool(extra) + [f"add {_listed(lacking)}"] * bool(lacking))
            fix = f"{fix} before {pair.target.place or pair.target.name}"
        else:
            cause = f"it reads other values than Keras layer {layer}, though both compute {_listed(ours)} before it"
            fix = "compare the padding and the settings of these operations with the Keras layers before it"
        if pair.by_values:
            cause += " (they differ on large values only)"
        yield Finding(
            "warning" if pair.by_values else "error", pair.target.place or pair.target.name, layer, cause, fix
        )


def _without(names: list[str], others: list[str]) -> list[str]:
    left = list(others)
    kept = []
    for name in names:
        if name in left:
            left.remove(name)
        else:
            kept.append(name)
    return kept


def _listed(names: list[str]) -> str:
    return " ← ".join(names) if names else "nothing"
