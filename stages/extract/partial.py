"""Partial targets: a module that ends before Keras does, gives fewer outputs, or ends in layers of its own.

Where what the module has of Keras stops is told by values: an output of the module's that is a value of Keras, or the
last values of Keras that layers with weights of their own are computed from. What Keras computes beside or behind
these is not needed for them, and is left over with that reason. A module whose outputs are no values of Keras has
departed: nothing is left over for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..base import AlignedLayer, Job
from ..errors import MappingError
from ..fit import Fit, OutputFit
from ..plan import Shape
from ..torch_graph import Reading
from .fingerprint import fingerprint, matching
from .outputs import Placed
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
    given += [each.end or each.names[0] for each, found_it in zip(found.expected, there, strict=True) if found_it]
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


def refuse_early_end(placed: Placed, shapes: Mapping[str, Shape], job: Job) -> None:
    """A last layer that was forgotten must not pass for a module that is meant to end before it.

    What has the shape of a Keras output is taken for that output by whoever uses the module; a value of Keras in front
    of it is so only by statement. A value of another shape (features, where Keras gives classes) speaks for itself.

    Args:
        placed: what the module gives.
        shapes: name → shape in Keras, of its outputs and layers.
        job: what is stated.

    Raises:
        MappingError: with the line that states it.
    """
    for output, layer in placed.missing.items():
        stated = job.fit.outputs.get(output, OutputFit()).value
        if layer and layer != stated and shapes[layer] == shapes[output]:
            end = f"where the module is meant to end there, state it: `{stated_end(output, layer)}`"
            raise MappingError(
                f"the module ends before Keras does: it gives what Keras layer {layer} gives, in the shape of Keras' "
                f"{output}, {shapes[output]}",
                where=job.module_source,
                fix=f"compute behind it what Keras does behind {layer}; {end}",
            )


def stated_end(output: str, layer: str) -> str:
    """The line of a config: the module gives the value of ``layer`` in place of ``output``."""
    return " ".join(line.strip() for line in Fit(outputs={output: OutputFit(value=layer)}).config_lines())
