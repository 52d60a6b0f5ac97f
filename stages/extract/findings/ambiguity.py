"""Candidates that read the same values, and nothing else told apart.

1. They are interchangeable: the module computes the same function whichever way. A note.
2. The module departs whichever is taken: the choice is a guess, made by name or by order. A warning.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from .context import Context


def ambiguities(context: Context) -> Iterable[Finding]:
    """The keys, the candidates, and the hint that settles it."""
    for guess in context.guesses:
        reference = context.reference
        layers = [reference.layer_of(reference.reading.ops[name]) for name in guess.rivals]
        taken = reference.layer_of(guess.pair.reference)
        keys = ", ".join(slot.key for slot in guess.pair.target.slots.values())
        place = guess.pair.target.place or "the module"
        candidates = ", ".join(dict.fromkeys(layers))
        by = {"names": "by its name"}.get(guess.pair.decided_by, "by the order of execution")
        if guess.interchangeable:
            cause = f"{keys} may be {taken} or {candidates}: the function is the same; {taken} was taken {by}"
        else:
            cause = f"{keys} may be {taken} or {candidates}: both read the same values; {taken} was taken {by}"
        hint = f'hints: {{"{place}": "{taken}"}}'
        others = " or ".join(f'"{layer}"' for layer in dict.fromkeys(layers))
        yield Finding(
            "note" if guess.interchangeable else "warning", place, taken, cause, f"settle it by `{hint}`, or {others}"
        )
