"""The search: the module is aligned under the ways of feeding it, until its first operations read what Keras' do.

The cheapest evidence comes first: does forward run at all; do the operations that read the inputs read what operations
of the reference read; only then is the module aligned.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import nn

from ..base import Port
from ..errors import TorchgraftError, UnsupportedError, UsageError
from ..fit import Fit
from ..plan import Array
from ..torch_graph import ForwardError, Reading, Rows, State, fed, read
from .align import align, with_zeros
from .arguments import assignments, check_stated, quiet_options, required_arguments, tensor_arguments
from .entries import entries, entry_ops
from .expected import Expected, expected_outputs
from .pairs import Alignment
from .preprocessing import Front, front_values, true_values
from .probe import NARROW, Probe, Spread
from .reference import Reference, without_padding
from .stated import Stated
from .tables import tables_read
from .trials import Trial, trials

#: Ways that are tried with the module; of those how many are aligned before the best stands; and how many where the
#: first operations read nothing of the reference in any way.
TRIED, ALIGNED, LATE = 80, 6, 3


@dataclass(frozen=True)
class Found:
    """The user's module, aligned.

    Attributes:
        reference: the imported module.
        module: the user's.
        trial: how it takes Keras' inputs.
        fronts: what Keras computes in front of its first trained layers.
        inputs: the probe's, so given.
        reading: the module, read on them.
        probe: the reference under the probe.
        alignment: the pairs.
        expected: where each Keras output is expected among the module's.
        contradicted: the way in which more is placed, where the config states another.
    """

    reference: Reference
    module: nn.Module
    trial: Trial
    fronts: tuple[Front, ...]
    inputs: Sequence[torch.Tensor]
    reading: Reading
    probe: Probe
    alignment: Alignment
    expected: tuple[Expected, ...]
    contradicted: Trial | None = None

    @property
    def state(self) -> State:
        """The module's own, with zeros for the biases that Keras has not."""
        return with_zeros(self.module.state_dict(), [op.slots["value"].key for op in self.alignment.zeros])

    @property
    def taken(self) -> tuple[Front, ...]:
        """The values of Keras that the module takes in place of an input."""
        values = {entry.value for entry in self.trial.inputs.values()}
        return tuple(front for front in self.fronts if front.name in values)


def fed_values(reference: Reference, probed: Probe, spread: Spread, fronts: Sequence[Front]) -> dict[str, Array]:
    """All that a module may be fed with under a probe: the inputs, and what stands in front of the first layers."""
    return {**reference.inputs(spread), **front_values(probed, fronts)}


def search(
    module: nn.Module,
    reference: Reference,
    outputs: Sequence[Port],
    fronts: tuple[Front, ...],
    *,
    stated: Fit,
    mapping: Stated,
) -> Found:
    """The first way of feeding under which all is placed by values, else that under which most is.

    Raises:
        UsageError: what is stated names something that there is not.
        MappingError: forward fails however it is fed.
        DifferenceError: forward is not deterministic.
        UnsupportedError: the module cannot be read.
    """
    signature = inspect.signature(module.forward)
    names, layers = [port.name for port in outputs], list(reference.places)
    check_stated(signature, reference.ports, fronts, names, layers=layers, stated=stated)

    def bench_with(reference: Reference) -> _Bench:
        return _Bench(module, reference, outputs, fronts, mapping=mapping, stated=stated)

    bench = bench_with(reference)
    found = _best(bench, signature, stated)
    if found is not None and not found.alignment.is_whole and (shown := without_padding(reference)) is not None:
        seen = _best(bench_with(shown), signature, stated)
        if seen is not None and seen.alignment.score > found.alignment.score:
            found, reference = seen, shown
    numbers = frozenset().union(*(front.variables for front in fronts))
    if numbers and (found is None or _departs(found)):
        plain = _best(bench_with(replace(reference, numbers=numbers)), signature, stated)
        if plain is not None and not _departs(plain):
            return plain
    if stated.inputs and (found is None or not found.alignment.is_whole):
        free = _best(bench, signature, replace(stated, inputs={}))
        if found is None and free is not None:
            lines = Fit(free.trial.inputs).config_lines()
            raise bench.failure(signature, (f"forward runs, and not as `fit.inputs` states, under {'; '.join(lines)}",))
        if found is not None and free is not None and free.alignment.score > found.alignment.score:
            found = replace(found, contradicted=free.trial)
    if found is None:
        raise bench.failure(signature)
    return found


def _best(bench: _Bench, signature: inspect.Signature, stated: Fit) -> Found | None:
    """The first way that leaves nothing to be said against it, else the best; None where forward runs in none."""
    assigned = list(assignments(signature, bench.ports, stated))
    late: list[tuple[int, int, Trial]] = []
    found: list[Found] = []
    settled = False
    for place, way in enumerate(trials(assigned, bench.fronts, stated, quiet_options(signature, stated))[:TRIED]):
        if settled and not _samples_elsewhere(way):
            continue
        right, total = bench.entries(way)
        if right < total:
            late.append((right - total, place, way))
        elif total >= 0 and len(found) < ALIGNED:
            found.append(bench.align(way))
            if found[-1].alignment.is_whole:
                return found[-1]
            settled = settled or (len(bench.ports) == 1 and _reads_right(found[-1]))
    for _, _, way in sorted(late, key=lambda each: (-each[0], each[1]))[: 0 if found else LATE]:
        found.append(bench.align(way))
        if found[-1].alignment.is_whole:
            break
    return max(found, key=lambda each: each.alignment.score, default=None)


