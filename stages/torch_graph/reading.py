"""Reading: a module that can be run with its inner values seen, and its ops' outputs replaced."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch

from ..plan import Shape
from .op import Op

if TYPE_CHECKING:
    from .session import Session

State: TypeAlias = Mapping[str, torch.Tensor]
Compute: TypeAlias = Callable[[], torch.Tensor]
#: How far a reading may be from the module itself, relative to the largest value: another kernel of torch's, no more.
FAITHFUL = 1e-4


@dataclass(frozen=True)
class OpCall:
    """An op in the moment of its call.

    Attributes:
        op: the op.
        value: its input, as the module passes it; of a parameter that enters glue, its own value.
        output_shape: the shape of what it must give.
        compute: gives what the module itself would.
    """

    op: Op
    value: torch.Tensor
    output_shape: Shape
    compute: Compute


@dataclass(frozen=True)
class Glue:
    """A value that no parameterised operation gives.

    Attributes:
        operator: what computes it ("relu", "max_pool2d").
        reads: names of the values that it takes.
        settings: its other arguments, by their names in torch.
        parameters: names of the parameters that enter it.
    """

    operator: str
    reads: tuple[str, ...]
    settings: Mapping[str, Any]
    parameters: tuple[str, ...] = ()


AtOp: TypeAlias = Callable[[OpCall], torch.Tensor]
Watch: TypeAlias = Callable[[str, torch.Tensor], None]


def compute(call: OpCall) -> torch.Tensor:
    """The AtOp that lets the module do its own work."""
    return call.compute()


def ignore(name: str, value: torch.Tensor) -> None:
    """The Watch of somebody who watches nothing."""


class Reading(Protocol):
    """A module, read.

    Attributes:
        how: "a recorded graph", "torch.export", "a recorded path" or "a recorded run", for reports.
        ops: name → Op, in execution order.
        places: name of every value that ``watch`` may see → module path and operation, for people.
        results: module path → name of the value that its last call gave.
        glue: name of a value that is no op → Glue; empty where unknown.
        returned: where the outputs stand in what the module's own forward returned ("logits", "aux.1"); empty where it
            is called as it is.
        left: calls by which values leave torch, where the module can only be run again as a whole; else empty.
        keeps_values: whether a value, once made, stays as it is; else (a write through a view, a run as a whole) it may
            be written into.
    """

    how: str
    ops: dict[str, Op]
    places: dict[str, str]
    results: dict[str, str]
    glue: dict[str, Glue]
    returned: Sequence[str]
    left: Sequence[str]
    keeps_values: bool

    def take_as_glue(self, ops: Collection[str]) -> None:
        """Read these elementwise calls as glue from now on, and their parameters as parameters that enter it."""

    def start(self, inputs: Sequence[torch.Tensor], state: State) -> Session | None:
        """A run that can be looked back into; None where the module cannot be run but as a whole."""

    def user_results(self, results: Sequence[Any]) -> list[torch.Tensor]:
        """The module's outputs among what a Session gives."""

    def run(
        self, inputs: Sequence[torch.Tensor], state: State, at_op: AtOp = compute, watch: Watch = ignore
    ) -> list[torch.Tensor]:
        """Run on ``inputs`` (of the shapes the module was read with) with the parameters of ``state``.

        ``at_op`` gives each op's output; ``watch`` sees every tensor made, op or glue, in execution order. What either
        wants to keep has to be ``kept``.
        Returns the module's outputs, flattened.
        """


def chain(reading: Reading, start: str, until: Collection[str] = ()) -> list[str]:
    """Names of the glue on the way back from ``start`` to the values ``until``, nearest first."""
    found: list[str] = []
    waiting, seen = [start], set[str]()
    while waiting:
        current = waiting.pop(0)
        if current in seen or current in until or current not in reading.glue:
            continue
        seen.add(current)
        found.append(current)
        waiting += reading.glue[current].reads
    return found


def kept(reading: Reading, value: torch.Tensor) -> torch.Tensor:
    """A value of a run as it is now, for longer than ``at_op`` or ``watch`` last."""
    return value if reading.keeps_values else value.clone()
