"""The module run once more along its alignment, with layers exchanged: whether it still is what Keras has.

What is behind them goes along: it reads in another order (``cat([q, p])``), or is exchanged, too (the next layers of
two branches).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..torch_graph import Op, OpCall
from .arrange import close
from .candidates import Candidates
from .fingerprint import fingerprint
from .holdings import Holdings
from .pairs import Match, Pair, given, reads_as
from .search import Found
from .stated import Stated


@dataclass(frozen=True)
class Swapped:
    """What came of it.

    Attributes:
        unlike: calls that read other values than Keras.
        misplaced: outputs that are not Keras'.
        outputs: the module's.
    """

    unlike: int
    misplaced: int
    outputs: Sequence[torch.Tensor]

    def is_worse(self, other: Swapped) -> bool:
        """Whether more speaks against it than against ``other``."""
        return self.unlike > other.unlike or self.misplaced > other.misplaced

    def gives_the_same(self, other: Swapped) -> bool:
        """Whether the module gives what it gives in ``other``."""
        return len(self.outputs) == len(other.outputs) and all(map(close, self.outputs, other.outputs))

    def worse(self, other: Swapped) -> str:
        """What is worse than in ``other``, in words."""
        calls, outputs = self.unlike - other.unlike, self.misplaced - other.misplaced
        words = [f"{calls} calls behind it read other values than Keras"] if calls > 0 else []
        return ", ".join([*words, *([f"{outputs} outputs are not Keras'"] if outputs > 0 else [])])


class Swapper:
    """Runs of one alignment with layers exchanged."""

    def __init__(self, found: Found, stated: Stated) -> None:
        self._found, self._stated = found, stated
        self._candidates = Candidates(found.reference, found.probe)

    def run(self, matches: Mapping[str, Match]) -> Swapped:
        """One run in which these ops of the module are matched so."""
        found, held = self._found, Holdings()
        unlike = 0

        def at_op(call: OpCall) -> torch.Tensor:
            nonlocal unlike
            pair = found.alignment.pairs.get(call.op.name)
            if pair is None:
                return call.compute()
            match = matches.get(call.op.name) or self._match(pair, call.op.canonical_input(call.value), held)
            fits = match is not None and not self._speaks_against(pair, match)
            match = match or pair.match
            unlike += not fits
            held.hold(call.op, match)
            return given(call.op, match, found.probe, call.output_shape)

        outputs = found.reading.run(found.inputs, found.state, at_op)
        marks = [fingerprint(value) for value in outputs]
        misplaced = sum(output.weight for output in found.expected if not output.is_among(marks))
        return Swapped(unlike, misplaced, [value.clone() for value in outputs])

    def _match(self, pair: Pair, read: torch.Tensor, held: Holdings) -> Match | None:
        """What an op is now: what it was, where it still reads that; else what reads the same."""
        op, match = pair.target, pair.match
        if not pair.by_values:
            return match
        if self._is_left(op, match, held) and reads_as(op, match, read, self._found.probe):
            return match
        if match.part or match.section or match.further or len(match.references) > 1:
            return None
        found = self._candidates.matches(op, read, self._candidates.alike(op, read), held)
        alike = [each for each in found if each.is_plain and each.is_one_whole_call]
        same = [each for each in alike if each.references == match.references]
        return replace((same or alike)[0], order=match.order) if alike else None

    def _is_left(self, op: Op, match: Match, held: Holdings) -> bool:
        """Whether nobody else has it: another part or term of it, and another call of a layer, are no others."""
        if match.part or match.section or held.first_call(op) is not None:
            return True
        return all(held.is_free(each.name) for each in match.references)

    def _speaks_against(self, pair: Pair, match: Match) -> bool:
        """Whether a hint does, where ``match`` is another than was found."""
        variables = frozenset[str]().union(*map(self._candidates.variables_of, match.references))
        return match.references != pair.match.references and self._stated.speaks_against(pair.target, variables)

    def exchanged(self, one: Pair, other: Pair) -> dict[str, Match] | None:
        """Matches under which two layers take each other's place in every call; None where one is called more often."""
        ours, theirs = self._calls(one), self._calls(other)
        if len(ours) != len(theirs):
            return None
        pairs = [*zip(ours, theirs, strict=True), *zip(theirs, ours, strict=True)]
        return {each.target.name: replace(each.match, references=taken.match.references) for each, taken in pairs}

    def _calls(self, pair: Pair) -> list[Pair]:
        """Every call of the layer of ``pair``."""
        keys = {slot.key for slot in pair.target.slots.values()}
        pairs = self._found.alignment.pairs.values()
        return [each for each in pairs if keys & {slot.key for slot in each.target.slots.values()}]