def _samples_elsewhere(way: Trial) -> bool:
    """Whether the samples are not the first axis: first operations that act on each step alone cannot tell."""
    layouts = (entry.layout for entry in way.inputs.values())
    return any(layout is not None and layout.partition("->")[2].split()[:1] != ["n"] for layout in layouts)


def _departs(found: Found) -> bool:
    return bool(found.alignment.departures or found.alignment.misplaced)


def _reads_right(found: Found) -> bool:
    """Whether the first operations read what Keras' do, row by row: what is wrong then is not how the module is fed."""
    pairs = [found.alignment.pairs.get(op.name) for op in entry_ops(found.reading)]
    return bool(pairs) and all(pair is not None and pair.by_values and pair.arrangement.rows is None for pair in pairs)


#: A reading of the module, the rows that it reads of its tables.
_Read: TypeAlias = tuple[Reading, Mapping[str, Rows]]


class _Bench:
    """The module and the reference, run as often as the search asks; what depends on shapes alone is done once."""

    def __init__(
        self,
        module: nn.Module,
        reference: Reference,
        outputs: Sequence[Port],
        fronts: tuple[Front, ...],
        *,
        mapping: Stated,
        stated: Fit,
    ) -> None:
        self._module, self._reference, self._outputs = module, reference, outputs
        self._stated = stated
        self.ports, self.fronts = reference.ports, fronts
        self._mapping = mapping
        inputs = reference.inputs(NARROW)
        self._values = {**inputs, **true_values(reference, fronts, inputs)}
        self._state = module.state_dict()
        self._read: dict[object, _Read | TorchgraftError] = {}
        self._probes: dict[int, Probe] = {}

    def entries(self, way: Trial) -> tuple[int, int]:
        """(operations that read inputs as the reference's do, of how many); total -1 where forward fails."""
        inputs = self._tensors(way, self._values)
        read_so = self._reading(way, inputs)
        if isinstance(read_so, TorchgraftError):
            return -1, -1
        reading, rows = read_so
        probe = self._probe(reading, rows)
        values = fed_values(self._reference, probe, NARROW, self.fronts)
        return entries(reading, self._tensors(way, values), self._state, probe)

    def align(self, way: Trial) -> Found:
        read_so = self._reading(way, self._tensors(way, self._values))
        assert not isinstance(read_so, TorchgraftError)
        reading, rows = read_so
        probe = self._probe(reading, rows)
        inputs = self._tensors(way, fed_values(self._reference, probe, NARROW, self.fronts))
        expected = expected_outputs(self._reference, probe, self._outputs, reading.returned, self._stated.outputs)
        alignment = align(self._reference, probe, reading, inputs, self._state, expected=expected, stated=self._mapping)
        return Found(self._reference, self._module, way, self.fronts, inputs, reading, probe, alignment, expected)

    def failure(self, signature: inspect.Signature, details: tuple[str, ...] = ()) -> TorchgraftError:
        """Why forward ran in no way: the first reason, which is that of the likeliest one."""
        failures = [error for error in self._read.values() if isinstance(error, TorchgraftError)]
        if failures and len(tensor_arguments(signature, len(self.ports))) >= len(self.ports):
            failures[0].details = (*failures[0].details, *details)
            others = required_arguments(signature)[len(self.ports) :]
            if others:
                failures[0].fix = f"state what forward takes beside the inputs: `fit: {{options: {{{others[-1]}: …}}}}`"
            return failures[0]
        names = ", ".join(port.name for port in self.ports)
        return ForwardError(
            f"forward{signature} cannot take the Keras inputs {names}",
            where=type(self._module).__name__,
            fix="give forward one argument for each input, or state in `fit.inputs` what each takes",
            details=(
                *(f"given in one argument: {reason}" for reason in dict.fromkeys(map(_reason, failures))),
                *details,
            ),
        )

    def _tensors(self, way: Trial, values: Mapping[str, Array]) -> list[torch.Tensor]:
        try:
            return fed(way.inputs, values)
        except ValueError as error:
            layouts = ", ".join(f"{name}: {entry.layout}" for name, entry in way.inputs.items())
            raise UsageError(
                f"a layout does not fit its value: {str(error).splitlines()[0]}",
                where=f"fit.inputs ({layouts})",
                fix="write the axes of the Keras array, then those of the argument",
            ) from error

    def _reading(self, way: Trial, inputs: Sequence[torch.Tensor]) -> _Read | TorchgraftError:
        inverted = tuple(entry.inverted for entry in way.inputs.values())  # a mask of nothing but padding may give NaN
        key = (way.call.arguments, tuple((tuple(value.shape), value.dtype) for value in inputs), inverted)
        if key not in self._read:
            try:
                reading = read(self._module, inputs, call=way.call)
                self._read[key] = reading, tables_read(self._module, way.call, reading, inputs, self._reference.reading)
            except (ForwardError, UnsupportedError) as error:
                self._read[key] = error
        return self._read[key]

    def _probe(self, reading: Reading, rows: Mapping[str, Rows]) -> Probe:
        if id(reading) not in self._probes:
            self._probes[id(reading)] = self._reference.probed(reading, NARROW, rows)
        return self._probes[id(reading)]


def _reason(error: TorchgraftError) -> str:
    """What was raised, whatever the shapes."""
    return error.what.partition(": ")[2] or error.what
