"""Choices between candidates that read the same values: whether anything tells them apart after all.

The module is run once more with two of them exchanged.

1. It is worse: values have decided.
2. It is as good: the two are interchangeable, and so are all that are with one of them.
3. It is as good, but the module, which does not give all that Keras does, gives something else of Keras then: it may be
   the one part of Keras or the other. A name may tell; the order of execution must not.
4. The module departs from Keras whichever is taken: the choice is a guess, and a hint settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..torch_graph import Op, Reading
from .candidates import output_size
from .pairs import Alignment, Pair
from .search import Found
from .settings import differing_settings
from .stated import Stated
from .structure import downstream
from .swapped import Swapper

#: So many exchanges are tried, one of each structure: a network of many cells has many that are alike.
TRIED = 20
#: How many of ``structure.DEPTHS`` make choices alike.
NEAR = 2

#: Case 1; case 2; case 3; case 4. Not tried: the comparison of the outputs has to tell.
DECIDED, INTERCHANGEABLE, EITHER, OPEN, UNTRIED = "decided", "interchangeable", "either", "open", "untried"


@dataclass(frozen=True)
class Guess:
    """A choice between candidates that read the same, tried the other way.

    Attributes:
        pair: what was chosen.
        rivals: names of the reference's operations that the outcome is about.
        outcome: what came of it.
        worse: what no longer fits with the first rival; "" where all does.
        like: the place where it was tried, where that is another of the same structure; "" for this one.
        is_first: whether it is to be told; False for the others of those that are interchangeable.
    """

    pair: Pair
    rivals: tuple[str, ...]
    outcome: str
    worse: str = ""
    like: str = ""
    is_first: bool = True

    @property
    def is_open(self) -> bool:
        """Whether nothing has decided it."""
        return self.outcome != DECIDED


def guesses(found: Found, stated: Stated, *, departed: bool) -> Iterator[Guess]:
    """The choices that stood open, and what came of them; none for what a hint says.

    ``departed``: whether the module's outputs are no values of Keras.
    """
    trials: _Trials | None = None
    # What nothing has told yet comes first: there are exchanges for so many.
    for group in sorted(_groups(found), key=lambda group: not any(pair.rivals for pair in group.members)):
        trials = trials or _Trials(found, stated, departed)
        yield from trials.of(group)


@dataclass(frozen=True)
class _Group:
    """Ops of the module that read the same and are of one shape, and those of Keras' that nobody has."""

    members: Sequence[Pair]
    free: Sequence[str]


def _groups(found: Found) -> Iterator[_Group]:
    ops, pairs = found.reference.reading.ops, found.alignment.pairs.values()
    held = {op.name for pair in pairs for op in (*pair.match.references, *pair.match.further)}
    groups: dict[object, list[Pair]] = {}
    seen: set[str] = set()
    for pair in pairs:
        keys = {slot.key for slot in pair.target.slots.values()}
        again = bool(keys & seen)  # a layer that is called once more
        seen |= keys
        if not again and len(pair.equals) > 1 and pair.by_values and pair.decided_by != "hint" and _is_one(pair):
            groups.setdefault((pair.target.signature, frozenset(pair.equals)), []).append(pair)
    for members in groups.values():
        ours = {path for pair in members for path in found.reference.variables_of(pair.reference)}
        alike = [name for name in members[0].equals if _size(ops[name]) == _size(members[0].target)]
        free = [name for name in alike if name not in held and not found.reference.variables_of(ops[name]) & ours]
        if len(members) > 1 or free:
            yield _Group(members, free)


def _is_one(pair: Pair) -> bool:
    return len(pair.match.references) == 1 and pair.match.is_one_whole_call


def _size(op: Op) -> object:
    return output_size(op) if op.mixes else op.signature


