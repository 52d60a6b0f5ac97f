"""What follows an op in its graph, as numbers: equal for ops that are followed by the same structure.

What an op is followed by are the ops that its output reaches through glue alone. Of each set only the least
hashes are kept (a bottom-k sketch), so that a residual stream, which reaches everything, costs no more than a chain.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

from ..torch_graph import Reading

#: How far is looked: one op, three, to the end.
DEPTHS = (1, 3, 10**6)
KEPT = 12
Sketch: TypeAlias = frozenset[int]


def downstream(reading: Reading) -> dict[str, tuple[int, ...]]:
    """Name of an op → a hash of it and of what follows, for each of ``DEPTHS``; empty where edges are unknown."""
    if not reading.glue and not any(op.reads for op in reading.ops.values()):
        return {}
    found: list[dict[str, int]] = []
    before: dict[str, int] = {}
    for depth in range(1, DEPTHS[-2] + 1):
        before = _round(reading, before)
        if depth in DEPTHS:
            found.append(before)
    found.append(_round(reading, None))
    return {name: tuple(hashes[name] for hashes in found) for name in reading.ops}


def _round(reading: Reading, before: dict[str, int] | None) -> dict[str, int]:
    """Name → hash, one step deeper than ``before``; to the end where there is none before."""
    after: dict[str, Sketch] = {}
    found: dict[str, int] = {}
    order = [*reading.places, *(name for name in reading.ops if name not in reading.places)]
    for name in reversed(order[: len(reading.places)]):
        op, glue = reading.ops.get(name), reading.glue.get(name)
        reaches = after.get(name, frozenset())
        if op is not None:
            found[name] = _hash(op.family, reaches)
            own = found[name] if before is None else before.get(name, _hash(op.family))
            _join(after, op.reads, frozenset({own}))
        elif glue is not None:
            for read in (*glue.reads, *glue.parameters):
                _join(after, read, reaches)
    for name in order[len(reading.places) :]:  # parameters that enter glue
        found[name] = _hash(reading.ops[name].family, after.get(name, frozenset()))
    return found


def _join(after: dict[str, Sketch], name: str, more: Sketch) -> None:
    both = after.get(name, frozenset()) | more
    after[name] = frozenset(sorted(both)[:KEPT])


def _hash(family: tuple[object, ...], reaches: Sketch = frozenset()) -> int:
    text = repr((family, sorted(reaches))).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
