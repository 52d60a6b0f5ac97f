"""Alignment: which op of the user's module is which op of the reference, and in which order it reads.

The user's module is run once, op by op. Each op is given to the reference op that reads the same values; its
output is then the reference's random numbers, so that what follows is judged alone. Where nothing reads the same
values, choices made before are made otherwise (repair.py). Where that does not help, the module departs from Keras: the
op is placed by structure instead, the departure is kept, and the run goes on from the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..plan import Reorder, Shape
from ..torch_graph import PARAMETER, Op, OpCall, Reading, Session, State, WhatIf
from .candidates import Candidates
from .choose import Chooser
from .exchange import Exchange
from .expected import Expected
from .fingerprint import fingerprint
from .futile import futile, is_shifted
from .groups import Groups
from .holdings import Holdings
from .pairs import Alignment, Match, Pair, given, reads_as
from .probe import Probe
from .reference import Reference
from .repair import Choices, Trial, choices_before, trials
from .stated import Stated
from .tables import always_one_row

#: How often in a row a choice between equal candidates is taken back by another run, before the best stands.
PATIENCE = 8
#: Trials for one op that does not fit; fewer once others have been in vain. Ops that one trial may reach.
TRIALS, REACHED = 800, 400
NOTHING_STATED = Stated()
#: So many biases that Keras has not are tried as zeros.
ZEROS = 8


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
    what is left open, before names do. A row that is always looked up, and that Keras has not, is a bias: it becomes
    zeros where that lets more be placed.
    """
    zeros: tuple[str, ...] = ()

    def attempt(chosen: Mapping[str, str]) -> Alignment:
        run = _Attempt(reference, probed, target, chosen, expected=expected, stated=stated, zeros=zeros)
        return run.run(inputs, with_zeros(state, zeros))

    chosen: dict[str, str] = {}
    tried = {_frozen(chosen)}
    best = attempt(chosen)
    for op in [op for op in best.unplaced if op.kind == PARAMETER and always_one_row(op, probed.rows)][:ZEROS]:
        before, zeros = zeros, (*zeros, op.slots["value"].key)
        found = attempt(chosen)
        best, zeros = (found, zeros) if found.score > best.score else (best, before)
    if target.start(inputs, state) is not None:
        return best  # what can be taken back has been, on the way
    patience = PATIENCE
    while patience and not best.is_whole:
        alternative = _another_choice(best, chosen, tried)
        if alternative is None:
            break
        tried.add(_frozen(alternative))
        found = attempt(alternative)
        patience -= 1
        if found.score > best.score:
            best, chosen, patience = found, alternative, PATIENCE
    return best


