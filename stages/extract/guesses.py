"""Choices between candidates that read the same values: whether anything tells them apart after all.

The module is aligned once more with the other choice. Where that fits worse, values have decided. Where it fits as
well, the two are interchangeable: the module computes the same function whichever way. Where the module departs from
Keras whichever is taken, the choice is a guess, and a hint settles it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .align import aligned_with
from .pairs import Alignment, Pair
from .search import Found
from .stated import Stated

#: So many choices are tried the other way; a network of many equal branches has as many as layers.
TRIED = 8


@dataclass(frozen=True)
class Guess:
    """A choice that neither values nor structure have decided.

    Attributes:
        pair: what was chosen.
        rivals: names of the reference's operations that fitted as well.
        interchangeable: whether the first of them gives the same function.
    """

    pair: Pair
    rivals: tuple[str, ...]
    interchangeable: bool


def guesses(found: Found, stated: Stated, *, departed: bool) -> Iterator[Guess]:
    """The choices that stand open; none for what the values of the outputs decide, or a hint.

    ``departed``: whether the module's outputs are no values of Keras.
    """
    faults = _faults(found.alignment)
    open_choices = [
        pair for pair in found.alignment.pairs.values() if pair.rivals and pair.by_values and pair.decided_by != "hint"
    ]
    told: set[str] = set()
    for pair in open_choices[:TRIED]:
        if pair.reference.name in told:
            continue  # the other side of an exchange that was told
        other = aligned_with(
            {pair.target.name: pair.rivals[0]},
            found.reference,
            found.probe,
            found.reading,
            found.inputs,
            state=found.state,
            zeros=[op.slots["value"].key for op in found.alignment.zeros],
            expected=found.expected,
            stated=stated,
        )
        if _faults(other) <= faults:
            told.update(pair.rivals)
            yield Guess(pair, pair.rivals, interchangeable=not departed and not any(faults[:2]))


def _faults(alignment: Alignment) -> tuple[int, int, int]:
    return (len(alignment.departures), len(alignment.unplaced), alignment.misplaced)
