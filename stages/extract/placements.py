"""Why each key holds what the Plan says, and which candidates lost: what ``torchgraft explain`` shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..base import Lost, Placement
from ..plan import Plan
from ..torch_graph import PARAMETER, Op
from .candidates import output_size
from .fingerprint import SAME
from .guesses import DECIDED, EITHER, INTERCHANGEABLE, Guess
from .pairs import Alignment, Pair
from .probe import Probe
from .reference import Reference
from .settings import differing_settings, written

#: So many of the candidates that read other values are named, those next to it on either side in execution order.
NAMED = 3


def placements(
    plan: Plan, alignment: Alignment, reference: Reference, probe: Probe, guesses: Iterable[Guess] = ()
) -> dict[str, Placement]:
    """Key → Placement, for every key that the Plan makes. A key of several calls has the evidence of the first."""
    pairs: dict[str, Pair] = {}
    for pair in alignment.pairs.values():
        for slot in pair.target.slots.values():
            pairs.setdefault(slot.key, pair)
    losers = _Losers(alignment, reference, probe, guesses)
    lost: dict[str, tuple[Lost, ...]] = {}
    found = {}
    for key, recipe in plan.recipes.items():
        by = pairs.get(key)
        if by is None or not recipe.variables:
            sentence = recipe.evidence[0] if recipe.evidence else "Keras has nothing for it"
            place = by.target.place if by else key.rpartition(".")[0]
            found[key] = Placement("constant", place, "", sentence)
            continue
        if by.target.name not in lost:
            lost[by.target.name] = tuple(losers.of(by))
        layer = reference.layer_of(by.reference)
        found[key] = Placement(by.decided_by, by.target.place, layer, by.evidence, lost[by.target.name])
    return found


class _Losers:
    """The candidates that a pair was chosen among, and why each is not it."""

    def __init__(self, alignment: Alignment, reference: Reference, probe: Probe, guesses: Iterable[Guess]) -> None:
        self._reference, self._probe = reference, probe
        self._guesses = {guess.pair.target.name: guess for guess in guesses}
        self._taken: dict[str, str] = {}
        for pair in alignment.pairs.values():
            for op in (*pair.match.references, *pair.match.further):
                self._taken.setdefault(op.name, pair.target.place or pair.target.name)
        self._alike: dict[object, list[str]] = {}
        for name, op in reference.reading.ops.items():
            self._alike.setdefault(op.signature, []).append(name)

    def of(self, pair: Pair) -> Iterator[Lost]:
        """Those that read the same, then those of the same kind and shape that do not."""
        ops, chosen = self._reference.reading.ops, {op.name for op in pair.match.references}
        same = [name for name in dict.fromkeys((*pair.rivals, *pair.equals)) if name not in chosen]
        yield from (self._lost(ops[name], f"reads the same; {self._apart(pair, ops[name])}") for name in same)
        family = self._alike.get(pair.reference.signature, [])
        middle = family.index(pair.reference.name) if pair.reference.name in family else 0
        told = {*chosen, *same}
        other = [name for name in family[max(0, middle - NAMED) : middle + NAMED + 1] if name not in told]
        for name in other:
            yield self._lost(ops[name], f"the same kind and shape; {self._other_values(pair, ops[name])}")
        more = len(family) - len(told & set(family)) - len(other)
        if more > 0:
            yield Lost(f"{more} more layers", (), "the same kind and shape, further away in execution order")

    def _lost(self, op: Op, reason: str) -> Lost:
        return Lost(self._reference.layer_of(op), tuple(sorted(self._reference.variables_of(op))), reason)

    def _apart(self, pair: Pair, op: Op) -> str:
        """What tells ``op`` from what was chosen, though both read the same."""
        if differing := differing_settings(pair.target, op):
            name, (ours, theirs) = next(iter(differing.items()))
            return f"its {name} is {written(theirs)}, the module's {written(ours)}"
        if "weight" in op.slots and op.mixes and output_size(op) != output_size(pair.target):
            return f"it gives {output_size(op)} features, the module's {output_size(pair.target)}"
        if (guess := self._guesses.get(pair.target.name)) is not None and op.name in guess.rivals:
            return _tried(guess, op)
        if pair.decided_by == "values" and op.name in self._taken:
            return f"what follows tells that it is {self._taken[op.name]}"
        return f"decided by {_by(pair)}"

    def _other_values(self, pair: Pair, op: Op) -> str:
        """How far what ``op`` reads is from what the module reads: by shape, else by what is the same in any order."""
        if not pair.by_values:
            return f"it is {self._taken[op.name]}" if op.name in self._taken else "the module departs in front of both"
        ours, theirs = self._probe.ops[pair.reference.name], self._probe.ops[op.name]
        if pair.target.kind == PARAMETER:
            return "what it enters gives other values"
        if ours.read.shape != theirs.read.shape:
            return f"reads {tuple(theirs.read.shape)}, here it is {tuple(ours.read.shape)}"
        scale = np.maximum(np.abs(ours.mark), np.abs(theirs.mark))
        apart = float((np.abs(ours.mark - theirs.mark) / np.maximum(scale, 1e-30)).max())
        if apart < SAME:
            return "reads the same numbers in an order that is none of the module's"
        return f"reads other values: their sums, in any order, are {100 * apart:.2g} % apart"


def _tried(guess: Guess, op: Op) -> str:
    """What came of it with ``op`` in place of what was chosen."""
    by = "the order of execution" if guess.pair.decided_by == "values" else _DECIDED[guess.pair.decided_by]
    if guess.outcome == INTERCHANGEABLE:
        return f"interchangeable: the function is the same; decided by {by}"
    if guess.outcome == EITHER:
        return f"the module may be this part of Keras as well; decided by {by}"
    if guess.outcome == DECIDED and op.name == guess.rivals[0]:
        return f"with it {guess.worse}"
    return f"decided by {_by(guess.pair)}"


def _by(pair: Pair) -> str:
    order = pair.decided_by == "values" and "order of execution" in pair.evidence
    return "the order of execution" if order else _DECIDED[pair.decided_by]


_DECIDED = {
    "values": "what follows in the graph",
    "structure": "the structure that follows",
    "names": "the likeness of names",
    "hint": "a hint",
}
