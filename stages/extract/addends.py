"""Biases that stand with another addend of the sum than in Keras: ``x @ w + (h @ r + b)``, not ``(x @ w + b) + h @ r``.

1. A linear operation or a convolution has a bias, its Keras layer has none;
2. another has none, its Keras layer has one;
3. the module does nothing with what either gives but add them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..torch_graph import Reading
from .absorb import BIASED, readers_of
from .pairs import Alignment, Pair


def exchanged_biases(alignment: Alignment, module: Reading) -> dict[str, Pair]:
    """Name of an op of the module → the pair whose Keras bias it holds."""
    lacking: dict[str, list[Pair]] = {}
    spare: dict[str, list[Pair]] = {}
    readers = readers_of(module)
    for pair in alignment.pairs.values():
        has = "bias" in pair.target.slots
        if pair.target.kind in BIASED and has != _has_bias(pair):
            sum_ = _sum_of(pair.target.name, module, readers)
            if sum_ is not None:
                (spare if has else lacking).setdefault(sum_, []).append(pair)
    return {
        ours[0].target.name: lacking[sum_][0]
        for sum_, ours in spare.items()
        if len(ours) == len(lacking.get(sum_, ())) == 1
    }


def _has_bias(pair: Pair) -> bool:
    return any("bias" in each.slots for each in pair.match.references)


def _sum_of(name: str, reading: Reading, readers: Mapping[str, Iterable[str]]) -> str | None:
    """The sum that alone is made of a value, however many addends it has; None where there is none."""
    found = None
    while len(behind := list(readers.get(name, ()))) == 1 and behind[0] in reading.glue:
        glue = reading.glue[behind[0]]
        if glue.operator != "add" or len(glue.reads) != 2:
            break
        found = name = behind[0]
    return found
