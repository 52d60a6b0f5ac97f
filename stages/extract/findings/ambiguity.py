"""Candidates that read the same values, and nothing else told apart.

1. They are interchangeable: the module computes the same function whichever way. A note.
2. The module departs whichever is taken: the choice is a guess, made by name or by order. A warning.
3. The module gives the one part of Keras or the other: a note where a name tells which, else an error.
4. There are too many such choices to try each: a note; the comparison of the outputs tells whether it was right.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from ..guesses import EITHER, INTERCHANGEABLE, OPEN, UNTRIED
from .context import Context


def ambiguities(context: Context) -> Iterable[Finding]:
    """The keys, the candidates, and the hint that settles it."""
    for guess in (each for each in context.guesses if each.is_open and each.is_first):
        reference = context.reference
        layers = [reference.layer_of(reference.reading.ops[name]) for name in guess.rivals]
        taken = reference.layer_of(guess.pair.reference)
        keys = ", ".join(slot.key for slot in guess.pair.target.slots.values())
        place = guess.pair.target.place or "the module"
        candidates = ", ".join(dict.fromkeys(layers))
        by = {"names": "by its name"}.get(guess.pair.decided_by, "by the order of execution")
        why = {
            INTERCHANGEABLE: "the function is the same",
            EITHER: "the module gives the one part of Keras or the other, and no value tells which",
            OPEN: "both read the same values",
            UNTRIED: "both read the same values, and the other way was not tried",
        }[guess.outcome]
        why += f" (as at {guess.like}, in the same structure)" if guess.like else ""
        cause = f"{keys} may be {taken} or {candidates}: {why}; {taken} was taken {by}"
        hint = f'hints: {{"{place}": "{taken}"}}'
        others = " or ".join(f'"{layer}"' for layer in dict.fromkeys(layers))
        by_name = guess.pair.decided_by == "names"
        severity = {OPEN: "warning", EITHER: "note" if by_name else "error"}.get(guess.outcome, "note")
        yield Finding(severity, place, taken, cause, f"settle it by `{hint}`, or {others}")
