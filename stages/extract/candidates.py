"""What an op of the user's module may be of the reference: everything that reads the same values, likeliest first.

1. One op with the same output.
2. Several ops that read the same, their outputs joined (a fused projection).
3. A part of one op (a projection that Keras has fused).
4. Two ops whose inputs are joined: the sum of their outputs, or a part of it (a gate of [x, h]).
5. Several calls of one layer at once, their samples one after the other or side by side (a siamese encoder).
6. A parameter that enters glue reads nothing: any of its size, and what follows decides.
7. A term of one op: it reads some of the inputs that the op joins, others read the rest, and the module adds them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from ..torch_graph import CONVOLUTIONS, PARAMETER, TRANSPOSED, Op
from .arrange import Arrangement, arrangement, as_rows, close
from .fingerprint import Mark, MarkIndex, fingerprint
from .holdings import Holdings
from .pairs import AS_IT_IS, Match, ways_together
from .probe import Probe, ProbedOp
from .reference import Reference
from .tables import held_rows
from .terms import JoinedRead, reads_joined

#: So many calls may be one fused one, out of so many that read the same.
JOINED, AMONG = 6, 10


class ReadIndex:
    """Ops by the fingerprint of what they read."""

    def __init__(self, ops: Sequence[ProbedOp]) -> None:
        self._ops, self._index = ops, MarkIndex([each.mark for each in ops])

    def matching(self, mark: npt.NDArray[np.float64], *, counted: bool) -> list[ProbedOp]:
        """Those that read the same numbers in any order, in execution order."""
        return [self._ops[position] for position in self._index.matching(mark, counted=counted)]


class Candidates:
    """The reference's ops, as the alignment looks for them."""

    def __init__(self, reference: Reference, probed: Probe) -> None:
        self._reference, self._probed = reference, probed
        families: dict[tuple[object, ...], list[ProbedOp]] = {}
        for each in probed.ops.values():
            families.setdefault(each.op.family, []).append(each)
        self.families = families
        self._index = {family: ReadIndex(ops) for family, ops in families.items() if family[0] != PARAMETER}
        self._variables: dict[str, frozenset[str]] = {}

    def variables_of(self, op: Op) -> frozenset[str]:
        if op.name not in self._variables:
            self._variables[op.name] = self._reference.variables_of(op)
        return self._variables[op.name]

    def alike(self, op: Op, read: torch.Tensor, mark: Mark | None = None) -> list[tuple[Op, Arrangement]]:
        """All ops of the family that read the same values, held or not, in execution order."""
        if op.kind == PARAMETER:
            return list(self._parameters(op))
        if op.kind == "embedding" and op.family not in self._index:
            return list(self._words(op, read))
        near = self.near(op, fingerprint(read) if mark is None else mark)
        found = ((each.op, arrangement(op, read, each.op, each.read)) for each in near)
        return [(each, order) for each, order in found if order is not None]

    def near(self, op: Op, mark: Mark) -> list[ProbedOp]:
        """All ops of the family that read the same numbers, in any order."""
        index = self._index.get(op.family)
        # A convolution may read more padding behind than the reference's: see Arrangement.surplus.
        return [] if index is None else index.matching(mark, counted=op.kind not in CONVOLUTIONS)

    def matches(
        self, op: Op, read: torch.Tensor, alike: Sequence[tuple[Op, Arrangement]], held: Holdings
    ) -> list[Match]:
        """What ``op`` may be, likeliest kinds first; within a kind in execution order."""
        first = held.first_call(op)
        if first is not None and (again := self._again(first, alike, held)) is not None:
            return again
        free = [(each, order) for each, order in alike if held.is_free(each.name)]
        if not alike and (together := list(self._together(op, read, held))):
            return together
        if not op.mixes:
            return [Match((each,), order) for each, order in free]
        size = output_size(op)
        exact = [Match((each,), order) for each, order in free if output_size(each) == size]
        if exact:
            return exact
        smaller = [(each, order) for each, order in free if output_size(each) < size]
        bigger = [(each, order) for each, order in alike if output_size(each) > size]
        made = [*_joined(smaller, size), *_parts(bigger, size, held)]
        if not made and not alike and op.kind not in TRANSPOSED:
            made = list(self._sums(op, read, held, first))
        return made or list(self._free_terms(op, read, held, first))

    def _again(self, first: Match, alike: Sequence[tuple[Op, Arrangement]], held: Holdings) -> list[Match] | None:
        """A further call of a key: the calls of the same variables, in the same order.

        These need not be free: what Keras calls once, the module may call again on the same values.
        """
        if len(first.references) == 1:
            wanted = self.variables_of(first.references[0])
            same = [(each, order) for each, order in alike if wanted & self.variables_of(each)]
            same.sort(key=lambda found: not held.is_free(found[0].name))
            return [Match((each,), order, first.order, first.part) for each, order in same] or None
        chosen: list[tuple[Op, Arrangement]] = []
        for reference in first.references:
            wanted = self.variables_of(reference)
            same = [each for each in alike if wanted & self.variables_of(each[0])]
            same.sort(key=lambda found: not held.is_free(found[0].name))
            if not same:
                return None
            chosen.append(same[0])
        return [Match(tuple(each for each, _ in chosen), chosen[0][1], first.order, first.part)]

    def _parameters(self, op: Op) -> Iterator[tuple[Op, Arrangement]]:
        """Parameters of as many elements: in the same shape, with other axes, in any shape."""
        shape = op.slots["value"].shape
        family = [each.op for each in self.families.get(op.family, ())]
        rest = []
        for each in family:
            theirs = each.slots["value"].shape
            if theirs == shape:
                yield each, Arrangement()
            else:
                rest.append((each, theirs))
        for each, theirs in rest:
            perms = (p for p in itertools.permutations(range(len(theirs))) if tuple(theirs[a] for a in p) == shape)
            perm = next(perms, None) if len(theirs) == len(shape) <= 4 else None
            yield each, Arrangement(axes=perm)
        for probed in self._of_kind(PARAMETER):
            if held := held_rows(shape, probed.op.slots["value"].shape, self._probed.rows.get(op.slots["value"].key)):
                yield probed.op, Arrangement(held=held)

    def _words(self, op: Op, read: torch.Tensor) -> Iterator[tuple[Op, Arrangement]]:
        """Lookups of the same words in a table of fewer."""
        slot = op.slots["weight"]
        for each in self._of_kind("embedding"):
            held = held_rows(slot.shape, each.op.slots["weight"].shape, self._probed.rows.get(slot.key))
            if held and held[0] == 0 and close(read, each.read):
                yield each.op, Arrangement(held=held)

    def _of_kind(self, kind: str) -> Iterator[ProbedOp]:
        return (each for family, ops in self.families.items() if family[0] == kind for each in ops)

    def _together(self, op: Op, read: torch.Tensor, held: Holdings) -> Iterator[Match]:
        """Calls of one layer, each on its part of the samples that ``op`` reads."""
        index = self._index.get(op.family)
        if index is None or op.kind == PARAMETER or read.dim() < 2:
            return
        for axis, parts in ways_together(read):
            found: list[tuple[Op, Arrangement]] = []
            for part in parts:
                near = index.matching(fingerprint(part), counted=op.kind not in CONVOLUTIONS)
                orders = ((each.op, arrangement(op, part, each.op, each.read)) for each in near)
                fits = [(each, order) for each, order in orders if order is not None and held.is_free(each.name)]
                found += fits[:1]
            layers = {self.variables_of(each) for each, _ in found}
            calls = {each.name for each, _ in found}
            same = len(found) == len(calls) == len(parts) and len(layers) == 1
            if same and _one_order([order for _, order in found]):
                (first, order), *others = found
                yield Match((first,), order, further=tuple(each for each, _ in others), axis=axis)

    def _sums(self, op: Op, read: torch.Tensor, held: Holdings, first: Match | None) -> Iterator[Match]:
        """Two such ops, whose inputs stand one after the other in what ``op`` reads; it gives their sum, or a part.

        ``first`` is what an earlier call of its key is: the same then, or nothing.
        """
        rows, size = as_rows(op, read), output_size(op)
        kernel = op.slots["weight"].shape[2:]
        widths = {shape[0] for kind, shape, *_ in self._index if kind == op.kind and tuple(shape[1:]) == kernel}  # type: ignore[index]
        for left in sorted(width for width in widths if rows.shape[1] - width in widths):
            halves = (rows[:, :left], rows[:, left:])
            one, other = (list(self._reads(op, half, size)) for half in halves)
            for pair in itertools.product(one, other):
                if pair[0].name != pair[1].name and output_size(pair[0]) == output_size(pair[1]):
                    yield from self._added(pair, size, held, first)

    def _added(self, pair: tuple[Op, Op], size: int, held: Holdings, first: Match | None) -> Iterator[Match]:
        whole = output_size(pair[0])
        if first is not None and first.sums:
            ours = [self.variables_of(each) for each in pair]
            if ours == [self.variables_of(each) for each in first.references]:
                yield Match(pair, Arrangement(), first.order, first.part, sums=True)
        elif whole > size:
            found = [{match.part for match in _parts([(each, AS_IT_IS)], size, held) if match.part} for each in pair]
            for part in sorted(set.intersection(*found)):
                yield Match(pair, Arrangement(), part=part, sums=True)
        elif all(held.is_free(each.name) for each in pair):
            yield Match(pair, Arrangement(), sums=True)

    def terms(self, op: Op, read: torch.Tensor) -> Iterator[Match]:
        """Every op that joins inputs of which ``op`` reads a section, held or not."""
        kernel = op.slots["weight"].shape[2:]
        for each in self._joining.get((op.kind, output_size(op), *kernel), ()):
            for section, features in each.sections(as_rows(op, read)):
                yield Match((each.op,), Arrangement(features=features), section=section)

    def _free_terms(self, op: Op, read: torch.Tensor, held: Holdings, first: Match | None) -> Iterator[Match]:
        """Those that no other term has; or the calls of what ``first``, an earlier call of its key, is, held or not."""
        for match in self.terms(op, read):
            taken = held.sections_of(match.references[0].name)
            if first is None:
                if taken is not None and not any(_overlap(match.section, other) for other in taken):
                    yield match
            elif first.section == match.section and self._is_one_layer(first.references[0], match.references[0]):
                yield replace(match, order=first.order)

    def remaining_terms(self, op: Op, sources: Collection[str], held: Holdings) -> Iterator[Match]:
        """Those behind ``sources`` of which a section as wide is what the other terms leave, whatever ``op`` reads."""
        shape = op.slots["weight"].shape
        for each in self._joining.get((op.kind, output_size(op), *shape[2:]), ()):
            width = each.op.slots["weight"].shape[1 - each.op.output_axis]
            taken = sorted(held.sections_of(each.op.name) or ())
            edges = [0, *(edge for section in taken for edge in section), width]
            gaps = [
                gap for gap in zip(edges[::2], edges[1::2], strict=True) if gap[1] - gap[0] == shape[1 - op.output_axis]
            ]
            if taken and gaps and each.op.sources >= set(sources):
                yield Match((each.op,), section=(gaps[0][0], gaps[0][1]))

    def _is_one_layer(self, one: Op, other: Op) -> bool:
        return self.variables_of(one) == self.variables_of(other)

    @cached_property
    def _joining(self) -> Mapping[tuple[object, ...], Sequence[JoinedRead]]:
        """(kind, output size, kernel) → the ops that read something joined."""
        found: dict[tuple[object, ...], list[JoinedRead]] = {}
        for probed in self._probed.ops.values():
            if probed.op.mixes and reads_joined(probed.op, self._reference.reading):
                key = (probed.op.kind, output_size(probed.op), *probed.op.slots["weight"].shape[2:])
                found.setdefault(key, []).append(JoinedRead(probed))
        return found

    def _reads(self, op: Op, rows: torch.Tensor, size: int) -> Iterator[Op]:
        """Those of ``op``'s kind and kernel that read ``rows`` and give as much, or more."""
        index = self._index.get((op.kind, (rows.shape[1], *op.slots["weight"].shape[2:])))
        for each in [] if index is None else index.matching(fingerprint(rows), counted=True):
            if output_size(each.op) >= size and close(as_rows(each.op, each.read), rows):
                yield each.op


