"""Keras preprocesses its input in front of its first trained layer, and the module takes it preprocessed.

1. What Keras does is the same line for every element of a channel: (x - mean) / std, channels perhaps in another order.
2. It is something else: the Keras layer is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ...base import Finding
from ...plan import Array
from .context import Context

#: Relative: float32 rounding of x / 255 and the like.
STRAIGHT = 1e-4


def preprocessing(context: Context) -> Iterable[Finding]:
    """A note for each such argument: whoever runs the module must do it first."""
    for argument, entry in context.found.trial.inputs.items():
        front = next((front for front in context.found.taken if front.name == entry.value), None)
        if front is None:
            continue
        formula = as_line(*context.before_and_after(front)) or f"what Keras does up to its layer {front.name}"
        yield Finding(
            severity="note",
            place=f"input {argument}",
            layer=front.name,
            cause=f"your module expects preprocessed inputs: it takes what Keras layer {front.name} gives",
            fix=f"apply {formula} to {front.input} before you call the module",
        )


def as_line(before: Array, after: Array) -> str:
    """``after`` as a formula of ``before``, both (n, …, c): each channel a straight line of one; "" where it is none.

    Example: "(x - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]", "x[..., [2, 1, 0]] / 255".
    """
    if before.ndim != after.ndim or before.shape[:-1] != after.shape[:-1]:
        return ""
    sources = [_source(before, after[..., channel], channel) for channel in range(after.shape[-1])]
    told = [source for source in sources if source is not None]
    if len(told) < len(sources):
        return ""
    order, slopes, starts = ([source[position] for source in told] for position in range(3))
    x = "x" if order == list(range(before.shape[-1])) else f"x[..., {[int(each) for each in order]}]"
    means = [-start / slope for slope, start in zip(slopes, starts, strict=True)]
    scales = [1 / slope for slope in slopes]
    shifted = x if not any(abs(mean) > STRAIGHT * abs(scale) for mean, scale in zip(means, scales, strict=True)) else ""
    shifted = shifted or f"({x} - {_numbers(means)})"
    return shifted if all(abs(scale - 1) < STRAIGHT for scale in scales) else f"{shifted} / {_numbers(scales)}"


def _source(before: Array, channel: Array, own: int) -> tuple[int, float, float] | None:
    """(channel of ``before``, slope, start) of the straight line that ``channel`` is; its own channel first."""
    for candidate in sorted(range(before.shape[-1]), key=lambda position: position != own):
        x, y = before[..., candidate].astype(np.float64).ravel(), channel.astype(np.float64).ravel()
        spread = float(np.ptp(x))
        if spread == 0 or float(np.ptp(y)) == 0:
            continue
        slope, start = np.polyfit(x, y, 1)
        if np.abs(slope * x + start - y).max() <= STRAIGHT * np.ptp(y):
            return candidate, float(slope), float(start)
    return None


def _numbers(values: Sequence[float]) -> str:
    written = [f"{value:.5g}" for value in values]
    return written[0] if len(set(written)) == 1 else f"[{', '.join(written)}]"
