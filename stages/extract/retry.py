"""Choices made otherwise, one trial after the other, until what did not fit does.

A trial is followed from the ops that it changes to whatever reads something else then: each is placed again by values,
and the trial is over where one cannot be. What succeeds is what the run goes on from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch

from ..plan import Shape
from ..torch_graph import Op, Reading, Session, WhatIf
from .choose import Chooser
from .exchange import Exchange
from .groups import Groups
from .holdings import Holdings
from .pairs import Alignment, Match, Pair, given, reads_as
from .probe import Probe
from .reference import Reference
from .repair import Choices, Trial, trials

#: Trials for one op that does not fit; fewer once others have been in vain. Ops that one trial may reach.
TRIALS, REACHED, LEAST = 800, 400, 12

#: (name of an op that has no place yet, what it reads, what is held) → whether it has one now.
Fits: TypeAlias = Callable[[str, torch.Tensor, Holdings], bool]
#: Whether all is well at the end of a trial.
Succeeded: TypeAlias = Callable[[WhatIf], bool]


@dataclass(frozen=True)
class Standing:
    """A run of the user's module, as it stands: what is in it changes as it goes on.

    Attributes:
        reference, probed, target: what is aligned.
        choose: by what an op is placed.
        held: which op holds which of the reference.
        groups: ops among which there is a choice.
        shapes: name of an op → shape of what it gives.
        found: the alignment so far.
    """

    reference: Reference
    probed: Probe
    target: Reading
    choose: Chooser
    held: Holdings
    groups: Groups
    shapes: dict[str, Shape]
    found: Alignment

    def given(self, name: str, match: Match) -> torch.Tensor:
        """What an op of the module gives where it is ``match``."""
        return given(self.target.ops[name], match, self.probed, self.shapes[name])


class Retries:
    """All of one run; each in vain leaves fewer for the next."""

    def __init__(self, now: Standing) -> None:
        self._now = now
        self._in_vain = 0

    def succeed(
        self, session: Session, choices: Choices, fits: Fits, succeeded: Succeeded, limit: int = TRIALS
    ) -> bool:
        """Whether one of the trials succeeds; it then is what the run goes on from."""
        if not (choices.groups or choices.ordered):
            return False
        now = self._now
        proposals = trials(choices, now.held.matches, now.target.ops, now.held.is_free, now.groups.worked)
        for count, trial in enumerate(proposals):
            if count >= max(LEAST, limit >> self._in_vain):
                break
            if self._run(session, trial, fits, succeeded):
                self._now.groups.learn(trial, self._now.held)
                return True
        self._in_vain += 1
        return False

    def _run(self, session: Session, trial: Trial, fits: Fits, succeeded: Succeeded) -> bool:
        held = self._now.held.trial()
        for name in trial:
            held.release(name)
        changed = {}
        for name, match in trial.items():
            held.hold(self._now.target.ops[name], match)
            changed[name] = self._now.given(name, match)
        run = WhatIf(session, lambda name: self._given(name, held), changed)
        moved: dict[str, Pair] = {}
        exchange = Exchange(self._now.target.ops, self._now.found.pairs, held)
        reached = list(trial)
        while (found := run.next_op()) is not None:
            name = found
            reached.append(name)
            if len(reached) > REACHED:
                return False
            op = self._now.target.ops[name]
            read = op.canonical_input(run.value(op.reads))
            before = self._now.found.pairs.get(name)
            if before is None:
                if name in self._now.shapes and name not in held.matches and not self._is_unplaced(op):
                    if not fits(name, read, held):
                        return False
                    continue
                run.put(name, session.own(session.nodes[session.index[name]], _Pulled(run)))
                continue
            as_before = reads_as(op, before.match, read, self._now.probed) or not before.by_values
            if as_before and not exchange.is_loose(name):
                continue
            if (pair := self._placed_again(op, read, held, exchange, reached)) is None:
                return False
            moved[name] = pair
            run.put(name, self._now.given(name, pair.match))
        if not exchange.end() or not succeeded(run):
            return False
        self._accept(trial, moved, held)
        run.commit()
        return True

    def _accept(self, trial: Trial, moved: Mapping[str, Pair], held: Holdings) -> None:
        """What a trial has assigned, and what has moved by it, becomes so."""
        self._now.held.take(held)
        for name, match in trial.items():
            pair = self._now.found.pairs[name]
            unusual = f"; {match.describe()}" if match.describe() else ""
            layer = self._now.reference.layer_of(match.references[0])
            what = f"values: reads what Keras layer {layer} reads" if pair.by_values else "structure: of the same shape"
            told = f"{what}{unusual}; told from equal ones by what follows"
            self._now.found.pairs[name] = replace(pair, match=match, evidence=told, rivals=(), decided_by="values")
        for name, pair in moved.items():
            self._now.found.pairs[name] = pair
            self._now.groups.join(self._now.target.ops[name], pair)

    def _placed_again(
        self, op: Op, read: torch.Tensor, held: Holdings, exchange: Exchange, reached: Sequence[str]
    ) -> Pair | None:
        """By values, under a trial; where others hold all that it could be, those behind ``reached`` let go of it."""
        held.release(op.name)
        pair = self._now.choose.by_values(op, read, held)
        if pair is None and not exchange.begun:
            exchange.begin(reached)
            pair = self._now.choose.by_values(op, read, held)
        if pair is not None:
            held.hold(op, pair.match)
            exchange.settle(op.name)
        return pair

    def _is_unplaced(self, op: Op) -> bool:
        return op in self._now.found.unplaced or op in self._now.found.own or op in self._now.found.zeros

    def _given(self, name: str, held: Holdings) -> torch.Tensor | None:
        match = held.matches.get(name)
        return None if match is None else self._now.given(name, match)


class _Pulled(dict[str, Any]):
    """Values of a trial, by name, made when they are asked for."""

    def __init__(self, run: WhatIf) -> None:
        super().__init__()
        self._run = run

    def __missing__(self, name: str) -> Any:
        return self._run.value(name)
