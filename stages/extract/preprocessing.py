"""What Keras does to its inputs in front of its first trained layer, and the module may leave to its caller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..base import Boundary, Job
from ..plan import Array
from ..torch_graph import Op
from .probe import NARROW, Probe
from .reference import Reference

#: What a preprocessing layer does with numbers of its own (keras/src/layers/preprocessing/normalization.py).
ELEMENTWISE = ("add", "sub", "mul", "div", "maximum", "minimum")


@dataclass(frozen=True)
class Front:
    """A value of Keras in front of its first trained layer.

    Attributes:
        input: the Keras input that it is made of.
        port: the Keras layer that gives it.
        place: its name in the reference.
        variables: paths of the variables that it is made with: numbers that nobody trained.
    """

    input: str
    port: Boundary
    place: str
    variables: frozenset[str]

    @property
    def name(self) -> str:
        return self.port.name


def is_elementwise(op: Op) -> bool:
    """Whether it takes a number to each element, or each channel."""
    return op.kind.partition(" ")[0] in ELEMENTWISE


def untrained(job: Job) -> frozenset[str]:
    """Paths of the variables that training does not change (a Normalization's mean and variance)."""
    if job.model is None:
        return frozenset()
    from ..keras_layers import variable_paths

    return frozenset(path for path, variable in variable_paths(job.model).items() if not variable.trainable)


def computed(job: Job) -> frozenset[str]:
    """Paths of the variables that still hold what a formula gave (the waves of a Fourier transform)."""
    if job.model is None:
        return frozenset()
    from ..keras_layers import layer_paths

    return frozenset(
        f"{path}/{variable.name}"
        for path, layer in layer_paths(job.model).items()
        if type(layer).__name__ == "STFTSpectrogram"
        for variable, fresh in zip(layer.weights, _anew(layer).weights, strict=True)
        if np.array_equal(variable, fresh)
    )


def _anew(layer: Any) -> Any:
    made = type(layer).from_config(layer.get_config())
    made.build_from_config(layer.get_build_config())
    return made


def fronts(
    reference: Reference, boundaries: Sequence[Boundary], fixed: frozenset[str], formulas: frozenset[str] = frozenset()
) -> tuple[Front, ...]:
    """The values in front of the first trained layers, as Keras computes them one after the other.

    Args:
        reference: the imported module.
        boundaries: the values of Keras' layers, in execution order.
        fixed: paths of the variables that nobody trained.
        formulas: of those that a formula gives.
    """
    reading = reference.reading
    inputs = [name for name, place in reading.places.items() if place.startswith("input ")]
    names = dict(zip(inputs, (port.name for port in reference.ports), strict=False))
    made: dict[str, tuple[frozenset[str], frozenset[str]]] = {name: (frozenset({name}), frozenset()) for name in inputs}
    for name in reading.places:
        reads, held = _plain_step(reference, name, fixed, formulas)
        if name not in made and reads and all(read in made for read in reads):
            made[name] = (
                frozenset().union(*(made[read][0] for read in reads)),
                held.union(*(made[read][1] for read in reads)),
            )
    return tuple(_fronts(reference, boundaries, made, names))


def _plain_step(
    reference: Reference, name: str, fixed: frozenset[str], formulas: frozenset[str]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """(the values that ``name`` is made of, the variables that it is made with); none where somebody trained these."""
    reading = reference.reading
    op, glue = reading.ops.get(name), reading.glue.get(name)
    if op is not None:
        held = reference.variables_of(op)
        is_plain = (is_elementwise(op) and held <= fixed) or (held and held <= formulas)
        return ((op.reads,), held) if is_plain else ((), frozenset())
    if glue is None:
        return (), frozenset()
    held = frozenset().union(*(reference.variables_of(reading.ops[parameter]) for parameter in glue.parameters))
    return (glue.reads, held) if held <= fixed else ((), frozenset())


def _fronts(
    reference: Reference,
    boundaries: Sequence[Boundary],
    made: Mapping[str, tuple[frozenset[str], frozenset[str]]],
    names: Mapping[str, str],
) -> Iterator[Front]:
    seen = set(names)
    for boundary in boundaries:
        place = reference.places.get(boundary.name, "")
        if place in made and place not in seen and len(made[place][0]) == 1:
            seen.add(place)
            (source,) = made[place][0]
            yield Front(names[source], boundary, place, made[place][1])


def in_front(taken: Sequence[Front], numbers: Iterable[str]) -> dict[str, str]:
    """Path → why no key takes it: it belongs to what the module leaves to its caller, or has as a constant."""
    own = "the module has it as numbers of its own, which agree"
    return {
        **dict.fromkeys(numbers, own),
        **{
            path: f"belongs to the preprocessing in front of {front.name}, which the module leaves to its caller"
            for front in taken
            for path in front.variables
        },
    }


def front_values(probe: Probe, fronts: Sequence[Front]) -> dict[str, Array]:
    """Name → value under the probe, in Keras layout."""
    return {front.name: front.port.to_keras(_array(probe.kept[front.place])) for front in fronts}


def _array(value: torch.Tensor) -> Array:
    array: Array = value.numpy()
    return array


class _Seen(Exception):  # noqa: N818 - no error: the run may end here
    """The values are there."""


def true_values(reference: Reference, fronts: Sequence[Front], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Name → what Keras makes of ``inputs`` there, in Keras layout; nothing after the last of them is computed."""
    places = {front.place: front for front in fronts}
    found: dict[str, Array] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        if name in places:
            front = places[name]
            found[front.name] = front.port.to_keras(_array(value.clone()))
            if len(found) == len(places):
                raise _Seen

    if places:
        with suppress(_Seen):
            reference.reading.run(reference.arguments(inputs), reference.module.state_dict(), watch=watch)
    return found


def before_and_after(reference: Reference, front: Front) -> tuple[Array, Array]:
    """(the input, the value that Keras makes of it), in Keras layout, on numbers as far apart as pixels are."""
    inputs = {
        name: (array * 255).astype(array.dtype) if np.issubdtype(array.dtype, np.floating) else array
        for name, array in reference.inputs(NARROW).items()
    }
    return inputs[front.input], true_values(reference, [front], inputs)[front.name]
