"""A module that is run again as a whole: values leave torch and come back as numbers, or as sizes.

``x / x.max().item()``, numpy, ``x[x > 0]``; what merely decides which calls are made is read in ``path.py``. In later
runs a call is known again by the module that makes it, its operator, and how many of these came before. A call that the
recorded run did not make (another branch) is run and not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from .graph_reading import GraphReading
from .nodes import shape_of
from .op import PARAMETER, Op
from .reading import AtOp, OpCall, State, Watch, compute, ignore
from .recorder import Calls, Recording, Site, execute
from .writes import written_arguments


class RecordedReading(GraphReading):
    """See ``Reading``."""

    how = "a recorded run"
    keeps_values = False

    def __init__(self, recording: Recording) -> None:
        self._recording, self.left = recording, list(dict.fromkeys(recording.left))
        self._nodes = {node.name: node for node in recording.graph.nodes}
        super().__init__(recording.graph, recording.keys, recording.constants, merge=False)

    def start(self, inputs: Sequence[torch.Tensor], state: State) -> None:  # noqa: ARG002 - it runs as a whole
        return None

    def user_results(self, results: Sequence[Any]) -> list[torch.Tensor]:
        return list(results)

    def run(
        self, inputs: Sequence[torch.Tensor], state: State, at_op: AtOp = compute, watch: Watch = ignore
    ) -> list[torch.Tensor]:
        raised: list[Exception] = []
        names = self._recording.names

        def see(name: str, value: Any) -> None:
            if name in self.places and isinstance(value, torch.Tensor):
                watch(name, value)

        def at_call(site: Site, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            name = names.get(site, "")
            op = self.ops.get(name)
            try:
                made = func(*args, **kwargs) if op is None else self._at_op(op, func, args, kwargs, at_op)
                for position, value in enumerate(made if isinstance(made, tuple | list) else [made]):
                    see(names.get((*site[:1], f"{site[1]}[{position}]", site[2]), name), value)
            except Exception as error:
                raised.append(error)
                raise
            return made

        arguments = tuple(value.clone() for value in inputs)
        for name, value in zip(self._recording.inputs, arguments, strict=True):
            see(name, value)
        calls = Calls(self._recording.stack, at_call)
        try:
            results = execute(self._recording.module, arguments, self._with_parameters(state, at_op), calls)
        except RuntimeError:
            if raised:  # what ends a run early comes out of TorchScript as an error of its own
                raise raised[0] from None
            raise
        return [value.clone() for value in results]

    def _with_parameters(self, state: State, at_op: AtOp) -> State:
        """The state with what ``at_op`` gives for the parameters that enter glue: they are there before the run."""
        given = dict(state)
        for op in self.ops.values():
            if op.kind == PARAMETER:
                key = op.slots["value"].key
                own = state[key]
                given[key] = at_op(OpCall(op, own, tuple(own.shape), lambda own=own: own))  # type: ignore[misc]
        return given

    def _at_op(self, op: Op, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], at_op: AtOp) -> torch.Tensor:
        """What ``at_op`` gives; where the call writes into its argument (``x *= gain``) it is written there."""
        node = self._nodes[op.name]
        recorded, given = pytree.tree_leaves((node.args, node.kwargs)), pytree.tree_leaves((args, kwargs))
        position = next(i for i, leaf in enumerate(recorded) if isinstance(leaf, fx.Node) and leaf.name == op.reads)
        target = next(iter(written_arguments(func, args, kwargs)), None)
        made = at_op(OpCall(op, given[position], shape_of(node), lambda: func(*args, **kwargs))).clone()
        return made if target is None else target.copy_(made)
