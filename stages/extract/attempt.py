"""One run of the user's module under given choices, op by op.

Each op is given to the reference op that reads the same values. Where nothing reads them, choices before it are made
otherwise (retry.py), those that can make a difference (futile.py); else it is placed by structure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

from ..plan import Reorder, Shape
from ..torch_graph import PARAMETER, Op, OpCall, Reading, Session, State, WhatIf
from .candidates import Candidates
from .choose import Chooser
from .expected import Expected
from .fingerprint import fingerprint
from .futile import futile, is_shifted
from .groups import Groups
from .holdings import Holdings
from .pairs import Alignment, Match, Pair, given
from .probe import Probe
from .reference import Reference
from .repair import Choices, choices_before
from .retry import TRIALS, Retries, Standing
from .stated import Stated

#: Trials for an op that is there, though at an odd place.
FEWER = 40


class Attempt:
    """See the module. ``chosen``: name of an op of the module → of the reference, wherever they are among equals."""

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
        self._reference, self._probed, self._target = reference, probed, target
        self._candidates = Candidates(reference, probed)
        self._held = Holdings()
        self._groups = Groups(reference.reading.ops)
        self._choose = Chooser(
            reference, probed, target, chosen, candidates=self._candidates, groups=self._groups, stated=stated
        )
        self._shapes: dict[str, Shape] = {}
        self._session: Session | None = None
        self._found = Alignment()
        self._retries = Retries(
            Standing(reference, probed, target, self._choose, self._held, self._groups, self._shapes, self._found)
        )

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
        limit = FEWER if pair is not None and not self._contradicts(op, pair.match, self._held) else TRIALS
        succeeded = self._retries.succeed(self._session, choices, fits, lambda _: bool(placed), limit)
        return placed[-1] if succeeded else None

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
        if self._retries.succeed(session, choices, lambda *_: False, better):
            self._place_outputs(session)


def _is_odd(match: Match) -> bool:
    """Whether its input's features stand in an order without a structure: likely something before was misplaced."""
    features = match.arrangement.features
    return features is not None and bool(Reorder.along(0, features).order)
