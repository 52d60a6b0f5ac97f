"""Whether taking choices back can change which numbers an op reads.

A probe's ops give random numbers; an order of features, or equal ops exchanged, put the same numbers elsewhere. Where
only glue that treats every channel alike stands between these ops and one that does not fit, what it reads are the same
numbers whatever is chosen: if the reference reads other numbers there, the module departs from it, and trials are vain.

1. Orders: no glue on the way mixes channels (activations, sums, concatenations, pooling, padding).
2. Equal ops exchanged: besides, every one of these ops comes by the same glue, and the reference's op behind the same
   ones has, on its side, the glue of every other that is left (else the op may be one of these, behind others).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from ..torch_graph import CONVOLUTIONS, MOVEMENTS, Op, Reading
from .arrange import as_rows, close
from .pairs import Match
from .probe import ProbedOp

#: Glue that computes each element from the elements at its place in what it reads.
_ELEMENTWISE = (
    *("relu", "relu6", "silu", "gelu", "sigmoid", "tanh", "hardtanh", "hardswish", "hardsigmoid", "leaky_relu", "elu"),
    *("selu", "celu", "softplus", "mish", "log_sigmoid", "clamp", "clamp_min", "clamp_max", "abs", "neg", "exp", "log"),
    *("sqrt", "rsqrt", "square", "reciprocal", "erf", "add", "sub", "rsub", "mul", "div", "pow", "maximum", "minimum"),
)
#: Glue that looks at neighbours within a channel, which has to stand where torch expects it.
_WINDOWS = (
    *(f"{kind}_pool{rank}d" for kind in ("max", "avg", "adaptive_avg", "adaptive_max") for rank in (1, 2, 3)),
    *("pad", "constant_pad_nd", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
)
_JOINING = ("cat", "concat", "concatenate")

#: What is done to a number, one after the other: (operator, settings).
Steps: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Way:
    """How numbers come to an op.

    Attributes:
        sources: names of the ops that gave them.
        steps: what is done to all of them; None where it is not the same for each.
        moved: whether they may stand in another layout than their ops gave them in.
    """

    sources: frozenset[str]
    steps: Steps | None
    moved: bool = False


def way_to(reading: Reading, op: Op) -> Way | None:
    """None where something on the way may mix channels, or takes an input of the module or a parameter."""
    return _way(reading, op.reads, {})


def _way(reading: Reading, name: str, known: dict[str, Way | None]) -> Way | None:
    if name not in known:
        known[name] = Way(frozenset({name}), ()) if name in reading.ops else _way_of_glue(reading, name, known)
    return known[name]


def _way_of_glue(reading: Reading, name: str, known: dict[str, Way | None]) -> Way | None:
    glue = reading.glue.get(name)
    if glue is None or glue.parameters or not glue.reads:
        return None
    found = [_way(reading, read, known) for read in glue.reads]
    ways = [way for way in found if way is not None]
    moved = any(way.moved for way in ways)
    window, joins = glue.operator in _WINDOWS, glue.operator in _JOINING
    if len(ways) < len(found) or (window and moved):
        return None
    if not (window or joins or glue.operator in _ELEMENTWISE or glue.operator in MOVEMENTS):
        return None
    same = len({way.steps for way in ways}) == 1 and (joins or len(ways) == 1)
    steps = ways[0].steps if same else None
    if steps is not None and (window or glue.operator in _ELEMENTWISE):
        steps = (*steps, (glue.operator, _written(glue.settings)))
    sources = frozenset[str]().union(*(way.sources for way in ways))
    return Way(sources, steps, moved or glue.operator in MOVEMENTS)


def _written(settings: Mapping[str, Any]) -> str:
    """Equal for equal settings, though ONNX keeps floats as float32."""
    return repr(
        sorted((name, f"{value:.6g}" if isinstance(value, float) else value) for name, value in settings.items())
    )


@dataclass(frozen=True)
class Futile:
    """Which choices change nothing: the orders of features, the exchanges of equal ops."""

    orders: bool = False
    exchanges: bool = False


def futile(
    op: Op,
    placed: Mapping[str, Match],
    target: Reading,
    reference: Reading,
    left: Iterable[Op],
) -> Futile:
    """For an ``op`` of ``target`` that reads numbers which no op of the reference reads.

    Args:
        op: it.
        placed: what the ops before it are.
        target: the user's module.
        reference: the imported one.
        left: the ops of the reference that it may be, and that nothing else is.
    """
    ours = way_to(target, op)
    if ours is None:
        return Futile()
    matches = [placed.get(name) for name in ours.sources]
    if not all(match is not None and _is_plain(match) for match in matches):
        return Futile()
    sources = {match.references[0].name for match in matches if match is not None}
    ways = [(each, way_to(reference, each)) for each in left]
    counterpart = next(((each, way) for each, way in ways if way is not None and way.sources == sources), None)
    if counterpart is None:
        return Futile()
    found, theirs = counterpart
    others = [way for each, way in ways if each.name not in _behind(reference, found)]
    alike = theirs.steps is not None and all(way is not None and way.steps == theirs.steps for way in others)
    return Futile(orders=True, exchanges=ours.steps is not None and alike)


def is_shifted(op: Op, read: torch.Tensor, other: ProbedOp) -> bool:
    """Whether a convolution reads each feature of ``other`` in its place, at other positions: padded elsewhere."""
    if op.kind not in CONVOLUTIONS:
        return False
    ours, theirs = as_rows(op, read).double().sum(0), as_rows(other.op, other.read).double().sum(0)
    return close(ours, theirs)


def _is_plain(match: Match) -> bool:
    """Whether it gives what one op of the reference gives, as that gives it."""
    return match.is_plain and not match.further and match.arrangement.features is None


def _behind(reference: Reading, op: Op) -> set[str]:
    """The ops that come after ``op``: what is one of them has ``op`` placed before it."""
    found: set[str] = set()
    for name, each in reference.ops.items():
        if each.sources & found or op.name in each.sources:
            found.add(name)
    return found
