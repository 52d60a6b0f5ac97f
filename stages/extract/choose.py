"""Which of the reference's ops an op of the user's module is: by the values that it reads, else by structure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

import torch

from ..torch_graph import PARAMETER, Op, Reading
from .arrange import Arrangement, as_rows, likeliest_features
from .candidates import Candidates
from .fingerprint import Mark
from .groups import Groups
from .holdings import Holdings
from .pairs import AS_IT_IS, Match, Pair
from .probe import Probe
from .reference import Reference
from .settings import differing_settings
from .stated import Stated
from .structure import downstream

#: What a choice between equal candidates rests on, as evidence calls it.
DECIDED_BY = {
    "the structure that follows": "structure",
    "its settings": "structure",
    "name": "names",
    "a hint": "hint",
}
#: A name decides only where it is so alike, and no other is half as much.
ALIKE = 0.8


class Chooser:
    """See the module. ``chosen``: name of an op of the module → of the reference, wherever they are among equals."""

    def __init__(
        self,
        reference: Reference,
        probed: Probe,
        target: Reading,
        chosen: Mapping[str, str],
        *,
        candidates: Candidates,
        groups: Groups,
        stated: Stated,
    ) -> None:
        self._reference, self._probed, self._chosen, self._stated = reference, probed, chosen, stated
        self._candidates, self._groups = candidates, groups
        self._after_ours = downstream(target)
        self._after_theirs = downstream(reference.reading)

    def by_values(self, op: Op, read: torch.Tensor, held: Holdings, mark: Mark | None = None) -> Pair | None:
        """The likeliest of those that read what ``op`` reads; None where none does. ``mark``: of that, where known."""
        alike = self._candidates.alike(op, read, mark)
        matches = self._candidates.matches(op, read, alike, held)
        if not matches:
            return None
        equals = tuple(each.name for each, _ in alike)
        if matches[0].section is not None:
            equals = tuple(term.references[0].name for term in self._candidates.terms(op, read))
        match, reason, equal = self._choose(op, matches, equals)
        layer = self._reference.layer_of(match.references[0])
        evidence = f"values: reads what Keras layer {layer} reads, on {read.shape[0] if read.dim() else 1} probes"
        if op.kind == PARAMETER:
            evidence = f"values: a parameter of the size of {layer}'s; what it enters gives what Keras has"
        if unusual := match.describe():
            evidence += f"; {unusual}"
        if reason:
            evidence += f"; told from {len(matches) - 1} equal by {reason}"
        ours = self._candidates.variables_of(match.references[0])
        others = [each for each in equal if self._candidates.variables_of(each.references[0]) != ours]
        rivals = tuple(dict.fromkeys(other.references[0].name for other in others))
        return Pair(op, match, True, evidence, rivals, DECIDED_BY.get(reason, "values"), equals)

    def _choose(self, op: Op, matches: Sequence[Match], equals: tuple[str, ...]) -> tuple[Match, str, Sequence[Match]]:
        """One of several that fit, by structure, by a hint, by name, by order; and those it is a guess among."""
        if len(matches) == 1:
            return matches[0], "", []
        for match in matches:
            if self._chosen.get(op.name) == match.references[0].name:
                return match, "what follows in the graph", []
        alike, reason = self._fitting(op, matches)
        if len(alike) == 1:
            return alike[0], reason, []
        for match in alike:
            if self._stated.hints(op, self._candidates.variables_of(match.references[0])):
                return match, "a hint", alike
        elsewhere = self._groups.as_elsewhere(op, equals, alike[0].section)
        for match in alike:
            if match.references[0].name == elsewhere and match.part is None:
                return match, "what has fitted elsewhere", alike
        return *self._by_name(op, alike), alike

    def _fitting(self, op: Op, matches: Sequence[Match]) -> tuple[list[Match], str]:
        """Those that the structure leaves, and what of it has decided where that is one."""
        nearest = [self._agreement(op, match.references[0]) for match in matches]
        alike = [match for match, depth in zip(matches, nearest, strict=True) if depth == max(nearest)]
        if len(alike) == 1:
            return alike, "the structure that follows"
        settled = [match for match in alike if not differing_settings(op, match.references[0])]
        return settled or alike, "its settings"

    def _by_name(self, op: Op, alike: Sequence[Match]) -> tuple[Match, str]:
        """The one whose layer is called as ``op`` is, where that is clear; else the first."""
        likeness = [_likeness(op.place, self._reference.layer_of(match.references[0])) for match in alike]
        ranked = sorted(range(len(likeness)), key=lambda position: -likeness[position])
        if likeness[ranked[0]] >= ALIKE and likeness[ranked[1]] < likeness[ranked[0]]:
            return alike[ranked[0]], "name"
        return alike[0], "order of execution"

    def _agreement(self, op: Op, reference: Op) -> int:
        """To how many depths the same structure follows both."""
        ours, theirs = self._after_ours.get(op.name, ()), self._after_theirs.get(reference.name, ())
        return sum(a == b for a, b in zip(ours, theirs, strict=False))

    def by_structure(self, op: Op, read: torch.Tensor, held: Holdings) -> Pair | None:
        """The free op of the same kind and shape that stands behind the same ops; else the only one, else the next."""
        if op.kind == PARAMETER:
            return None
        first = held.first_call(op)
        wanted = self._candidates.variables_of(first.references[0]) if first else frozenset()
        family = [
            probed
            for probed in self._candidates.families.get(op.family, ())
            if held.is_free(probed.op.name)
            and probed.op.signature == op.signature
            and (not wanted or wanted & self._candidates.variables_of(probed.op))
        ]
        matches = held.matches
        ours = {matches[name].references[0].name if name in matches else "" for name in op.sources}
        behind = [probed for probed in family if probed.op.sources & self._probed.ops.keys() == ours - {""}]
        pool, reason = (behind, "stands behind the same layers") if behind else (family, "is the next of its shape")
        hinted = [probed for probed in family if self._stated.hints(op, self._candidates.variables_of(probed.op))]
        pool, reason = (hinted, "is what a hint names") if hinted else (pool, reason)
        if not pool:
            return self._in_parts(op, read, held)
        probed = next((probed for probed in pool if self._chosen.get(op.name) == probed.op.name), pool[0])
        if len(family) == 1 and not behind and not hinted:
            reason = "is the only one left of its shape"
        features = None
        if op.kind == "linear" and read.dim() == 2 and read.numel() == probed.read.numel():
            ours_rows, their_rows = as_rows(op, read), as_rows(probed.op, probed.read)
            if ours_rows.shape == their_rows.shape:
                features = likeliest_features(ours_rows, their_rows)
        layer = self._reference.layer_of(probed.op)
        evidence = f"structure: {reason}; what it reads is not what Keras layer {layer} reads"
        rivals = tuple(other.op.name for other in pool if other is not probed)
        match = Match((probed.op,), Arrangement(features=features))
        equals = tuple(
            each.op.name
            for each in self._candidates.families[op.family]
            if each.op.signature == op.signature and each.op.sources == probed.op.sources
        )
        return Pair(op, match, False, evidence, rivals, "hint" if hinted else "structure", equals)

    def _in_parts(self, op: Op, read: torch.Tensor, held: Holdings) -> Pair | None:
        """As several ops that stand behind what it stands behind, or a part or a term of one."""
        matches = held.matches
        ours = {matches[name].references[0].name if name in matches else name for name in op.sources}
        theirs = [each.op for each in self._candidates.families.get(op.family, ()) if each.op.sources == ours]
        found = self._candidates.matches(op, read, [(each, AS_IT_IS) for each in theirs], held) if theirs else []
        found = found if found or not op.mixes else list(self._candidates.remaining_terms(op, ours, held))
        if not op.mixes or not found:
            return None
        layer = self._reference.layer_of(found[0].references[0])
        evidence = f"structure: {found[0].describe()}; what it reads is not what Keras layer {layer} reads"
        return Pair(op, found[0], False, evidence, (), "structure", tuple(each.name for each in theirs))


def _likeness(ours: str, theirs: str) -> float:
    """How alike two names are, numbers aside: ``fc2`` is no more ``dense_2`` than ``dense_1`` (Keras counts from 0)."""
    ours, theirs = (re.sub(r"[\d_.]+", "", name.lower()) for name in (ours, theirs))
    return SequenceMatcher(None, ours, theirs).ratio()
