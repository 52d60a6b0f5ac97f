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
from .structure import downstream

#: So many choices are tried the other way, one of each structure: a network of many cells has many that are alike.
TRIED = 8
#: How many of ``structure.DEPTHS`` make choices alike.
NEAR = 2


@dataclass(frozen=True)
class Guess:
    """A choice between candidates that read the same, tried the other way.

    Attributes:
        pair: what was chosen.
        rivals: names of the reference's operations that fitted as well.
        outcome: what came of it.
        worse: what no longer fits with the first rival; "" where all does.
        like: the place where it was tried, where that is another of the same structure; "" for this one.
    """

    pair: Pair
    rivals: tuple[str, ...]
    outcome: str
    worse: str = ""
    like: str = ""

    @property
    def is_open(self) -> bool:
        """Whether nothing has decided it."""
        return self.outcome != DECIDED


#: The other way is worse: values have decided. The function is the same either way. The module departs either way. Not
#: tried: the comparison of the outputs has to tell.
DECIDED, INTERCHANGEABLE, OPEN, UNTRIED = "decided", "interchangeable", "open", "untried"


def guesses(found: Found, stated: Stated, *, departed: bool) -> Iterator[Guess]:
    """The choices that stood open, and what came of them; none for what a hint says.

    What comes of an exchange shows close behind: of choices with the same structure behind them one is tried.

    ``departed``: whether the module's outputs are no values of Keras.
    """
    open_choices = [
        pair for pair in found.alignment.pairs.values() if pair.rivals and pair.by_values and pair.decided_by != "hint"
    ]
    after = downstream(found.reading) if open_choices else {}
    tried: dict[object, Guess] = {}
    told: set[str] = set()
    for pair in open_choices:
        if pair.reference.name in told:
            continue  # the other side of an exchange that was told
        structure = (pair.target.signature, len(pair.rivals), after.get(pair.target.name, (pair.target.name,))[:NEAR])
        if structure in tried:
            earlier = tried[structure]
            guess = replace(earlier, pair=pair, rivals=pair.rivals, like=earlier.pair.target.place)
        elif len(tried) >= TRIED:
            guess = Guess(pair, pair.rivals, UNTRIED)
        else:
            guess = tried[structure] = _tried(pair, found, stated, departed=departed)
        if guess.is_open:
            told.update(pair.rivals)
        yield guess


def _tried(pair: Pair, found: Found, stated: Stated, *, departed: bool) -> Guess:
    """One run with the first rival in place of what was chosen."""
    faults = _faults(found.alignment)
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
        return Guess(pair, pair.rivals, OPEN if departed or any(faults[:2]) else INTERCHANGEABLE)
    return Guess(pair, pair.rivals, DECIDED, _worse(faults, _faults(other)))


def said(alignment: Alignment, found: Sequence[Guess]) -> None:
    """What came of each choice becomes part of its evidence, and so of the Plan."""
    words = {
        INTERCHANGEABLE: "interchangeable with the other: the function is the same",
        OPEN: "a guess: the module departs whichever is taken",
        UNTRIED: f"the other way was not tried ({TRIED} choices were)",
    }
    for guess in found:
        told = words.get(guess.outcome) or f"the other way {guess.worse}"
        told += f" (as at {guess.like}, in the same structure)" if guess.like else ""
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