@dataclass
class _Trials:
    """Exchanges, as far as they are worth their time.

    ``known``: place in a group, structure of the group → outcome, what is worse, where it was tried.
    """

    found: Found
    stated: Stated
    departed: bool
    left: int = TRIED
    known: dict[tuple[object, ...], tuple[str, str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._after = downstream(self.found.reading)
        self._glue = _glue_behind(self.found.reading)
        self._swapper = Swapper(self.found, self.stated)
        self._before = self._swapper.run({})

    def of(self, group: _Group) -> Iterator[Guess]:
        """One for each member of which there is something to tell."""
        if not self.left and not self._is_known(group):
            if guess := self._untried(group):
                yield guess
            return
        classes: list[list[Guess]] = []
        for place, pair in enumerate(group.members):
            made: Guess | None = None
            for others in classes:
                first = others[0].pair
                made = self._tried((place, group.members.index(first)), pair, first.reference.name, group, first)
                if made.outcome in (INTERCHANGEABLE, EITHER, OPEN):
                    others.append(made)
                    break
                if made.rivals and not others[0].rivals:
                    others[0] = replace(made, pair=first, rivals=(pair.reference.name,))
            else:
                classes.append([made or Guess(pair, (), DECIDED)])
        for others in classes:
            names = [guess.pair.reference.name for guess in others]
            for position, guess in enumerate(others):
                if len(others) > 1:
                    rivals = tuple(name for name in names if name != guess.pair.reference.name)
                    outcome, like = others[1].outcome, others[1].like
                    yield Guess(guess.pair, rivals, outcome, like=like, is_first=position == 0)
                    continue
                alone = self._with_a_free_one(guess, group)
                if alone.rivals:
                    yield alone

    def _with_a_free_one(self, guess: Guess, group: _Group) -> Guess:
        """What came of the first layer of Keras' that the module does not have and that would do; else ``guess``."""
        for place, name in enumerate(group.free):
            made = self._tried(("free", place), guess.pair, name, group)
            if made.is_open:
                return made
            guess = guess if guess.rivals else made
        return guess

    def _is_known(self, group: _Group) -> bool:
        return any(rest == self._structure(group) for _, *rest in self.known)

    def _untried(self, group: _Group) -> Guess | None:
        return next((Guess(pair, pair.rivals, UNTRIED) for pair in group.members if pair.rivals), None)

    def _structure(self, group: _Group) -> list[object]:
        return [tuple(map(self._sketch, group.members)), len(group.free)]

    def _tried(self, place: object, pair: Pair, rival: str, group: _Group, other: Pair | None = None) -> Guess:
        if differing_settings(pair.target, self.found.reference.reading.ops[rival]):
            return Guess(pair, (), DECIDED)
        structure = (place, *self._structure(group))
        if structure in self.known:
            outcome, worse, like = self.known[structure]
            return Guess(pair, (rival,), outcome, worse, like)
        if not self.left:
            return Guess(pair, (rival,), UNTRIED) if pair.rivals else Guess(pair, (), DECIDED)
        outcome, worse = self._outcome(pair, rival, other)
        self.known[structure] = outcome, worse, (other or pair).target.place
        return Guess(pair, (rival,), outcome, worse)

    def _outcome(self, pair: Pair, rival: str, other: Pair | None) -> tuple[str, str]:
        rival_op = self.found.reference.reading.ops[rival]
        alone = {pair.target.name: replace(pair.match, references=(rival_op,))}
        matches = self._swapper.exchanged(pair, other) if other else alone
        if matches is None:
            return DECIDED, "one is called more often"
        self.left -= 1
        after = self._swapper.run(matches)
        if after.is_worse(self._before):
            return DECIDED, after.worse(self._before)
        if self.departed or self._before.unlike or self.found.alignment.unplaced:
            return OPEN, ""
        same = not self._before.misplaced or after.gives_the_same(self._before)
        return (INTERCHANGEABLE if same else EITHER), ""

    def _sketch(self, pair: Pair) -> object:
        name = pair.target.name
        return pair.target.signature, self._after.get(name, (name,))[:NEAR], self._glue.get(name, (name,))


def _glue_behind(reading: Reading) -> dict[str, tuple[str, ...]]:
    """Name of an op → the glue that its output goes through first, by its operators."""
    found: dict[str, list[str]] = {}
    for glue in reading.glue.values():
        for read in glue.reads:
            if read in reading.ops:
                numbers = {
                    name: value for name, value in glue.settings.items() if isinstance(value, float | bool | str)
                }
                found.setdefault(read, []).append(f"{glue.operator} {sorted(numbers.items())}")
    return {name: tuple(sorted(operators)) for name, operators in found.items()}


def said(alignment: Alignment, found: Iterable[Guess]) -> None:
    """What came of each choice becomes part of its evidence, and so of the Plan."""
    words = {
        INTERCHANGEABLE: "interchangeable with the other: the function is the same",
        EITHER: "the module may be one part of Keras or the other",
        OPEN: "a guess: the module departs whichever is taken",
        UNTRIED: f"the other way was not tried ({TRIED} exchanges were)",
    }
    for guess in found:
        told = words.get(guess.outcome) or f"the other way {guess.worse}"
        told += f" (as at {guess.like}, in the same structure)" if guess.like else ""
        name = guess.pair.target.name
        alignment.pairs[name] = replace(guess.pair, evidence=f"{guess.pair.evidence}; {told}")
