"""Where a value goes wrong: back from what an op reads to the first glue that makes something Keras does not have."""

from __future__ import annotations

from ...torch_graph import Reading
from ..fingerprint import Marks, matching


def counterparts(name: str, ours: Marks, theirs: Marks) -> list[str]:
    """The reference's values that hold the elements of the module's value ``name``."""
    names = list(theirs)
    return [names[i] for i in matching(ours[name], list(theirs.values()))] if name in ours else []


def culprits(reading: Reading, start: str, ours: Marks, theirs: Marks) -> list[str]:
    """Glue of the module that makes a value the reference has not, out of values that it has; nearest first."""
    found: list[str] = []
    waiting, seen = [start], set()
    while waiting:
        current = waiting.pop(0)
        if current in seen or current not in reading.glue or counterparts(current, ours, theirs):
            continue
        seen.add(current)
        reads = reading.glue[current].reads
        if all(counterparts(name, ours, theirs) for name in reads):
            found.append(current)
        waiting += reads
    return found
