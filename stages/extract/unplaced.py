"""The table that a MappingError shows: what has no counterpart on either side, and what comes nearest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..plan import LeftOver, Shape
from .pairs import Alignment, Pair


def table(
    missing: Sequence[str],
    shapes: Mapping[str, Shape],
    lost: Sequence[LeftOver],
    faults: Sequence[str],
    alignment: Alignment,
) -> tuple[str, ...]:
    """One line for each key without a variable and each variable without a key, with the nearest of the other side."""
    lines = list(faults)
    if missing:
        lines.append("keys without a Keras variable:")
        free = {left.name: left.shape for left in lost}
        lines += [f"  {key} {shapes[key]}: nearest {_nearest(shapes[key], free)}" for key in missing]
    if lost:
        lines.append("Keras variables without a key:")
        free = {key: shapes[key] for key in missing}
        lines += [f"  {left.name} {left.shape}: {left.reason}; nearest {_nearest(left.shape, free)}" for left in lost]
    if alignment.unplaced:
        lines.append("calls in the module without a counterpart in Keras:")
        lines += [f"  {op.place or op.name} ({op.kind})" for op in alignment.unplaced]
    return tuple(lines)


def held_in_part(alignment: Alignment) -> Iterator[str]:
    """What parts and terms leave of a call that nobody has whole."""
    found: dict[str, list[Pair]] = {}
    for pair in alignment.pairs.values():
        if pair.match.part is not None or pair.match.section is not None:
            found.setdefault(pair.reference.name, []).append(pair)
    for pairs in found.values():
        first = pairs[0].reference
        held = sum(math.prod(each.target.slots["weight"].shape) for each in pairs)
        whole = math.prod(first.slots["weight"].shape)
        if held < whole:
            places = ", ".join(dict.fromkeys(pair.target.place or pair.target.name for pair in pairs))
            yield f"{places}: {pairs[0].evidence}; no call has the rest of it"


def own_line(missing: Sequence[str], keys: Iterable[str]) -> str:
    """What to state where the missing keys are layers of the module's own: modules of which every weight is missing."""
    lacking = {*missing, *(key for key in keys if key.endswith("num_batches_tracked"))}
    patterns = []
    for key in missing:
        parts = key.split(".")
        for depth in range(1, len(parts)):
            path = ".".join(parts[:depth])
            if all(other in lacking for other in keys if other.startswith(f"{path}.")):
                patterns.append(f"{path}.*")
                break
        else:
            patterns.append(key)
    named = ", ".join(f'"{pattern}"' for pattern in dict.fromkeys(patterns))
    return f"; where these are layers of your own that Keras has not: `allow_unmatched: [{named}]`" if named else ""


#: What keys are called that torch.nn.utils computes a weight from.
_SOURCES = ("weight_orig", "weight_g", "weight_v")


def recomputed_line(missing: Iterable[str]) -> str:
    """What to do where a module computes its weight from other parameters: Keras has the one that it computes with."""
    paths = [
        key.partition(".parametrizations.")[0] if ".parametrizations." in key else key.rpartition(".")[0]
        for key in missing
        if ".parametrizations." in key or key.rpartition(".")[2] in _SOURCES
    ]
    named = ", ".join(dict.fromkeys(paths))
    remedy = (
        "remove_parametrizations (torch.nn.utils.parametrize), or remove_spectral_norm, remove_weight_norm "
        "(torch.nn.utils), before you convert: Keras has the weight that is computed with"
    )
    return f"; {named} computes its weight from others (spectral_norm, weight_norm): call {remedy}" if named else ""


def _nearest(shape: Shape, candidates: Mapping[str, Shape], count: int = 3) -> str:
    """The candidates nearest in shape: same extents in any order, then size, then rank."""

    def distance(other: Shape) -> tuple[int, float, int]:
        ratio = abs(math.log((math.prod(shape) or 1) / (math.prod(other) or 1)))
        return (0 if sorted(shape) == sorted(other) else 1, ratio, abs(len(shape) - len(other)))

    ranked = sorted(candidates, key=lambda name: distance(candidates[name]))[:count]
    return ", ".join(f"{name} {candidates[name]}" for name in ranked) or "none is left"