def output_size(op: Op) -> int:
    """How many features a mixing op gives."""
    return op.slots["weight"].shape[op.output_axis]


def _overlap(one: tuple[int, int] | None, other: tuple[int, int]) -> bool:
    return one is not None and one[0] < other[1] and other[0] < one[1]


def _joined(smaller: Sequence[tuple[Op, Arrangement]], size: int) -> Iterator[Match]:
    """Calls that read the same and together give as much."""
    among = list(smaller)[:AMONG]
    for count in range(2, min(JOINED, len(among)) + 1):
        for chosen in itertools.combinations(among, count):
            if sum(output_size(each) for each, _ in chosen) == size and _one_order([order for _, order in chosen]):
                yield Match(tuple(each for each, _ in chosen), chosen[0][1])


def _one_order(found: Sequence[Arrangement]) -> bool:
    first = found[0]
    return all(
        np.array_equal(_index(each.rows), _index(first.rows))
        and np.array_equal(_index(each.features), _index(first.features))
        for each in found
    )


def _index(order: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64]:
    return np.empty(0, dtype=np.int64) if order is None else order


def _parts(bigger: Sequence[tuple[Op, Arrangement]], size: int, held: Holdings) -> Iterator[Match]:
    """Parts of calls that are not held yet, first ones first."""
    for each, order in bigger:
        whole, parts = output_size(each), held.parts_of(each.name)
        if not parts and not held.is_free(each.name):
            continue
        for start in range(0, whole - size + 1, math.gcd(whole, size)):
            if all(start + size <= begin or end <= start for begin, end in parts):
                yield Match((each,), order, part=(start, start + size))
