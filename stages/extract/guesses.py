"""Choices between candidates that read the same values: whether anything tells them apart after all.

The module is aligned once more with the other choice. Where that fits worse, values have decided. Where it fits as
well, the two are interchangeable: the module computes the same function whichever way. Where the module departs from
Keras whichever is taken, the choice is a guess, and a hint settles it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .align import aligned_with
from .pairs import Alignment, Pair
from .search import Found
from .stated import Stated

#: So many choices are tried the other way; a network of many equal branches has as many as layers.
TRIED = 8


@dataclass(frozen=True)
class Guess:
    """A choice between candidates that read the same, tried the other way.

    Attributes:
        pair: what was chosen.
        rivals: names of the reference's operations that fitted as well.
        outcome: what came of it.
        worse: what no longer fits with the first rival; "" where all does.
    """

    pair: Pair
    rivals: tuple[str, ...]
    outcome: str
    worse: str = ""

    @property
    def is_open(self) -> bool:
        """Whether nothing has decided it."""
        return self.outcome != DECIDED


#: The other way is worse: values have decided. The function is the same either way. The module departs either way. Not
#: tried: the comparison of the outputs has to tell.
DECIDED, INTERCHANGEABLE, OPEN, UNTRIED = "decided", "interchangeable", "open", "untried"


def guesses(found: Found, stated: Stated, *, departed: bool) -> Iterator[Guess]:
    """The choices that stood open, and what came of them; none for what a hint says.

    ``departed``: whether the module's outputs are no values of Keras.
    """
    faults = _faults(found.alignment)
    open_choices = [
        pair for pair in found.alignment.pairs.values() if pair.rivals and pair.by_values and pair.decided_by != "hint"
    ]
    told: set[str] = set()
    for count, pair in enumerate(open_choices):
        if pair.reference.name in told:
            continue  # the other side of an exchange that was told
        if count >= TRIED:
            told.update(pair.rivals)
            yield Guess(pair, pair.rivals, UNTRIED)
            continue
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
            yield Guess(pair, pair.rivals, OPEN if departed or any(faults[:2]) else INTERCHANGEABLE)
        else:
            yield Guess(pair, pair.rivals, DECIDED, _worse(faults, _faults(other)))


def said(alignment: Alignment, found: Sequence[Guess]) -> None:
    """What came of each choice becomes part of its evidence, and so of the Plan."""
    words = {
        INTERCHANGEABLE: "interchangeable with the other: the function is the same",
        OPEN: "a guess: the module departs whichever is taken",
        UNTRIED: f"the other way was not tried ({TRIED} choices were)",
    }
    for guess in found:
        told = words.get(guess.outcome) or f"the other way {guess.worse}"
        name = guess.pair.target.name
        alignment.pairs[name] = replace(guess.pair, evidence=f"{guess.pair.evidence}; {told}")


def _worse(ours: tuple[int, int, int], other: tuple[int, int, int]) -> str:
    """What the other way leaves without a place, in words."""
    kinds = (
        "calls behind it read other values than Keras",
        "calls behind it have no counterpart",
        "outputs are not Keras'",
    )
    return ", ".join(f"{b - a} {kind}" for a, b, kind in zip(ours, other, kinds, strict=True) if b > a)


def _faults(alignment: Alignment) -> tuple[int, int, int]:
    return (len(alignment.departures), len(alignment.unplaced), alignment.misplaced)
