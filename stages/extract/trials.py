"""The ways of feeding the user's module that are worth trying, likeliest first.

1. Which argument takes which input: by name, by names that mean the same, in order, in any other order; or all of them
   in one dict or list.
2. In which layout: channels first, as Keras has it, samples second; an axis of length 1 more or less; flattened.
3. As which dtype: a mask of integers as booleans or floats; a mask of what is padding, where Keras' is of what is not.
4. What: the inputs; or what Keras makes of them in front of its first trained layer.

What is stated is not tried otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..base import Port
from ..fit import Fit, InputFit
from ..fit.layout import axes
from ..plan import Transpose, inverse_moves
from ..torch_graph import Call
from .arguments import Assignment
from .preprocessing import Front

#: (dtype, whether inverted) of an argument.
Kind: TypeAlias = tuple[str | None, bool | None]
_MASK: tuple[Kind, ...] = (("bool", None), ("bool", True))
#: numpy's kind of a Keras input → what else it may be wanted as: a mask, of the one or the other sense; ids that Keras
#: holds as floats.
TYPES: Mapping[str, tuple[Kind, ...]] = {
    "i": (*_MASK, ("float32", None)),
    "u": (*_MASK, ("float32", None)),
    "b": (("bool", True), ("float32", None), ("int64", None)),
    "f": (("int64", None),),
}


@dataclass(frozen=True)
class Trial:
    """One way to feed the module.

    Attributes:
        inputs: argument → what it takes; value and layout are set.
        options: what else forward is called with.
    """

    inputs: Mapping[str, InputFit]
    options: Mapping[str, object]

    @property
    def call(self) -> Call:
        return Call(tuple(self.inputs), self.options)


def trials(
    assigned: Sequence[Assignment], fronts: Sequence[Front], stated: Fit, options: Mapping[str, object]
) -> list[Trial]:
    """Every way worth trying, those with the fewest surprises first; of these, those of the usual shapes and dtypes.

    Another value of the same shape costs no further run of the module.
    """
    found: dict[tuple[int, int], list[Trial]] = {}
    for first, assignment in enumerate(assigned):
        for second, ports in enumerate(_values(assignment, fronts, stated)):
            for third, layouts in enumerate(_layouts(ports, stated)):
                for fourth, kinds in enumerate(_types(ports, stated)):
                    inputs = {
                        argument: InputFit(port.name, layouts[argument], *kinds.get(argument, ()))
                        for argument, port in ports.items()
                    }
                    surprise = first + second + third + 2 * fourth
                    found.setdefault((surprise, third + fourth), []).append(Trial(inputs, options))
    return [trial for place in sorted(found) for trial in found[place]]


def _values(assignment: Assignment, fronts: Sequence[Front], stated: Fit) -> Iterator[Assignment]:
    """Argument → the port of what it takes: the inputs, then what Keras makes of one of them, then of all."""
    by_name = {front.name: front for front in fronts}
    fixed = {
        argument: by_name[entry.value].port
        for argument, entry in stated.inputs.items()
        if entry.value in by_name and argument in assignment
    }
    yield {**assignment, **fixed}
    free = {
        argument: [front.port for front in fronts if front.input == port.name]
        for argument, port in assignment.items()
        if argument not in fixed and stated.inputs.get(argument, InputFit()).value is None
    }
    for argument, ports in free.items():
        for port in ports:
            yield {**assignment, **fixed, argument: port}
    if sum(bool(ports) for ports in free.values()) > 1:
        yield {**assignment, **fixed, **{argument: ports[-1] for argument, ports in free.items() if ports}}


def _layouts(ports: Assignment, stated: Fit) -> Iterator[dict[str, str | None]]:
    """Argument → layout."""
    seen: list[dict[str, str | None]] = []
    for kind in _KINDS:
        layouts: dict[str, str | None] = {argument: kind(port) or _as_keras(port) for argument, port in ports.items()}
        layouts |= {name: entry.layout for name, entry in stated.inputs.items() if entry.layout and name in ports}
        if layouts not in seen:
            seen.append(layouts)
            yield layouts


def _written(source: Sequence[str], target: Sequence[str]) -> str:
    return f"{' '.join(source)} -> {' '.join(target)}"


def _as_keras(port: Port) -> str | None:
    names = axes(len(port.shape))
    return _written(names, names) if len(names) > 2 else None


def _usual(port: Port) -> str | None:
    """As the normalised graph takes it: channels first, behind the time where steps are looked at one by one."""
    if not port.moves:
        return None
    names = target = axes(len(port.shape))
    for move in inverse_moves(port.moves):
        if not isinstance(move, Transpose):
            return _channels_first(port)
        target = [target[axis] for axis in move.perm]
    return _written(names, target)


def _channels_first(port: Port) -> str | None:
    names = axes(len(port.shape))
    features = np.issubdtype(port.dtype, np.floating) or len(names) > 3
    return _written(names, ["n", "c", *names[1:-1]]) if len(names) > 2 and features else None


def _samples_second(port: Port) -> str | None:
    names = axes(len(port.shape))
    if len(names) == 2 and not np.issubdtype(port.dtype, np.floating):
        names = ["n", "t"]  # ids
    return _written(names, [names[1], "n", *names[2:]]) if len(names) == 3 or names == ["n", "t"] else None


def _one_less(port: Port) -> str | None:
    names = axes(len(port.shape))
    if len(names) < 3 or port.shape[-1] != 1:
        return None
    return _written([*names[:-1], "1"], names[:-1])


def _one_more(port: Port) -> str | None:
    names = axes(len(port.shape))
    return _written(names, ["n", "1", *names[1:]]) if len(names) in (2, 3) else None


def _one_more_behind(port: Port) -> str | None:
    names = axes(len(port.shape))
    return _written(names, [*names, "1"]) if len(names) in (2, 3) else None


def _flat(port: Port) -> str | None:
    names = axes(len(port.shape))
    return _written(names, ["n", f"({' '.join(names[1:])})"]) if len(names) > 2 else None


def _flat_channels_first(port: Port) -> str | None:
    names = axes(len(port.shape))
    return _written(names, ["n", f"({' '.join(['c', *names[1:-1]])})"]) if len(names) > 2 else None


_KINDS = (
    _usual,
    _as_keras,
    _channels_first,
    _samples_second,
    _one_less,
    _one_more,
    _one_more_behind,
    _flat,
    _flat_channels_first,
)


def _types(ports: Assignment, stated: Fit) -> Iterator[dict[str, Kind]]:
    """Argument → dtype, where it is another than the input's own (integers are int64), and whether it is inverted."""
    known = {name: (entry.dtype, entry.inverted) for name, entry in stated.inputs.items()}
    fixed = {name: kind for name, kind in known.items() if kind != (None, None)}
    yield fixed
    options = [
        (name, kind) for name in ports if name not in fixed for kind in TYPES.get(np.dtype(ports[name].dtype).kind, ())
    ]
    for name, kind in options:
        yield {**fixed, name: kind}
    for pair in itertools.combinations(options, 2):
        if pair[0][0] != pair[1][0]:
            yield {**fixed, **dict(pair)}
