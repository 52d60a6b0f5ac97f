"""Alignment: which op of the user's module is which op of the reference, and in which order it reads.

The user's module is run once, op by op. Each op is given to the reference op that reads the same values; its
output is then the reference's random numbers, so that what follows is judged alone. Where no reference op reads
the same values the module departs from Keras: the op is placed by structure instead, the departure is kept,
and the run goes on from the reference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from ..plan import Shape
from ..torch_graph import CONVOLUTIONS, AtOp, Op, OpCall, Reading, State
from .arrange import Arrangement, arrangement, as_rows, likeliest_features
from .expected import Expected
from .fingerprint import fingerprint, matching
from .probe import Probe, ProbedOp
from .reference import Reference
from .stated import Stated
from .structure import downstream

#: How often in a row a choice between equal candidates is taken back without placing more, before the best stands.
PATIENCE = 8
NOTHING_STATED = Stated()
#: What a choice between equal candidates rests on, as evidence calls it.
DECIDED_BY = {"the structure that follows": "structure", "name": "names", "a hint": "hint"}


@dataclass(frozen=True)
class Pair:
    """An op of the user's module and its counterpart.

    Attributes:
        target, reference: the ops.
        arrangement: how the target's input is made from the reference's.
        by_values: whether their inputs hold the same values; if not, the module departs before this op.
        evidence: a sentence.
        rivals: names of the reference ops that fitted as well.
        decided_by: "values", "structure", "names" or "hint": the strongest of what the choice rests on.
    """

    target: Op
    reference: Op
    arrangement: Arrangement
    by_values: bool
    evidence: str
    rivals: tuple[str, ...] = ()
    decided_by: str = "values"


@dataclass
class Alignment:
    """What one run of the user's module gave.

    Attributes:
        pairs: name of the target op → Pair, in execution order.
        unplaced: target ops without a counterpart.
        own: target ops that keep the module's own values, as is stated.
        marks: name of every value of the target → fingerprint.
        outputs: the module's outputs under the probe.
        misplaced: how many outputs are not at the place where they are expected.
    """

    pairs: dict[str, Pair] = field(default_factory=dict)
    unplaced: list[Op] = field(default_factory=list)
    own: list[Op] = field(default_factory=list)
    marks: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    outputs: Sequence[torch.Tensor] = ()

    misplaced: int = 0

    @property
    def score(self) -> int:
        """How many ops were placed by values, or at all, less outputs that are not where they belong."""
        return sum(2 if pair.by_values else 1 for pair in self.pairs.values()) - self.misplaced

    @property
    def is_whole(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.departures and not self.unplaced and not self.misplaced

    @property
    def departures(self) -> list[Pair]:
        return [pair for pair in self.pairs.values() if not pair.by_values]

    def replay(self, reference: Probe) -> AtOp:
        """What gives each op the output that it had in the run that made this."""

        def at_op(call: OpCall) -> torch.Tensor:
            pair = self.pairs.get(call.op.name)
            return call.compute() if pair is None else _given(pair, reference, call)

        return at_op


def align(
    reference: Reference,
    probed: Probe,
    target: Reading,
    inputs: Sequence[torch.Tensor],
    state: State,
    *,
    expected: Sequence[Expected],
    stated: Stated = NOTHING_STATED,
) -> Alignment:
    """Align the user's module, run on ``inputs`` with its own ``state``, with the probed reference.

    Only glue that depends on parameters reads ``state``: what ops give comes from the probe. ``expected`` is where each
    Keras output belongs among the module's: a choice that puts one elsewhere is taken back. What is ``stated`` decides
    what is left open, before names do.
    """
    chosen: dict[str, str] = {}
    tried = {_frozen(chosen)}
    best = _Attempt(reference, probed, target, chosen, expected=expected, stated=stated).run(inputs, state)
    patience = PATIENCE
    while patience and not best.is_whole:
        alternative = _another_choice(best, chosen, tried)
        if alternative is None:
            break
        tried.add(_frozen(alternative))
        found = _Attempt(reference, probed, target, alternative, expected=expected, stated=stated).run(inputs, state)
        patience -= 1
        if found.score > best.score:
            best, chosen, patience = found, alternative, PATIENCE
    return best


def aligned_with(
    chosen: Mapping[str, str],
    reference: Reference,
    probed: Probe,
    target: Reading,
    inputs: Sequence[torch.Tensor],
    *,
    state: State,
    expected: Sequence[Expected],
    stated: Stated,
) -> Alignment:
    """One run with ``chosen`` (name of an op of the module → of the reference) among equals; nothing is taken back."""
    return _Attempt(reference, probed, target, chosen, expected=expected, stated=stated).run(inputs, state)


def _frozen(chosen: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(chosen.items())


def _another_choice(
    found: Alignment, chosen: Mapping[str, str], tried: set[frozenset[tuple[str, str]]]
) -> dict[str, str] | None:
    """The last choice before the last departure, made otherwise."""
    names = list(found.pairs)
    failed = {pair.target.name for pair in found.departures}
    last = max((position for position, name in enumerate(names) if name in failed), default=len(names))
    last = len(names) if found.unplaced or found.misplaced else last
    for position in range(last - 1, -1, -1):
        pair = found.pairs[names[position]]
        for rival in pair.rivals:
            kept = {name: choice for name, choice in chosen.items() if name in names[:position]}
            attempt = {**kept, pair.target.name: rival}
            if _frozen(attempt) not in tried:
                return attempt
    return None


_Fitting: TypeAlias = tuple[ProbedOp, Arrangement]


class _Attempt:
    """One run of the user's module under given choices."""

    def __init__(
        self,
        reference: Reference,
        probed: Probe,
        target: Reading,
        chosen: Mapping[str, str],
        *,
        expected: Sequence[Expected],
        stated: Stated,
    ) -> None:
        self._expected, self._stated = expected, stated
        self._reference, self._probed, self._target, self._chosen = reference, probed, target, chosen
        self._families: dict[tuple[object, ...], list[ProbedOp]] = {}
        for candidate in probed.ops.values():
            self._families.setdefault(candidate.op.signature, []).append(candidate)
        self._free = set(probed.ops)
        self._after_ours = downstream(target.ops)
        self._after_theirs = downstream({name: candidate.op for name, candidate in probed.ops.items()})
        self._variables: dict[str, frozenset[str]] = {}  # key → Keras variables of its op: what is shared stays shared
        self._found = Alignment()

    def run(self, inputs: Sequence[torch.Tensor], state: State) -> Alignment:
        self._found.outputs = self._target.run(inputs, state, self._at_op, self._watch)
        marks = [fingerprint(value) for value in self._found.outputs]
        self._found.misplaced = sum(not output.is_among(marks) for output in self._expected)
        return self._found

    def _watch(self, name: str, value: torch.Tensor) -> None:
        self._found.marks[name] = fingerprint(value)

    def _at_op(self, call: OpCall) -> torch.Tensor:
        if self._stated.leaves_alone(call.op):
            self._found.own.append(call.op)
            return call.compute()
        read = call.op.canonical_input(call.value)
        pair = self._by_values(call.op, read) or self._by_structure(call.op, read)
        if pair is None:
            self._found.unplaced.append(call.op)
            return call.compute()
        self._found.pairs[call.op.name] = pair
        self._free.discard(pair.reference.name)
        variables = self._reference.variables_of(pair.reference)
        self._variables.update({slot.key: variables for slot in call.op.slots.values()})
        return _given(pair, self._probed, call)

    def _candidates(self, op: Op) -> list[ProbedOp]:
        """The free ops of its kind and shapes. Where a key of it is placed already: those of the same variables.

        These need not be free: what Keras calls once, the module may call again on the same values.
        """
        family, free = self._families.get(op.signature, []), self._free_ones(op)
        known = [self._variables[slot.key] for slot in op.slots.values() if slot.key in self._variables]
        if not known:
            return free
        same = [probed for probed in family if known[0] & self._reference.variables_of(probed.op)]
        same.sort(key=lambda probed: probed.op.name not in self._free)
        return same or free  # where none is the same the Plan will say so, with both recipes

    def _free_ones(self, op: Op) -> list[ProbedOp]:
        return [probed for probed in self._families.get(op.signature, []) if probed.op.name in self._free]

    def _fitting(self, op: Op, read: torch.Tensor, family: list[ProbedOp]) -> list[_Fitting]:
        """Those of the family that read the same values, and in which order."""
        fitting: list[_Fitting] = []
        marks = [probed.mark for probed in family]
        # A convolution may read more padding behind than the reference's: see Arrangement.surplus.
        for position in matching(fingerprint(read), marks, counted=op.kind not in CONVOLUTIONS):
            found = arrangement(op, read, family[position].op, family[position].read)
            if found is not None:
                fitting.append((family[position], found))
        return fitting

    def _by_values(self, op: Op, read: torch.Tensor) -> Pair | None:
        # A key that holds other variables already is a tie that Keras has not: the Plan names both.
        fitting = self._fitting(op, read, self._candidates(op)) or self._fitting(op, read, self._free_ones(op))
        if not fitting:
            return None
        (probed, found), reason, equal = self._choose(op, fitting)
        layer = self._reference.layer_of(probed.op)
        evidence = f"values: reads what Keras layer {layer} reads, on {read.shape[0]} probes"
        if reason:
            evidence += f"; told from {len(fitting) - 1} equal by {reason}"
        rivals = tuple(other.op.name for other, _ in equal if other is not probed)
        decided_by = DECIDED_BY.get(reason, "values")
        return Pair(op, probed.op, found, True, evidence, rivals, decided_by)

    def _choose(self, op: Op, fitting: list[_Fitting]) -> tuple[_Fitting, str, list[_Fitting]]:
        """One of several that read the same, by what follows, by name, by order; and those it is a guess among."""
        if len(fitting) == 1:
            return fitting[0], "", []
        for candidate in fitting:
            if self._chosen.get(op.name) == candidate[0].op.name:
                return candidate, "what follows in the graph", []
        alike = [
            candidate
            for candidate in fitting
            if op.name in self._after_ours and self._after_theirs[candidate[0].op.name] == self._after_ours[op.name]
        ]
        if len(alike) == 1:
            return alike[0], "the structure that follows", []
        for candidate in alike or fitting:
            if self._stated.hints(op, self._reference.variables_of(candidate[0].op)):
                return candidate, "a hint", alike or fitting
        likeness = [_likeness(op.place, self._reference.layer_of(probed.op)) for probed, _ in alike or fitting]
        ranked = sorted(range(len(likeness)), key=lambda position: -likeness[position])
        if likeness[ranked[0]] > likeness[ranked[1]]:
            return (alike or fitting)[ranked[0]], "name", alike or fitting
        return (alike or fitting)[0], "order of execution", alike or fitting

    def _by_structure(self, op: Op, read: torch.Tensor) -> Pair | None:
        """The free op of the same kind and shape that stands behind the same ops; else the only one, else the next."""
        family = [probed for probed in self._candidates(op) if probed.op.name in self._free]
        ours = {self._found.pairs[name].reference.name if name in self._found.pairs else "" for name in op.sources}
        behind = [probed for probed in family if probed.op.sources & set(self._probed.ops) == ours - {""}]
        pool, reason = (behind, "stands behind the same layers") if behind else (family, "is the next of its shape")
        hinted = [probed for probed in family if self._stated.hints(op, self._reference.variables_of(probed.op))]
        pool, reason = (hinted, "is what a hint names") if hinted else (pool, reason)
        if not pool:
            return None
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
        decided_by = "hint" if hinted else "structure"
        return Pair(op, probed.op, Arrangement(features=features), False, evidence, rivals, decided_by)


