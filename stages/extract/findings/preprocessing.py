"""One side preprocesses its input, and the other does not, or not so.

1. Keras does in front of its first trained layer, and the module takes it preprocessed: a note, with what to do first.
2. The module does, and Keras does not: an error, with what it does.

What is done is told as a line for each channel, (x - mean) / std, channels perhaps in another order; else by its layer
or its operators.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ...base import Finding
from ...plan import Array
from ...torch_graph import Reading
from ..fingerprint import matching
from .context import Context

#: Operations with a plain number.
PLAIN = ("add", "sub", "rsub", "mul", "div", "neg")
#: Relative: float32 rounding of x / 255 and the like.
STRAIGHT = 1e-4


def preprocessing(context: Context) -> Iterable[Finding]:
    """A finding for each argument that is preprocessed on one side alone."""
    yield from _by_keras(context)
    if context.alignment.departures:
        yield from _by_module(context)


def _by_keras(context: Context) -> Iterable[Finding]:
    """Case 1."""
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


def _by_module(context: Context) -> Iterable[Finding]:
    """Case 2: what the module does to an argument with plain numbers, and no value of Keras is."""
    reading, table = context.found.reading, list(context.found.probe.marks.values())
    names = [name for name, place in reading.places.items() if place.startswith("input ")]
    for name, (argument, entry), given in zip(
        names, context.found.trial.inputs.items(), context.found.inputs, strict=False
    ):
        done = _plain_steps(reading, name)
        if not done or not given.is_floating_point() or matching(context.alignment.marks[done[-1]], table):
            continue
        operators = " then ".join(reading.glue[step].operator for step in done)
        before, after = (channels_last(value.numpy(), entry.layout) for value in (given, _value(context, done[-1])))
        yield Finding(
            severity="error",
            place=f"input {argument}",
            layer=entry.value or "",
            cause=f"the module preprocesses its input: {as_line(before, after) or operators}; Keras does not do that",
            fix="leave it out of forward, or do it in front of the module",
        )


def _plain_steps(reading: Reading, name: str) -> list[str]:
    """The glue that takes the value ``name``, and nothing else of the module's, from step to step."""
    found: list[str] = []
    while True:
        readers = [step for step, glue in reading.glue.items() if name in glue.reads]
        readers += [op.name for op in reading.ops.values() if op.reads == name]
        if len(readers) != 1 or readers[0] not in reading.glue or reading.glue[readers[0]].operator not in PLAIN:
            return found
        name = readers[0]
        found.append(name)


def _value(context: Context, name: str) -> torch.Tensor:
    """A value of the module's on the first probe."""
    kept: list[torch.Tensor] = []

    def watch(made: str, value: torch.Tensor) -> None:
        if made == name:
            kept.append(value.clone())

    context.found.reading.run(context.found.inputs, context.found.module.state_dict(), watch=watch)
    return kept[0]


def channels_last(value: Array, layout: str | None) -> Array:
    """A value in the layout of an argument, its channels last."""
    target = (layout or "").partition("->")[2].split()
    return np.moveaxis(value, target.index("c"), -1) if "c" in target and len(target) == value.ndim else value


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