def with_zeros(state: State, keys: Collection[str]) -> State:
    """``state`` with zeros for these keys."""
    return {**state, **{key: torch.zeros_like(state[key]) for key in keys}}


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
        zeros: Collection[str] = (),
    ) -> None:
        self._zeros = zeros
        self._expected, self._stated = expected, stated
        self._reference, self._probed, self._target, self._chosen = reference, probed, target, chosen
        self._candidates = Candidates(reference, probed)
        self._held = Holdings()
        self._groups = Groups(reference.reading.ops)
        self._choose = Chooser(
            reference, probed, target, chosen, candidates=self._candidates, groups=self._groups, stated=stated
        )
        self._shapes: dict[str, Shape] = {}
        self._in_vain = 0
        self._session: Session | None = None
        self._found = Alignment()

    def run(self, inputs: Sequence[torch.Tensor], state: State) -> Alignment:
        self._session = self._target.start(inputs, state)
        if self._session is None:
            self._found.outputs = self._target.run(inputs, state, self._at_op, self._watch)
        else:
            with torch.no_grad():
                self._session.run(self._at_op, self._watch)
                self._place_outputs(self._session)
                self._found.outputs = self._target.user_results(self._session.results())
        self._found.misplaced = self._misplaced(self._found.outputs)
        return self._found

    def _misplaced(self, outputs: Sequence[torch.Tensor]) -> int:
        marks = [fingerprint(value) for value in outputs]
        return sum(output.weight for output in self._expected if not output.is_among(marks))

    def _watch(self, name: str, value: torch.Tensor) -> None:
        self._found.marks[name] = self._probed.mark_of(value)

    def _at_op(self, call: OpCall) -> torch.Tensor:
        op = call.op
        if self._stated.leaves_alone(op):
            self._found.own.append(op)
            return call.compute()
        if op.kind == PARAMETER and op.slots["value"].key in self._zeros:
            self._found.zeros.append(op)
            return call.compute()
        self._shapes[op.name] = call.output_shape
        read = op.canonical_input(call.value)
        mark = self._found.marks.get(op.reads) if read is call.value else None
        pair = self._choose.by_values(op, read, self._held, mark)
        doubtful = pair is None or self._is_doubtful(op, pair.match, self._held)
        if doubtful and (repaired := self._repaired(op, read, pair)) is not None:
            pair = repaired
        pair = pair or self._choose.by_structure(op, read, self._held)
        if pair is None:
            self._found.unplaced.append(op)
            return call.compute()
        self._note(op, pair)
        return given(op, pair.match, self._probed, call.output_shape)

    def _note(self, op: Op, pair: Pair) -> None:
        self._found.pairs[op.name] = pair
        self._held.hold(op, pair.match)
        self._groups.join(op, pair)

    def _repaired(self, op: Op, read: torch.Tensor, pair: Pair | None) -> Pair | None:
        """``op`` by values, choices before it made otherwise; None where none of them helps."""
        if self._session is None or not op.reads:
            return None
        placed: list[Pair] = []

        def fits(name: str, read: torch.Tensor, held: Holdings) -> bool:
            if name != op.name:
                return False
            found = self._choose.by_values(op, read, held)
            if found is not None and (pair is None or not self._is_doubtful(op, found.match, held)):
                placed.append(found)
            return bool(placed)

        choices = choices_before(self._target, [op.reads], self._groups.of_op, self._held.matches)
        if pair is None:
            choices = self._of_use(choices, op, read)
        limit = 40 if pair is not None and not self._contradicts(op, pair.match, self._held) else TRIALS
        return placed[-1] if self._try(choices, fits, lambda _: bool(placed), limit) else None

    def _of_use(self, choices: Choices, op: Op, read: torch.Tensor) -> Choices:
        """Those that can change which numbers ``op`` reads, where no op of the reference reads these."""
        if not all(is_shifted(op, read, each) for each in self._candidates.near(op, fingerprint(read))):
            return choices
        left = (each.op for each in self._candidates.families.get(op.family, ()) if self._held.is_free(each.op.name))
        vain = futile(op, self._held.matches, self._target, self._reference.reading, left)
        return Choices(() if vain.exchanges else choices.groups, () if vain.orders else choices.ordered)

    def _is_doubtful(self, op: Op, match: Match, held: Holdings) -> bool:
        """Whether something before ``op`` was likely misplaced, though what it reads is there, or is hinted to be."""
        hinted = frozenset[str]().union(*map(self._candidates.variables_of, match.references))
        return _is_odd(match) or self._contradicts(op, match, held) or self._stated.speaks_against(op, hinted)

    def _contradicts(self, op: Op, match: Match, held: Holdings) -> bool:
        """Whether another call of the same key has been given to other variables."""
        first = held.first_call(op)
        if first is None or op.kind == PARAMETER:
            return False
        theirs = frozenset[str]().union(*(self._candidates.variables_of(each) for each in first.references))
        return not all(theirs & self._candidates.variables_of(each) for each in match.references)

    def _place_outputs(self, session: Session) -> None:
        """Outputs that are not where they belong: choices before them are made otherwise."""
        best = self._misplaced(self._target.user_results(session.results()))
        if not best:
            return
        starts = session.result_names()

        def better(trial: WhatIf) -> bool:
            return self._misplaced(self._target.user_results(trial.results())) < best

        choices = choices_before(self._target, starts, self._groups.of_op, self._held.matches)
        if self._try(choices, lambda *_: False, better, TRIALS):
            self._place_outputs(session)

    def _try(
        self,
        choices: Choices,
        fits: Callable[[str, torch.Tensor, Holdings], bool],
        succeeded: Callable[[WhatIf], bool],
        limit: int,
    ) -> bool:
        """Whether one of the trials succeeds; it then is what the run goes on from."""
        if not (choices.groups or choices.ordered):
            return False
        proposals = trials(choices, self._held.matches, self._target.ops, self._held.is_free, self._groups.worked)
        for count, trial in enumerate(proposals):
            if count >= max(12, limit >> self._in_vain):
                break
            if self._run_trial(trial, fits, succeeded):
                self._groups.learn(trial, self._held)
                return True
        self._in_vain += 1
        return False

    def _run_trial(
        self,
        trial: Trial,
        fits: Callable[[str, torch.Tensor, Holdings], bool],
        succeeded: Callable[[WhatIf], bool],
    ) -> bool:
        assert self._session is not None
        held = self._held.trial()
        for name in trial:
            held.release(name)
        changed = {}
        for name, match in trial.items():
            held.hold(self._target.ops[name], match)
            changed[name] = given(self._target.ops[name], match, self._probed, self._shapes[name])
        run = WhatIf(self._session, lambda name: self._given(name, held), changed)
        moved: dict[str, Pair] = {}
        exchange = Exchange(self._target.ops, self._found.pairs, held)
        reached = list(trial)
        while (found := run.next_op()) is not None:
            name = found
            reached.append(name)
            if len(reached) > REACHED:
                return False
            op = self._target.ops[name]
            read = op.canonical_input(run.value(op.reads))
            before = self._found.pairs.get(name)
            if before is None:
                if name in self._shapes and name not in held.matches and not self._is_unplaced(op):
                    if not fits(name, read, held):
                        return False
                    continue
                run.put(name, self._session.own(self._session.nodes[self._session.index[name]], _Pulled(run)))
                continue
            as_before = reads_as(op, before.match, read, self._probed) or not before.by_values
            if as_before and not exchange.is_loose(name):
                continue
            if (pair := self._placed_again(op, read, held, exchange, reached)) is None:
                return False
            moved[name] = pair
            run.put(name, given(op, pair.match, self._probed, self._shapes[name]))
        if not exchange.end() or not succeeded(run):
            return False
        self._accept(trial, moved, held)
        run.commit()
        return True

    def _accept(self, trial: Trial, moved: Mapping[str, Pair], held: Holdings) -> None:
        """What a trial has assigned, and what has moved by it, becomes so."""
        self._held.take(held)
        for name, match in trial.items():
            pair = self._found.pairs[name]
            unusual = f"; {match.describe()}" if match.describe() else ""
            layer = self._reference.layer_of(match.references[0])
            what = f"values: reads what Keras layer {layer} reads" if pair.by_values else "structure: of the same shape"
            told = f"{what}{unusual}; told from equal ones by what follows"
            self._found.pairs[name] = replace(pair, match=match, evidence=told, rivals=(), decided_by="values")
        for name, pair in moved.items():
            self._found.pairs[name] = pair
            self._groups.join(self._target.ops[name], pair)

    def _placed_again(
        self, op: Op, read: torch.Tensor, held: Holdings, exchange: Exchange, reached: Sequence[str]
    ) -> Pair | None:
        """By values, under a trial; where others hold all that it could be, those behind ``reached`` let go of it."""
        held.release(op.name)
        pair = self._choose.by_values(op, read, held)
        if pair is None and not exchange.begun:
            exchange.begin(reached)
            pair = self._choose.by_values(op, read, held)
        if pair is not None:
            held.hold(op, pair.match)
            exchange.settle(op.name)
        return pair

    def _is_unplaced(self, op: Op) -> bool:
        return op in self._found.unplaced or op in self._found.own or op in self._found.zeros

    def _given(self, name: str, held: Holdings) -> torch.Tensor | None:
        match = held.matches.get(name)
        return None if match is None else given(self._target.ops[name], match, self._probed, self._shapes[name])


class _Pulled(dict[str, Any]):
    """Values of a trial, by name, made when they are asked for."""

    def __init__(self, run: WhatIf) -> None:
        super().__init__()
        self._run = run

    def __missing__(self, name: str) -> Any:
        return self._run.value(name)


def _is_odd(match: Match) -> bool:
    """Whether its input's features stand in an order without a structure: likely something before was misplaced."""
    features = match.arrangement.features
    return features is not None and bool(Reorder.along(0, features).order)
