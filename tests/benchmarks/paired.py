"""The ratio of two ways to compute the same, with the interval in which it lies.

Two runs of the very same session differ by a percent (other work on the machine, the processor's clock), and so do
the best runs of two sessions of the very same graph (where their weights came to lie in memory). So both sides are
made anew each round, the one and then the other first, and within a round they run in turn, pinned to one core. A
round's ratio is the median over its pairs of runs.

The ratio is the median over the rounds. Its interval is that of the sign test, which is exact whatever the noise looks
like: from the k-th smallest round to the k-th largest; that the true one is outside has a chance of less than 1 in 100.
"""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

Run: TypeAlias = Callable[[], Any]
CHANCE = 0.01
#: Half the width of an interval from which anything can be said.
PRECISION = 0.02


@dataclass(frozen=True)
class Ratio:
    """Ours over theirs.

    Attributes:
        seconds: of the processor, median of a run: ours, theirs.
        rounds: the ratio of each round, in order of size.
    """

    seconds: tuple[float, float]
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def interval(self) -> tuple[float, float]:
        count = len(self.rounds)
        outside, chance = 0, 2 * 0.5**count
        assert chance <= CHANCE, f"{count} rounds are too few to tell anything"
        while chance <= CHANCE:
            outside += 1
            chance += 2 * math.comb(count, outside) * 0.5**count
        return self.rounds[outside - 1], self.rounds[-outside]

    def verdict(self, limit: float) -> str:
        """ "beyond" where the whole interval is above the limit, "undecided" where it is on both sides and wide."""
        low, high = self.interval
        if low > limit:
            return "beyond"
        return "undecided" if high > limit and (high - low) / 2 > PRECISION else "within"


def ratio_of(ours: Callable[[], Run], theirs: Callable[[], Run], rounds: int, repeats: int) -> Ratio:
    """Measure what the two make, ``repeats`` pairs of runs a round."""
    pairs: list[tuple[float, float]] = []
    ratios = []
    with _on_one_core():
        for number in range(rounds):
            found = _pairs(ours, theirs, repeats) if number % 2 else _turned(_pairs(theirs, ours, repeats))
            ratios.append(statistics.median(mine / other for mine, other in found))
            pairs += found
    mine, others = zip(*pairs, strict=True)
    return Ratio((statistics.median(mine), statistics.median(others)), tuple(sorted(ratios)))


def _pairs(first: Callable[[], Run], second: Callable[[], Run], repeats: int) -> list[tuple[float, float]]:
    """Seconds that a run of each takes, in turn; the first pair of runs does not count."""
    one, other = first(), second()
    found = []
    for number in range(repeats + 1):
        if number % 2:
            found.append((_seconds(one), _seconds(other)))
        else:
            found += _turned([(_seconds(other), _seconds(one))])
    del one, other
    gc.collect()  # a session of ONNX Runtime is in a cycle
    return found[1:]


def _turned(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(second, first) for first, second in pairs]


def _seconds(run: Run) -> float:
    """Of the processor."""
    start = time.process_time()
    run()
    return time.process_time() - start


@contextmanager
def _on_one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
