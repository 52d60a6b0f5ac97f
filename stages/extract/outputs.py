"""Which of the module's outputs is which of Keras', and what lies between them.

A fit counts only where it holds under both probes. For each Keras output, in this order:

1. An output of the module's holds its values, in a usual layout.
2. It does once an activation is applied to it: the module gives logits, Keras ends in softmax.
3. Keras' output does once an activation is applied to it: Keras gives logits, the module ends in softmax.
4. The module gives the value of a Keras layer from which Keras makes the output without a weight (a scaling).
5. The module gives the value of a Keras layer, and trained layers follow in Keras: that is compared, not the output.
   Of several layers of one value that which is stated (``value``), else the last.
6. None of these: the output at its place is compared, and a finding says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from ..base import Boundary, Port
from ..fit import OutputFit, patterns
from ..fit.activations import activated
from ..fit.layout import axes
from ..fit.names import LINEAR, LOSING, ORDER_KEEPING
from ..plan import Transpose, inverse_moves
from ..torch_graph import Glue
from ..torch_graph import given as as_keras_has_it
from .arrange import close
from .reference import Reference
from .results import Twice

#: What a config says of an output that it does not name.
UNSTATED = OutputFit()


@dataclass(frozen=True)
class Wanted:
    """A Keras value that an output of the module's may be.

    Attributes:
        port: the output, or the layer that gives it.
        value: it, in Keras layout.
    """

    port: Port
    value: Twice


@dataclass(frozen=True)
class WantedOutput(Wanted):
    """A Keras output.

    Attributes:
        place: its expected position among the module's outputs; None where nothing tells.
        sources: values of Keras layers from which Keras makes it without a weight, nearest first.
        stated: what the config says of it.
    """

    place: int | None = None
    sources: tuple[Wanted, ...] = ()
    stated: OutputFit = UNSTATED


@dataclass
class Placed:
    """What was found.

    Attributes:
        fits: Keras output, or layer, → what the module gives for it.
        positions: likewise → position among the module's outputs.
        guessed: Keras outputs that no value told.
        contradicted: Keras output → the fit that its values have, where the config states another.
        missing: Keras outputs that the module does not give → the layer whose value it gives instead, or "".
    """

    fits: dict[str, OutputFit] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)
    contradicted: dict[str, OutputFit] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def place_outputs(
    wanted: Sequence[WantedOutput],
    inner: Sequence[Wanted],
    given: Sequence[Twice],
    places: Sequence[str],
    *,
    own: Collection[int] = (),
) -> Placed:
    """Each Keras output's place.

    Args:
        wanted: the Keras outputs.
        inner: the values of Keras' layers, in execution order.
        given: the module's outputs.
        places: of them in what forward returns.
        own: positions of those that layers with the module's own weights make: they are no output of Keras.
    """
    placed = Placed()

    def keep(name: str, position: int, fit: OutputFit) -> None:
        placed.fits[name], placed.positions[name] = replace(fit, place=places[position]), position

    for output in wanted:
        name = output.port.name
        stated = _first(output, given, places, placed, output.stated)
        free = stated or _first(output, given, places, placed, UNSTATED)
        if stated is not None:
            keep(name, *stated)
        elif free is None and (end := _stated_end(output, inner, given, places)) is not None:
            keep(*end)
            placed.missing[name] = end[0]
        elif output.stated != UNSTATED and (position := _stated_position(output, places)) is not None:
            keep(
                name,
                position,
                replace(output.stated, layout=output.stated.layout or _likeliest(given[position], output)),
            )
            placed.guessed.append(name)
            if free is not None:
                placed.contradicted[name] = replace(free[1], place=places[free[0]])
        elif free is not None:
            keep(name, *free)
    for index, output in enumerate(wanted):
        if output.port.name not in placed.fits and output.port.name not in placed.missing:
            _settle(output, index, inner, given, placed=placed, keep=keep, own=own)
    return placed


def _stated_end(
    output: WantedOutput, inner: Sequence[Wanted], given: Sequence[Twice], places: Sequence[str]
) -> tuple[str, int, OutputFit] | None:
    """Case 5 as the config states it: (the layer, which of the module's outputs gives its value, how)."""
    for value in (each for each in inner if each.port.name == output.stated.value):
        for position, place in enumerate(places):
            layout = _layout(given[position], value, output.stated.layout, None)
            if layout is not None and output.stated.place in (None, place):
                return value.port.name, position, OutputFit(layout=layout or None)
    return None


def _settle(
    output: WantedOutput,
    index: int,
    inner: Sequence[Wanted],
    given: Sequence[Twice],
    *,
    placed: Placed,
    keep: Callable[[str, int, OutputFit], None],
    own: Collection[int],
) -> None:
    """Cases 5 and 6."""
    name, taken = output.port.name, set(placed.positions.values())
    place = index if output.place is None else output.place
    free = [position for position in (place, *range(len(given))) if position < len(given) and position not in taken]
    for position in dict.fromkeys(free):
        for value in reversed(inner):
            layout = _layout(given[position], value, None, None)
            if layout is not None and value.port.name not in placed.fits:
                keep(value.port.name, position, OutputFit(layout=layout or None))
                placed.missing[name] = value.port.name
                return
    if place < len(given) and place not in taken and place not in own:
        keep(name, place, OutputFit(layout=_likeliest(given[place], output)))
        placed.guessed.append(name)
    else:
        placed.missing[name] = ""


def _first(
    output: WantedOutput, given: Sequence[Twice], places: Sequence[str], placed: Placed, stated: OutputFit
) -> tuple[int, OutputFit] | None:
    """The first (position, fit) that holds and is what is stated."""
    likely = [] if output.place is None else [output.place]
    taken = set(placed.positions.values())
    others = sorted(range(len(given)), key=lambda position: position in taken)
    order = [position for position in dict.fromkeys((*likely, *others)) if position < len(given)]
    if stated.place is not None:
        order = [position for position in order if places[position] == stated.place]
    for kind in (_plain, _activated, _keras_activated, _sourced):
        for position in order:
            if kind is _plain and position in taken and position not in likely and stated.place is None:
                continue  # one tensor is two outputs only where something lies between them
            for fit in kind(given[position], output, stated):
                return position, fit
    return None


def _plain(given: Twice, output: WantedOutput, stated: OutputFit) -> Iterator[OutputFit]:
    if stated.activation in (None, LINEAR) and not stated.keras_activation and not stated.value:
        layout = _layout(given, output, stated.layout, None)
        if layout is not None:
            yield OutputFit(layout=layout or None, activation=stated.activation)


def _activated(given: Twice, output: WantedOutput, stated: OutputFit) -> Iterator[OutputFit]:
    if stated.keras_activation or stated.value:
        return
    for name in [stated.activation] if stated.activation else (*ORDER_KEEPING, *LOSING):
        if name != LINEAR:
            layout = _layout(given, output, stated.layout, name)
            if layout is not None:
                yield OutputFit(layout=layout or None, activation=name)


def _keras_activated(given: Twice, output: WantedOutput, stated: OutputFit) -> Iterator[OutputFit]:
    if stated.activation not in (None, LINEAR) or stated.value or not output.value.narrow.is_floating_point():
        return
    for name in [stated.keras_activation] if stated.keras_activation else ORDER_KEEPING:
        turned = Wanted(output.port, Twice(activated(name, output.value.narrow), activated(name, output.value.wide)))
        layout = _layout(given, turned, stated.layout, None)
        if layout is not None:
            yield OutputFit(layout=layout or None, keras_activation=name)


def _sourced(given: Twice, output: WantedOutput, stated: OutputFit) -> Iterator[OutputFit]:
    if stated.keras_activation or (stated.activation and not stated.value):
        return
    for source in output.sources:
        if stated.value in (None, source.port.name):
            layout = _layout(given, source, stated.layout, None)
            if layout is not None:
                yield OutputFit(layout=layout or None, value=source.port.name)


def _layout(given: Twice, wanted: Wanted, stated: str | None, activation: str | None) -> str | None:
    """The layout in which ``given``, activated, is the wanted value under both probes; "" for none at rank 1, 2."""
    if activation and not given.narrow.is_floating_point():
        return None
    shape = tuple(wanted.value.narrow.shape)
    for pattern in [stated] if stated else _patterns(given.narrow, shape, wanted.port):
        fit = OutputFit(layout=pattern, activation=activation)
        try:
            narrow = as_keras_has_it(fit, given.narrow, shape)
            if tuple(narrow.shape) != shape or not close(narrow, wanted.value.narrow):
                continue
            if close(as_keras_has_it(fit, given.wide, shape), wanted.value.wide):
                return "" if pattern in ("n c -> n c", "n -> n") else pattern
        except ValueError:
            continue
    return None


def _patterns(given: torch.Tensor, shape: tuple[int, ...], port: Port) -> Iterable[str]:
    """The usual layouts, behind that of the normalised graph (frames have their channels behind the time)."""
    if given.numel() != _size(shape):
        return ()
    usual = patterns(given.dim(), len(shape))
    turns = [move for move in inverse_moves(port.moves) if isinstance(move, Transpose)]
    if not turns or len(turns) < len(port.moves) or given.dim() != len(shape):
        return usual
    names = standing = axes(len(shape))
    for turn in turns:
        standing = [standing[axis] for axis in turn.perm]
    return [f"{' '.join(standing)} -> {' '.join(names)}", *usual]


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def _stated_position(output: WantedOutput, places: Sequence[str]) -> int | None:
    if output.stated.place is not None:
        return places.index(output.stated.place) if output.stated.place in places else None
    place = output.place or 0
    return place if place < len(places) else None


def _likeliest(given: Twice, output: Wanted) -> str | None:
    """Where the values do not tell: channels first if the normalised graph has them so and the shape fits."""
    shape, names = tuple(output.value.narrow.shape), axes(len(output.port.shape))
    if output.port.moves and given.narrow.dim() == len(shape) > 2:
        pattern = f"{' '.join(['n', 'c', *names[1:-1]])} -> {' '.join(names)}"
        if tuple(as_keras_has_it(OutputFit(layout=pattern), given.narrow, shape).shape) == shape:
            return pattern
    return None


def sources_of(reference: Reference, before: Sequence[str], boundaries: Sequence[Boundary]) -> list[str]:
    """Keras layers from whose value alone the output is made without a weight, nearest first.

    Args:
        reference: the imported module.
        before: the values that the output is made from by glue alone, nearest first, itself among them.
        boundaries: the values of Keras' layers, in execution order.
    """
    glue = reference.reading.glue
    found = []
    for boundary in reversed(boundaries):
        cut = reference.places.get(boundary.name, "")
        if cut in before and not _reaches(glue, before[0], cut):
            found.append(boundary.name)
    return found


def _reaches(glue: Mapping[str, Glue], start: str, cut: str) -> bool:
    """Whether ``start`` is made from anything but ``cut``, a weight included."""
    waiting, seen = [start], set()
    while waiting:
        current = waiting.pop()
        if current == cut or current in seen:
            continue
        seen.add(current)
        if current not in glue or glue[current].parameters:
            return True
        waiting += glue[current].reads
    return False