def _likeness(ours: str, theirs: str) -> float:
    """How alike two names are, numbers aside: ``fc2`` is no more ``dense_2`` than ``dense_1`` (Keras counts from 0)."""
    ours, theirs = (re.sub(r"[\d_.]+", "", name.lower()) for name in (ours, theirs))
    return SequenceMatcher(None, ours, theirs).ratio()


def _given(pair: Pair, reference: Probe, call: OpCall) -> torch.Tensor:
    """The reference op's output as the target op gives it.

    Example: a linear over (N·T, F) in the reference and over (N, T, F) in the target: (N·T, G) → (N, T, G).
    """
    op, found, given = pair.target, pair.arrangement, reference.ops[pair.reference.name].given
    whole = op.whole_output_shape(call.output_shape)
    if found.axes is not None:
        behind = range(len(found.axes), given.dim())  # an embedding gives one axis more than it reads
        return given.permute(*found.axes, *behind).reshape(call.output_shape)
    if op.feature_axis is None or pair.reference.feature_axis is None or not _turns(pair, given, whole):
        return op.finish(_refitted(given, whole), call.output_shape)
    rows = as_rows(pair.reference, given)
    if found.rows is not None:
        rows = rows[torch.from_numpy(found.rows)]
    if found.features is not None and op.keeps_channels:
        rows = rows[:, torch.from_numpy(found.features)]
    axis = op.feature_axis % len(whole)
    lead = [size for position, size in enumerate(whole) if position != axis]
    return op.finish(rows.reshape(*lead, rows.shape[1]).movedim(-1, axis).contiguous(), call.output_shape)


def _turns(pair: Pair, given: torch.Tensor, whole: Shape) -> bool:
    """Whether the output must be laid out anew: another order, or features on another axis (Linear for 1×1 Conv)."""
    if not pair.arrangement.is_identity:
        return True
    assert pair.target.feature_axis is not None
    assert pair.reference.feature_axis is not None
    same_axis = pair.target.feature_axis % len(whole) == pair.reference.feature_axis % given.dim()
    fits = given.numel() == math.prod(whole)
    return pair.by_values and fits and not (same_axis and tuple(given.shape) == tuple(whole))


def _refitted(given: torch.Tensor, shape: Shape) -> torch.Tensor:
    """``given`` in ``shape``; where the module departs (another stride) and it does not fit, cut or repeated to fit."""
    if given.numel() == math.prod(shape):
        return given.reshape(shape)
    given = given.reshape((1,) * (len(shape) - given.dim()) + tuple(given.shape))
    for axis, size in enumerate(shape):
        given = given.index_select(axis, torch.arange(size) % given.shape[axis])
    return given
