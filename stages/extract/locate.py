"""Where the values of Keras' layers, and its outputs, stand in the user's module: as both probes show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..base import AlignedLayer, Job, NormalizedGraph
from ..errors import MappingError
from ..fit import OutputFit
from ..fit.names import LINEAR
from ..torch_graph import kept
from .absorb import Absorption
from .confirm import Confirmation, confirm
from .outputs import Placed, Wanted, WantedOutput, place_outputs, sources_of
from .pairs import Pair
from .partial import Ends, refuse_early_end
from .reference import Reference
from .results import Twice, as_keras, layer_candidates, place_layers, tells_alone
from .search import Found


@dataclass(frozen=True)
class Located:
    """What stands where.

    Attributes:
        second: both sides under the second probe.
        outputs: what the module gives for each Keras output.
        layers: the layers of Keras that the module computes.
        unaligned: name of each other one → why it does not.
    """

    second: Confirmation
    outputs: Placed
    layers: tuple[AlignedLayer, ...]
    unaligned: Mapping[str, str]


def locate(
    module: nn.Module,
    job: Job,
    graph: NormalizedGraph,
    found: Found,
    *,
    absorbed: Sequence[Absorption],
    exchanged: Mapping[str, Pair],
    ends: Ends,
) -> Located:
    """Run both sides under the second probe, and look for each value of Keras where the first one shows its numbers.

    Raises:
        MappingError: an output of Keras is none of what forward gives, or the module ends too early.
    """
    reference, alignment = found.reference, found.alignment
    inner = _reference_values(graph, reference, found.probe.kept)
    wanted = {name: reference.places[name] for name in inner}
    candidates = layer_candidates(wanted, reference.reading, found.probe.marks, found.reading, alignment.marks)
    if reference.shown:  # where samples end early, what takes their last step stands behind the last step of all
        candidates = {name: nodes[::-1] for name, nodes in candidates.items()}
    second = confirm(reference, found, {node for nodes in candidates.values() for node in nodes})
    wide = _reference_values(graph, reference, second.probe.kept)
    values = {name: Twice(value, wide[name]) for name, value in inner.items()}
    outputs = _outputs(module, job, graph, found, second, values=values, ends=ends)
    doubtful = [name for name, value in values.items() if not tells_alone(value.wide)]
    layers, unaligned = place_layers(
        graph.boundaries,
        values,
        candidates,
        second.kept,
        _values(found, {node for name in doubtful for node in candidates[name]}),
        reading=found.reading,
        biasless=_biasless(found, absorbed, exchanged),
    )
    left = _left_to_caller(found, outputs, unaligned)
    return Located(second, outputs, layers, {**graph.unkept, **unaligned, **left})


def _biasless(found: Found, absorbed: Sequence[Absorption], exchanged: Mapping[str, Pair]) -> dict[str, str]:
    """Values of the module that lack a bias of Keras → the place that has it."""
    pairs = found.alignment.pairs
    taken_in = {name: each.norm.target.place for each in absorbed for name in each.between}
    elsewhere = {
        name: pairs[holder].target.place for holder, each in exchanged.items() for name in (holder, each.target.name)
    }
    return taken_in | elsewhere


def _outputs(
    module: nn.Module,
    job: Job,
    graph: NormalizedGraph,
    found: Found,
    second: Confirmation,
    *,
    values: Mapping[str, Twice],
    ends: Ends,
) -> Placed:
    """What the module gives for each Keras output. ``values``: those of Keras' layers, in execution order."""
    boundaries = {boundary.name: boundary for boundary in graph.boundaries}
    inner = {name: Wanted(boundaries[name], value) for name, value in values.items()}
    wanted = []
    for port, narrow, wide, expected in zip(
        graph.outputs, found.probe.outputs, second.probe.outputs, found.expected, strict=True
    ):
        sources = sources_of(found.reference, expected.names, graph.boundaries)
        wanted.append(
            WantedOutput(
                port,
                as_keras(port, narrow, wide),
                expected.place,
                tuple(inner[name] for name in sources if name in inner),
                job.fit.outputs.get(port.name, OutputFit()),
            )
        )
    given = [Twice(*each) for each in zip(found.alignment.outputs, second.outputs, strict=True)]
    placed = place_outputs(wanted, list(inner.values()), given, found.reading.returned, own=ends.own)
    shapes = {each.port.name: tuple(each.value.narrow.shape) for each in (*inner.values(), *wanted)}
    refuse_early_end(placed, shapes, job)
    missing = [name for name, layer in placed.missing.items() if not layer]
    if missing and not ends.values:
        raise MappingError(
            f"forward gives {len(given)} tensors, none of them is Keras' {', '.join(missing)}",
            where=type(module).__name__,
            fix="return every output of the Keras model from forward",
        )
    return placed


def _left_to_caller(found: Found, placed: Placed, unaligned: Mapping[str, str]) -> dict[str, str]:
    """Layer → why the module does not compute it, of those in front of what it takes and behind what it gives."""
    skipped = {
        front.name: f"preprocessing that the module leaves to its caller: it takes what {taken.name} gives"
        for taken in found.taken
        for front in found.fronts
        if front.input == taken.input
    }
    for output, expected in zip(found.reference.outputs, found.expected, strict=True):
        fit = placed.fits.get(output, OutputFit())
        if output not in placed.guessed and (fit.value or fit.activation not in (None, LINEAR)):
            behind = {name for name, place in found.reference.places.items() if place in expected.names}
            reason = f"the module leaves it to its caller; done on what it gives, it is compared as the output {output}"
            skipped |= dict.fromkeys(behind, reason)
    return {name: reason for name, reason in skipped.items() if name in unaligned}


def _reference_values(
    graph: NormalizedGraph, reference: Reference, kept: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Boundary name → the reference's value, in Keras layout."""
    return {
        boundary.name: torch.from_numpy(boundary.to_keras(kept[place].numpy()))
        for boundary in graph.boundaries
        if (place := reference.places.get(boundary.name, "")) in kept
    }


def _values(found: Found, names: set[str]) -> dict[str, torch.Tensor]:
    """The module's values of these names under the first probe: one more run, along the alignment found."""
    values: dict[str, torch.Tensor] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        if name in names:
            values[name] = kept(found.reading, value)

    found.reading.run(found.inputs, found.state, found.alignment.replay(found.probe), watch)
    return values
