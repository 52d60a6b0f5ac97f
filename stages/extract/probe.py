"""Probing the reference: every op's output is replaced by random numbers, and what each op then reads is kept.

After that, what an op reads is glue over known random numbers: it tells where the op stands in the graph and in
which order it reads, whatever the weights are. Nothing vanishes or explodes on the way, and no value is there twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from ..torch_graph import PARAMETER, Op, OpCall, Reading, Rows, State, kept
from .fingerprint import NO_MARK, Mark, fingerprint

#: A prime, so that it is not always the same channel.
STRETCHED = 19


@dataclass(frozen=True)
class Spread:
    """From where to where random numbers are drawn, uniformly; one in ``STRETCHED`` is then stretched by ``tail``."""

    low: float
    high: float
    tail: float = 1.0


#: Mostly positive, so that a ReLU leaves enough to tell positions apart; negative often enough for it to be seen.
NARROW = Spread(-0.15, 1.0)
#: Past the knees of the usual activations (ReLU6 at 6, hard_sigmoid at 3): what is one on NARROW need not be one here.
#: The tail is for knees that somebody chose (``ReLU(max_value=10)``, a clamp).
WIDE = Spread(-8.0, 8.0, tail=16.0)


@dataclass(frozen=True)
class ProbedOp:
    """An op of the reference under the probe.

    Attributes:
        op: the op.
        read: its input in canonical form.
        given: the random numbers that stand for its whole output.
        mark: fingerprint of ``read``; empty where they were not asked for.
    """

    op: Op
    read: torch.Tensor
    given: torch.Tensor
    mark: Mark


@dataclass(frozen=True)
class Probe:
    """The reference under the probe.

    Attributes:
        ops: name → ProbedOp, in execution order.
        marks: name of every value → fingerprint; empty where they were not asked for.
        kept: the values asked for, by name.
        outputs: the module's outputs.
        rows: key of the user's module → the rows of that table that it reads, where the reference has none of its size.
    """

    ops: Mapping[str, ProbedOp]
    marks: Mapping[str, Mark]
    kept: dict[str, torch.Tensor]
    outputs: Sequence[torch.Tensor]
    rows: Mapping[str, Rows] = field(default_factory=dict)

    def without_reads(self) -> Probe:
        """What is still asked for once everything has its place: reads are as large as all activations."""
        return replace(self, ops={name: replace(each, read=torch.zeros(0)) for name, each in self.ops.items()})

    def without_ops(self) -> Probe:
        """What is still asked for once everything is confirmed."""
        return replace(self, ops={})

    def mark_of(self, value: torch.Tensor) -> Mark:
        """The fingerprint of a value of the user's module, which may be what an op gives as it is."""
        name = self._given.get(value.data_ptr()) if value.is_contiguous() else None
        if name is not None and self.ops[name].given.numel() == value.numel():
            return self.marks[name]
        return fingerprint(value)

    @cached_property
    def _given(self) -> Mapping[int, str]:
        return {each.given.data_ptr(): name for name, each in self.ops.items() if each.given.numel()}


def random_values(shape: Sequence[int], spread: Spread, seed: int) -> torch.Tensor:
    """Float32 numbers of ``shape``, of the bits of numpy's fastest generator: a probe draws millions."""
    count = math.prod(shape)
    bits = np.random.SFC64(seed).random_raw((count + 1) // 2).view(np.int32)[:count]
    drawn = torch.from_numpy(bits).to(torch.float32).reshape(tuple(shape))
    drawn.mul_((spread.high - spread.low) / 2**32).add_((spread.high + spread.low) / 2)
    drawn.view(-1)[seed % STRETCHED :: STRETCHED] *= spread.tail
    return drawn


def probe(
    reading: Reading,
    inputs: Sequence[torch.Tensor],
    state: State,
    *,
    spread: Spread,
    seed: int,
    keep: frozenset[str],
    constant: frozenset[str],
    identity: Callable[[Op], object],
    marked: bool,
) -> Probe:
    """Run the reference under the probe.

    Args:
        reading: the reference.
        inputs: what it is run on.
        state: its state_dict, for what is left to compute.
        spread: of the random numbers.
        seed: likewise.
        keep: names of values to keep.
        constant: names of ops that hold constants only (a LayerNormalization without scale and center): glue.
        identity: what an op does, weights included; two calls of one identity on one input give one output.
        marked: whether fingerprints are asked for.
    """
    ops: dict[str, ProbedOp] = {}
    alike: dict[object, list[ProbedOp]] = {}
    marks: dict[str, Mark] = {}
    values: dict[str, torch.Tensor] = {}

    def at_op(call: OpCall) -> torch.Tensor:
        if call.op.name in constant:
            return call.compute()
        read = kept(reading, call.op.canonical_input(call.value))
        mark = NO_MARK
        if marked:
            mark = marks[call.op.reads] if read is call.value and call.op.reads in marks else fingerprint(read)
        if call.op.kind == PARAMETER:
            read = torch.zeros(0)
        earlier = alike.setdefault(identity(call.op), [])
        again = next((probed for probed in earlier if torch.equal(probed.read, read)), None)
        whole = call.op.whole_output_shape(call.output_shape)
        given = again.given if again else random_values(whole, spread, seed + 1 + len(ops))
        ops[call.op.name] = ProbedOp(call.op, read, given, mark)
        earlier.append(ops[call.op.name])
        return call.op.finish(given, call.output_shape)

    def watch(name: str, value: torch.Tensor) -> None:
        if marked:
            marks[name] = fingerprint(value)
        if name in keep:
            values[name] = kept(reading, value)

    return Probe(ops, marks, values, reading.run(inputs, state, at_op, watch))
