"""Alignment: which op of the user's module is which op of the reference, and in which order it reads.

The user's module is run once, op by op (attempt.py). Each op is given to the reference op that reads the same values;
its output is then the reference's random numbers, so that what follows is judged alone. Where nothing reads the same
values, choices made before are made otherwise. Where that does not help, the module departs from Keras: the op is
placed by structure instead, the departure is kept, and the run goes on from the reference. A module that can only be
run as a whole is run again with other choices.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

from ..torch_graph import PARAMETER, Reading, State
from .attempt import Attempt
from .expected import Expected
from .pairs import Alignment
from .probe import Probe
from .reference import Reference
from .stated import Stated
from .tables import always_one_row

#: How often in a row a choice between equal candidates is taken back by another run, before the best stands.
PATIENCE = 8
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
        run = Attempt(reference, probed, target, chosen, expected=expected, stated=stated, zeros=zeros)
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
