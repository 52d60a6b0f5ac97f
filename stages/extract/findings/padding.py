"""A convolution reads, or a transposed one gives, something else at the edges.

1. The module pads by other amounts than Keras: inside the convolution, by F.pad before it, or both.
2. It pads with something else than zeros (``padding_mode``).
3. A transposed convolution cuts off other edges.
"""

from __future__ import annotations

from typing import Any

from ...base import Finding
from ...torch_graph import CONVOLUTIONS, TRANSPOSED, Glue
from .departed import Departed


def padding(departed: Departed) -> Finding | None:
    """The line that pads as Keras does; None where the departure is none at the edges."""
    return _read(departed) or _given(departed)


def _read(departed: Departed) -> Finding | None:
    """Cases 1 and 2."""
    ours, theirs = departed.pair.target, departed.pair.reference
    own = departed.glue
    if ours.kind not in CONVOLUTIONS or not departed.handed:
        return None
    if own is not None and (own.operator != "pad" or departed.start != ours.reads):
        return None
    between = departed.between(theirs.reads)
    if [departed.theirs[name].operator for name in between] not in ([], ["pad"]):
        return None
    wanted = _whole(theirs.hyper["padding"], departed.theirs[between[0]] if between else None)
    have = _whole(ours.hyper["padding"], own)
    mode = str((own.settings if own else {}).get("mode", ours.hyper.get("padding_mode", "constant")))
    place = ours.place or ours.name
    if mode != "constant" and have == wanted:
        cause = f"it pads by padding_mode={mode!r}, Keras with zeros"
        return departed.finding(cause, 'pass padding_mode="zeros"', place=place)
    how = "" if mode == "constant" else f" in mode {mode!r}"
    cause = f"it pads by {_pairs(have)}{how}, Keras by {_pairs(wanted)} with zeros (before and after, axis by axis)"
    if all(before == after for before, after in _pairs(wanted)):
        fix = f"pass padding={tuple(before for before, _ in _pairs(wanted))}"
        return departed.finding(f"{cause}", f"{fix}, and pad nowhere else" if own else fix, place=place)
    instead = " in place of what pads now" if own else ""
    return departed.finding(cause, f"pad by F.pad(x, {wanted}) before it{instead}, and pass padding=0", place=place)


def _given(departed: Departed) -> Finding | None:
    """Case 3: the value that departs is what a transposed convolution gives."""
    names = (departed.start, *(departed.glue.reads if departed.glue else ()))
    pairs = departed.context.alignment.pairs
    for pair in (pairs[name] for name in names if name in pairs):
        ours, theirs = (op.hyper.get("padding") for op in (pair.target, pair.reference))
        if pair.target.kind in TRANSPOSED and ours is not None and theirs is not None and tuple(ours) != tuple(theirs):
            place = pair.target.place or pair.target.name
            cause = f"{place}.padding is {tuple(ours)}, Keras cuts {tuple(theirs)} off every side"
            return departed.finding(
                cause,
                f"pass padding={tuple(theirs)}",
                place=place,
                layer=departed.context.reference.layer_of(pair.reference),
            )
    return None


def _whole(own: Any, pad: Glue | None) -> tuple[int, ...]:
    """All that is padded, as ``torch.nn.functional.pad`` takes it: last axis first."""
    inside = [side for sides in reversed(own) for side in sides]
    before = list(pad.settings.get("pad", ())) if pad else []
    length = max(len(inside), len(before))
    padded = [(each + [0] * length)[:length] for each in (inside, before)]
    return tuple(a + b for a, b in zip(*padded, strict=True))


def _pairs(pads: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """((before, after), …) axis by axis, first axis first."""
    return tuple((pads[i], pads[i + 1]) for i in range(len(pads) - 2, -1, -2))
