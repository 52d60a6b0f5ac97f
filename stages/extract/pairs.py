"""Pairs: an op of the user's module with what it is of the reference, and what it therefore gives under the probe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from ..plan import Shape
from ..torch_graph import PARAMETER, AtOp, Op, OpCall
from .arrange import Arrangement, as_rows, close, follows
from .orders import Order
from .probe import Probe, Spread, random_values

AS_IT_IS = Arrangement()


#: So many calls of one layer may be one call on all their samples.
TOGETHER = (2, 3, 4)


@dataclass(frozen=True)
class Match:
    """What an op of the user's module is of the reference.

    Attributes:
        references: the ops whose outputs it gives one after the other (q, k and v of a fused projection); mostly one.
        arrangement: how its input is made from theirs.
        order: of the features that they give, where it is another.
        part: from which to which of these features it gives, where it gives not all (q of a fused projection).
        sums: whether it reads their inputs one after the other instead, and gives the sum of their outputs.
        section: from which to which of the features that its reference reads it reads, where it reads not all: it gives
            one term of a sum, of which the others read the rest (``wx(x) + wh(h)`` for a Dense over ``[x, h]``).
        further: later calls of the same Keras layer that it makes in one: their samples stand behind those of the first
            (an encoder called once on ``cat([a, b])``), or beside them (``stack([a, b], 1)``).
        axis: along which they stand.
    """

    references: tuple[Op, ...]
    arrangement: Arrangement = AS_IT_IS
    order: Order | None = None
    part: tuple[int, int] | None = None
    sums: bool = False
    section: tuple[int, int] | None = None
    further: tuple[Op, ...] = ()
    axis: int = 0

    @property
    def is_plain(self) -> bool:
        return len(self.references) == 1 and self.order is None and self.part is None

    @property
    def is_one_whole_call(self) -> bool:
        """Whether it stands for all of one call of its references, and for no more."""
        return self.part is None and self.section is None and not self.further

    @property
    def calls(self) -> tuple[Match, ...]:
        """One match for each call of the Keras layer that it makes at once; itself where it is one."""
        first = replace(self, further=())
        return (first, *(replace(first, references=(each,)) for each in self.further))

    def split(self, value: torch.Tensor) -> list[torch.Tensor]:
        """The samples of each call."""
        count = 1 + len(self.further)
        return list(value.unbind(1)) if self.axis else list(value.chunk(count, 0))

    def describe(self) -> str:
        """What is unusual about it, for evidence."""
        words = []
        if len(self.references) > 1:
            words.append(f"{'the sum' if self.sums else 'the outputs'} of {len(self.references)} calls joined")
        if self.further:
            words.append(f"{1 + len(self.further)} calls of it at once")
        if self.order is not None:
            words.append(f"its features in another order, {self.order}")
        if self.arrangement.held is not None:
            words.append("rows {}:{} of it hold all of Keras'".format(*self.arrangement.held))
        if self.section is not None:
            words.append("a term of it, over features {}:{} of what it reads".format(*self.section))
        if self.part is not None:
            words.append(f"features {self.part[0]}:{self.part[1]} of them")
        return ", ".join(words)


@dataclass(frozen=True)
class Pair:
    """An op of the user's module and its counterpart.

    Attributes:
        target: the op.
        match: its counterpart.
        by_values: whether their inputs hold the same values; if not, the module departs before this op.
        evidence: a sentence.
        rivals: names of the reference ops that fitted as well, where nothing but a name or an order decided.
        decided_by: "values", "structure", "names" or "hint": the strongest of what the choice rests on.
        equals: names of all ops of the reference that read what this one reads.
    """

    target: Op
    match: Match
    by_values: bool
    evidence: str
    rivals: tuple[str, ...] = ()
    decided_by: str = "values"
    equals: tuple[str, ...] = ()

    @property
    def reference(self) -> Op:
        """The first, and mostly the only, op that it is."""
        return self.match.references[0]

    @property
    def arrangement(self) -> Arrangement:
        return self.match.arrangement


@dataclass
class Alignment:
    """What one run of the user's module gave.

    Attributes:
        pairs: name of the target op → Pair, in execution order.
        unplaced: target ops without a counterpart.
        own: target ops that keep the module's own values, as is stated.
        zeros: biases that Keras has not; as zeros they change nothing, and what follows reads what Keras' reads.
        marks: name of every value of the target → fingerprint.
        outputs: the module's outputs under the probe.
        misplaced: how many outputs are not at the place where they are expected.
    """

    pairs: dict[str, Pair] = field(default_factory=dict)
    unplaced: list[Op] = field(default_factory=list)
    own: list[Op] = field(default_factory=list)
    zeros: list[Op] = field(default_factory=list)
    marks: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    outputs: Sequence[torch.Tensor] = ()
    misplaced: int = 0

    @property
    def score(self) -> int:
        """How many ops were placed by values, or at all, less outputs that are not where they belong."""
        return sum(2 if pair.by_values else 1 for pair in self.pairs.values()) - self.misplaced

    @property
    def is_whole(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.departures and not self.unplaced and not self.misplaced

    @property
    def departures(self) -> list[Pair]:
        return [pair for pair in self.pairs.values() if not pair.by_values]

    def replay(self, reference: Probe) -> AtOp:
        """What gives each op the output that it had in the run that made this."""

        def at_op(call: OpCall) -> torch.Tensor:
            pair = self.pairs.get(call.op.name)
            return call.compute() if pair is None else given(call.op, pair.match, reference, call.output_shape)

        return at_op


def ways_together(read: torch.Tensor) -> list[tuple[int, Sequence[torch.Tensor]]]:
    """(axis, parts): how the samples of several calls may stand in one value, one after the other or side by side.

    The steps of a recurrent layer, whose inputs are multiplied in front of its loop, are as many as there are:
    (N, T, F) or (T, N, F).
    """
    if read.dim() < 2:
        return []
    steps = read.shape[0] if read.dim() > 2 else 1
    counts = dict.fromkeys((*(count for count in TOGETHER if read.shape[0] % count == 0), steps))
    ways: list[tuple[int, Sequence[torch.Tensor]]] = [(0, read.chunk(count)) for count in counts if count > 1]
    if read.dim() > 2 and read.shape[1] > 1:
        ways.append((1, read.unbind(1)))
    return ways


def reads_as(op: Op, match: Match, read: torch.Tensor, reference: Probe) -> bool:
    """Whether ``op``, reading ``read``, reads what ``match`` says."""
    if op.kind == PARAMETER:
        return True
    if match.further:
        parts = match.split(read)
        calls = match.calls
        return len(parts) == len(calls) and all(
            map(reads_as, [op] * len(calls), calls, parts, [reference] * len(calls))
        )
    theirs = [reference.ops[each.name].read for each in match.references]
    if match.section is not None:
        section = as_rows(match.references[0], theirs[0])[:, slice(*match.section)]
        order = match.arrangement.features
        return close(as_rows(op, read), section if order is None else section[:, torch.from_numpy(order)])
    if not match.sums:
        return all(
            follows(match.arrangement, op, read, each, value)
            for each, value in zip(match.references, theirs, strict=True)
        )
    rows = [as_rows(each, value) for each, value in zip(match.references, theirs, strict=True)]
    joined = torch.cat(rows, 1)
    ours = as_rows(op, read)
    return ours.shape == joined.shape and torch.allclose(ours, joined, atol=1e-5 * float(joined.abs().max()) + 1e-30)


def given(op: Op, match: Match, reference: Probe, shape: Shape) -> torch.Tensor:
    """The reference's random numbers as the target op gives them, in ``shape``.

    Example: a linear over (N·T, F) in the reference and over (N, T, F) in the target: (N·T, G) → (N, T, G).
    """
    calls = match.calls
    if len(calls) == 1:
        return _given(op, match, reference, shape)
    if match.axis:
        return torch.stack([_given(op, each, reference, (shape[0], *shape[2:])) for each in calls], 1)
    return torch.cat([_given(op, each, reference, (shape[0] // len(calls), *shape[1:])) for each in calls])


def _given(op: Op, match: Match, reference: Probe, shape: Shape) -> torch.Tensor:
    """What one call gives."""
    found, first = match.arrangement, match.references[0]
    value = reference.ops[first.name].given
    if op.kind == PARAMETER:
        bare = value.reshape(first.slots["value"].shape)
        if found.held is not None:
            return _among_others(bare, op.slots["value"].shape, found.held).reshape(shape)
        return (bare if found.axes is None else bare.permute(found.axes)).reshape(shape)
    if found.axes is not None:
        # An embedding gives one axis more than the ids that it reads.
        return value.permute(*found.axes, *range(len(found.axes), value.dim())).reshape(shape)
    whole = op.whole_output_shape(shape)
    if op.feature_axis is None or first.feature_axis is None or not _turns(op, match, value, whole):
        return op.finish(_refitted(value, whole), shape)
    rows = _rows(match, reference)
    if found.rows is not None:
        rows = rows[torch.from_numpy(found.rows)]
    if found.features is not None and op.keeps_order:
        rows = rows[:, torch.from_numpy(found.features)]
    if match.order is not None and match.order.fits(rows.shape[1]):
        rows = rows[:, torch.from_numpy(match.order.index(rows.shape[1]))]
    if match.part is not None:
        rows = rows[:, slice(*match.part)]
    axis = op.feature_axis % len(whole)
    lead = [size for position, size in enumerate(whole) if position != axis]
    if rows.shape[0] != math.prod(lead) or rows.shape[1] != whole[axis]:
        return op.finish(_refitted(value, whole), shape)
    return op.finish(rows.reshape(*lead, rows.shape[1]).movedim(-1, axis).contiguous(), shape)


def _among_others(rows: torch.Tensor, shape: Shape, held: tuple[int, int]) -> torch.Tensor:
    """A table that holds ``rows``; the others are numbers that show wherever they are read."""
    table = random_values(shape, Spread(2.0, 3.0), math.prod(shape))
    table[slice(*held)] = rows
    return table


def _rows(match: Match, reference: Probe) -> torch.Tensor:
    """(rows, features) that the references give together."""
    rows = [as_rows(each, reference.ops[each.name].given) for each in match.references]
    if match.section is not None:
        width = match.references[0].slots["weight"].shape[1 - match.references[0].output_axis]
        return _up_to(match.section[1], width, rows[0]) - _up_to(match.section[0], width, rows[0])
    if len(rows) == 1:
        return rows[0]
    return torch.stack(rows).sum(0) if match.sums else torch.cat(rows, 1)


def _up_to(end: int, width: int, whole: torch.Tensor) -> torch.Tensor:
    """Numbers that stand for the sum over the first ``end`` of ``width`` features: all terms add up to ``whole``."""
    if end in (0, width):
        return whole if end else torch.zeros_like(whole)
    return whole.flatten().roll(end).reshape(whole.shape)


def _turns(op: Op, match: Match, value: torch.Tensor, whole: Shape) -> bool:
    """Whether the output must be laid out anew: another order, or features on another axis (Linear for 1×1 Conv)."""
    if not match.arrangement.is_identity or not match.is_plain or match.section is not None:
        return True
    assert op.feature_axis is not None
    theirs = match.references[0].feature_axis
    assert theirs is not None
    same_axis = op.feature_axis % len(whole) == theirs % value.dim()
    fits = value.numel() == math.prod(whole)
    return fits and not (same_axis and tuple(value.shape) == tuple(whole))


def _refitted(value: torch.Tensor, shape: Shape) -> torch.Tensor:
    """``value`` in ``shape``; where the module departs (another stride) and it does not fit, cut or repeated to fit."""
    if value.numel() == math.prod(shape):
        return value.reshape(shape)
    if value.dim() > len(shape):
        return value.flatten()[torch.arange(math.prod(shape)) % value.numel()].reshape(shape)
    value = value.reshape((1,) * (len(shape) - value.dim()) + tuple(value.shape))
    for axis, size in enumerate(shape):
        value = value.index_select(axis, torch.arange(size) % value.shape[axis])
    return value
