"""Partial targets: a module that ends before Keras does, gives fewer outputs, or ends in layers of its own.

Where what the module has of Keras stops is told by values: an output of the module's that is a value of Keras, or the
last values of Keras that layers with weights of their own are computed from. What Keras computes beside or behind
these is not needed for them, and is left over with that reason. A module whose outputs are no values of Keras has
departed: nothing is left over for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..base import AlignedLayer
from ..torch_graph import Reading
from .fingerprint import fingerprint, matching
from .reference import Reference
from .search import Found


@dataclass(frozen=True)
class Ends:
    """Where the module ends.

    Attributes:
        values: names of the reference's values that it gives, or that layers of its own read.
        own: positions of its outputs that layers of its own make.
    """

    values: tuple[str, ...]
    own: frozenset[int]


def ends_of(found: Found) -> Ends:
    """The ends of the module; no values where one of its outputs has departed from Keras."""
    marks, theirs = found.alignment.marks, found.probe.marks
    outputs = [fingerprint(value) for value in found.alignment.outputs]
    names, known = list(marks), list(theirs)

    def counterparts(name: str) -> list[str]:
        return [known[i] for i in matching(marks[name], list(theirs.values()))] if name in marks else []

    made_by_own = set(_downstream(found.reading, {op.name for op in found.alignment.own}))
    own, given, departed = set(), [], False
    for position, mark in enumerate(outputs):
        of_keras = [known[i] for i in matching(mark, list(theirs.values()))]
        if made_by_own & {names[i] for i in matching(mark, list(marks.values()))}:
            own.add(position)
        elif of_keras:
            given += of_keras
        else:
            departed = True
    there = [output.is_among(outputs) for output in found.expected]
    given += [output.names[0] for output, found_it in zip(found.expected, there, strict=True) if found_it]
    for op in found.alignment.own:
        for value in _nearest(found.reading, op.reads, lambda name: bool(counterparts(name))):
            given += counterparts(value)
    return Ends(() if departed and not all(there) else tuple(dict.fromkeys(given)), frozenset(own))


def left_behind(ends: Ends, reference: Reference) -> dict[str, str]:
    """Path → why no key takes it, of the variables that nothing at the ends is computed from."""
    if not ends.values:
        return {}
    reading = reference.reading
    needed = set(_upstream(reading, ends.values))
    at = {name: boundary for boundary, name in reference.places.items()}
    before = {name for value in ends.values for name in _upstream(reading, [value]) if name != value}
    layers = dict.fromkeys(at[value] for value in ends.values if value in at and value not in before)
    until = f" ({', '.join(layers)})" if layers else ""
    taken = {path for name, op in reading.ops.items() if name in needed for path in reference.variables_of(op)}
    return {
        path: f"Keras layer {reference.layer_of(op)} is not needed for what the module gives{until}"
        for name, op in reading.ops.items()
        if name not in needed
        for path in sorted(reference.variables_of(op) - taken)
    }


def compared_ends(found: Found, layers: Sequence[AlignedLayer]) -> tuple[str, ...]:
    """The Keras layers whose values are the last that the module's own layers are computed from, as it aligns."""
    at = {layer.node: layer.boundary for layer in layers}  # of several with the same elements the last
    nodes = (node for op in found.alignment.own for node in _nearest(found.reading, op.reads, at.__contains__))
    own = {op.name for op in found.alignment.own}
    behind = set(_downstream(found.reading, own))
    return tuple(dict.fromkeys(at[node] for node in nodes if node not in behind))


def _reads(reading: Reading, name: str) -> tuple[str, ...]:
    if name in reading.ops:
        op = reading.ops[name]
        return (op.reads,) if op.reads else tuple(sorted(op.sources))
    return (*reading.glue[name].reads, *reading.glue[name].parameters) if name in reading.glue else ()


def _upstream(reading: Reading, starts: Sequence[str]) -> Iterator[str]:
    """All that is needed to compute these values, themselves among them."""
    waiting, seen = list(starts), set()
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += _reads(reading, current)
            yield current


def _downstream(reading: Reading, starts: set[str]) -> Iterator[str]:
    """All that is computed from these values, themselves among them; ``places`` are in execution order."""
    found = set(starts)
    for name in reading.places:
        if name in found or any(read in found for read in _reads(reading, name)):
            found.add(name)
            yield name


def _nearest(reading: Reading, start: str, wanted: Callable[[str], bool]) -> Iterator[str]:
    """The nearest wanted values on every way back from ``start``."""
    waiting, seen = [start], set()
    while waiting:
        current = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        if wanted(current):
            yield current
        else:
            waiting += _reads(reading, current)


def own_values(allowed: Mapping[str, str], made: Mapping[str, object]) -> dict[str, str]:
    """Key → why it keeps the module's own value, of those that are stated to and that nothing of Keras is placed in."""
    return {
        key: f"allow_unmatched {pattern}: it keeps the module's own value"
        for key, pattern in allowed.items()
        if key not in made
    }
