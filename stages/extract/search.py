"""The search: the module is aligned under the ways of feeding it, until its first operations read what Keras' do.

The cheapest evidence comes first: does forward run at all; do the operations that read the inputs read what operations
of the reference read; only then is the module aligned.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..base import Port
from ..errors import UsageError
from ..fit import Fit
from ..plan import Array
from ..torch_graph import ForwardError, Reading, adapted, fed, read, working_copy
from .align import Alignment, align
from .arguments import assignments, check_stated, quiet_options
from .entries import entries, entry_ops
from .expected import Expected, expected_outputs
from .forward import places_of
from .preprocessing import Front, front_values
from .probe import NARROW, Probe, Spread
from .reference import Reference
from .stated import Stated
from .trials import Trial, trials

#: Ways that are tried with the module, and of those how many are aligned, before the best stands.
TRIED, ALIGNED = 80, 6


@dataclass(frozen=True)
class Found:
    """The user's module, aligned.

    Attributes:
        reference: the imported module.
        module: a copy of the user's, adapted to the call that was found; its parameters are the user's.
        trial: how it takes Keras' inputs.
        fronts: what Keras computes in front of its first trained layers.
        inputs: the probe's, so given.
        places: of the module's outputs in what forward returns.
        reading: the module, read on them.
        probe: the reference under the probe.
        alignment: the pairs.
        expected: where each Keras output is expected among the module's.
    """

    reference: Reference
    module: nn.Module
    trial: Trial
    fronts: tuple[Front, ...]
    inputs: Sequence[torch.Tensor]
    places: Sequence[str]
    reading: Reading
    probe: Probe
    alignment: Alignment
    expected: tuple[Expected, ...]

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
    check_stated(signature, reference.ports, fronts, [port.name for port in outputs], stated)
    bench = _Bench(module, reference, outputs, fronts, mapping=mapping)
    assigned = list(assignments(signature, reference.ports, stated))
    ways = trials(assigned, fronts, stated, quiet_options(signature, stated))[:TRIED]
    late: list[Trial] = []
    best: Found | None = None
    aligned = 0
    for way in ways:
        right, total = bench.entries(way)
        if right < total:
            late.append(way)
        elif total >= 0 and aligned < ALIGNED:
            found = bench.align(way)
            aligned += 1
            best = found if best is None or found.alignment.score > best.alignment.score else best
            if found.alignment.is_whole or (len(reference.ports) == 1 and _reads_right(found)):
                return found
    for way in late[: ALIGNED - aligned if best is None else 0]:
        found = bench.align(way)
        best = found if best is None or found.alignment.score > best.alignment.score else best
    if best is None:
        raise bench.failure(signature)
    return best


def _reads_right(found: Found) -> bool:
    """Whether the first operations read what Keras' do: what is wrong then is not how the module is fed."""
    pairs = found.alignment.pairs
    names = [op.name for op in entry_ops(found.reading)]
    return bool(names) and all(name in pairs and pairs[name].by_values for name in names)


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
    ) -> None:
        self._module, self._reference, self._outputs, self._fronts = module, reference, outputs, fronts
        self._mapping = mapping
        first = reference.probed(None, NARROW)
        self._values = fed_values(reference, first, NARROW, fronts)
        self._state = module.state_dict()
        self._read: dict[object, tuple[nn.Module, Reading, list[str]] | ForwardError] = {}
        self._probes: dict[int, Probe] = {}

    def entries(self, way: Trial) -> tuple[int, int]:
        """(operations that read inputs as the reference's do, of how many); total -1 where forward fails."""
        inputs = self._tensors(way, self._values)
        read_so = self._reading(way, inputs)
        if isinstance(read_so, ForwardError):
            return -1, -1
        _, reading, _ = read_so
        probe = self._probe(reading)
        values = fed_values(self._reference, probe, NARROW, self._fronts)
        return entries(reading, self._tensors(way, values), self._state, probe)

    def align(self, way: Trial) -> Found:
        read_so = self._reading(way, self._tensors(way, self._values))
        assert not isinstance(read_so, ForwardError)
        twin, reading, places = read_so
        probe = self._probe(reading)
        inputs = self._tensors(way, fed_values(self._reference, probe, NARROW, self._fronts))
        expected = expected_outputs(self._reference, probe, self._outputs, places)
        alignment = align(self._reference, probe, reading, inputs, self._state, expected=expected, stated=self._mapping)
        return Found(self._reference, twin, way, self._fronts, inputs, places, reading, probe, alignment, expected)

    def failure(self, signature: inspect.Signature) -> Exception:
        """Why forward ran in no way: the first reason, which is that of the likeliest one."""
        failures = [error for error in self._read.values() if isinstance(error, ForwardError)]
        if failures:
            return failures[0]
        names = ", ".join(port.name for port in self._reference.ports)
        return ForwardError(
            f"forward{signature} cannot take the Keras inputs {names}",
            where=type(self._module).__name__,
            fix="give forward one argument for each input, or state in `fit.inputs` what each takes",
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

    def _reading(
        self, way: Trial, inputs: Sequence[torch.Tensor]
    ) -> tuple[nn.Module, Reading, list[str]] | ForwardError:
        key = (way.call.arguments, tuple((tuple(value.shape), value.dtype) for value in inputs))
        if key not in self._read:
            try:
                places = places_of(self._module, way.call, inputs)
                twin = adapted(working_copy(self._module), way.call)
                self._read[key] = (twin, read(twin, inputs), places)
            except ForwardError as error:
                self._read[key] = error
        return self._read[key]

    def _probe(self, reading: Reading) -> Probe:
        if id(reading) not in self._probes:
            self._probes[id(reading)] = self._reference.probed(reading, NARROW)
        return self._probes[id(reading)]
