"""A module read by running it: every ATen call is recorded, whatever Python does between; for what export refuses.

The module runs as it is, each time anew, so branches on data, ``.item()``, numpy, Python loops and TorchScript are
no obstacle. In inference mode a ``TorchDispatchMode`` sees calls before they are decomposed
(c10/core/InferenceMode.h: the autograd keys are left out), which is the vocabulary of ``torch.export``: ``conv2d``,
``linear``, ``batch_norm``, … The first run becomes an fx graph that is read as an exported one is; in later runs a
call is known again by the module that makes it, its operator, and how many of these came before. A call that the
first run did not make (another branch) is run and not seen.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import fx, nn
from torch._ops import OpOverload
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from .generators import kept_generators
from .graph import read_graph
from .nodes import shape_of
from .op import PARAMETER, Op
from .reading import AtOp, OpCall, State, Watch, compute, ignore
from .recurrent import SpelledOut
from .state import held_tensors, put_state
from .writes import written_arguments

Site: TypeAlias = tuple[str, str, int]


class RecordedReading:
    """See ``Reading``. ``module`` is a working copy: it is run with the tensors of each state put into it."""

    how = "a recorded run"

    def __init__(self, module: nn.Module, inputs: Sequence[torch.Tensor]) -> None:
        self._module = module
        self._stack = _follow_modules(module)
        held = held_tensors(module)
        recorder = _Recorder(self._stack, held)
        arguments = tuple(value.clone() for value in inputs)
        recorder.take_inputs(arguments)
        self._execute(arguments, {key: tensor.detach() for key, tensor in held.items()}, recorder)
        self._names = recorder.names
        self._nodes = {node.name: node for node in recorder.graph.nodes}
        self._inputs = recorder.inputs
        self._recorder, self._raw = recorder, frozenset[str]()
        self._read()

    def _read(self) -> None:
        recorder = self._recorder
        parts = read_graph(recorder.graph, recorder.keys, recorder.constants, merge=False, raw=self._raw)
        self.ops, self.places, self.glue = parts.ops, parts.places, parts.glue
        self.results = {
            path: node.name
            for node in recorder.graph.nodes
            if node.name in self.places
            for path, _ in node.meta.get("nn_module_stack", {}).values()
        }

    def take_as_glue(self, ops: Collection[str]) -> None:
        if not self._raw >= set(ops):
            self._raw |= set(ops)
            self._read()

    def start(self, inputs: Sequence[torch.Tensor], state: State) -> None:  # noqa: ARG002 - it runs as a whole
        return None

    def user_results(self, results: Sequence[Any]) -> list[torch.Tensor]:
        return list(results)

    def run(
        self, inputs: Sequence[torch.Tensor], state: State, at_op: AtOp = compute, watch: Watch = ignore
    ) -> list[torch.Tensor]:
        raised: list[Exception] = []

        def see(name: str, value: Any) -> None:
            if name in self.places and isinstance(value, torch.Tensor):
                watch(name, value)

        def at_call(site: Site, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            name = self._names.get(site, "")
            op = self.ops.get(name)
            try:
                made = func(*args, **kwargs) if op is None else self._at_op(op, func, args, kwargs, at_op)
                for position, value in enumerate(made if isinstance(made, tuple | list) else [made]):
                    see(self._names.get((*site[:1], f"{site[1]}[{position}]", site[2]), name), value)
            except Exception as error:
                raised.append(error)
                raise
            return made

        arguments = tuple(value.clone() for value in inputs)
        for name, value in zip(self._inputs, arguments, strict=True):
            see(name, value)
        try:
            return self._execute(arguments, self._with_parameters(state, at_op), _Calls(self._stack, at_call))
        except RuntimeError:
            if raised:  # what ends a run early comes out of TorchScript as an error of its own
                raise raised[0] from None
            raise

    def _with_parameters(self, state: State, at_op: AtOp) -> State:
        """The state with what ``at_op`` gives for the parameters that enter glue: they are there before the run."""
        given = dict(state)
        for op in self.ops.values():
            if op.kind == PARAMETER:
                key = op.slots["value"].key
                own = state[key]
                given[key] = at_op(OpCall(op, own, tuple(own.shape), lambda own=own: own))  # type: ignore[misc]
        return given

    def _execute(self, arguments: tuple[torch.Tensor, ...], state: State, calls: _Calls) -> list[torch.Tensor]:
        put_state(self._module, state)
        self._stack.clear()
        with torch.inference_mode(), kept_generators(), _without_fast_paths(), SpelledOut(), calls:
            result = self._module(*arguments)
        return [leaf.clone() for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]

    def _at_op(
        self, op: Op, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], at_op: AtOp
    ) -> torch.Tensor:
        """What ``at_op`` gives; where the call writes into its argument (``x *= gain``) it is written there."""
        node = self._nodes[op.name]
        recorded, given = pytree.tree_leaves((node.args, node.kwargs)), pytree.tree_leaves((args, kwargs))
        position = next(i for i, leaf in enumerate(recorded) if isinstance(leaf, fx.Node) and leaf.name == op.reads)
        target = next(iter(written_arguments(func, args, kwargs)), None)
        made = at_op(OpCall(op, given[position], shape_of(node), lambda: func(*args, **kwargs))).clone()
        return made if target is None else target.copy_(made)


@contextmanager
def _without_fast_paths() -> Iterator[None]:
    """``nn.TransformerEncoderLayer`` and ``nn.MultiheadAttention`` as the calls that they are made of."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _follow_modules(module: nn.Module) -> list[str]:
    """A list that holds the paths of the modules whose forward is running, innermost last."""
    stack: list[str] = []

    def leave(*_call: object) -> None:
        stack.pop()

    for path, child in module.named_modules():
        if isinstance(child, torch.jit.ScriptModule):
            continue  # takes no hooks; its calls are known by the module around it
        child.register_forward_pre_hook(lambda _module, _arguments, path=path: stack.append(path))
        child.register_forward_hook(leave, always_call=True)
    return stack


class _Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Gives every call, with its site, to ``at_call``: (site, operator, args, kwargs) → what the call gives."""

    def __init__(self, stack: list[str], at_call: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stack, self._at_call = stack, at_call
        self._counts: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        place = (self._stack[-1] if self._stack else "", str(func))
        self._counts[place] += 1
        return self._at_call((*place, self._counts[place]), func, args, kwargs or {})


class _Recorder(_Calls):  # type: ignore[no-untyped-call]
    """Writes the calls of one run as an fx graph.

    Attributes:
        graph: it.
        names: site → name of the node; ``operator[i]`` at a site is the i-th of several results.
        keys: name of a placeholder → key of the state_dict.
        constants: names of placeholders of tensors that were there before: attributes, globals.
        inputs: names of the module's inputs.
    """

    def __init__(self, stack: list[str], held: Mapping[str, torch.Tensor]) -> None:
        super().__init__(stack, self._record)
        self.graph = fx.Graph()
        self.names: dict[Site, str] = {}
        self.keys: dict[str, str] = {}
        self.constants: set[str] = set()
        self.inputs: list[str] = []
        self._nodes: Any = WeakIdKeyDictionary()  # tensor → the node that made it
        for key, tensor in held.items():
            if tensor not in self._nodes:  # tied keys: the first one stands for all
                self.keys[self._placeholder(key.replace(".", "_"), tensor).name] = key

    def take_inputs(self, values: Sequence[torch.Tensor]) -> None:
        self.inputs += [self._placeholder(f"input_{position}", value).name for position, value in enumerate(values)]

    def _placeholder(self, name: str, tensor: torch.Tensor) -> fx.Node:
        first = next((node for node in self.graph.nodes if node.op != "placeholder"), None)
        with self.graph.inserting_before(first):
            node = self.graph.placeholder(name)
        return self._bind(tensor, node)

    def _bind(self, tensor: torch.Tensor, node: fx.Node) -> fx.Node:
        node.meta["val"] = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        self._nodes[tensor] = node
        return node

    def _record(self, site: Site, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func is torch.ops.aten.lift_fresh.default and args[0] not in self._nodes:
            fresh = self.graph.call_function(func, ())  # made of numbers outside torch: nobody knows from which
            return self._bind(args[0], self._sited(site, fresh)) and func(*args)
        taken = pytree.tree_map_only(torch.Tensor, self._node_of, (args, kwargs))
        made = func(*args, **kwargs)
        results = list(made) if isinstance(made, tuple | list) else [made]
        if not any(isinstance(value, torch.Tensor) for value in results):
            return made  # ``.item()``: what follows is Python
        name = func.overloadpacket.__name__
        node = self._sited(site, self.graph.create_node("call_function", func, taken[0], taken[1], name))
        if isinstance(made, torch.Tensor):
            self._bind(made, node)
            return made
        node.meta["val"] = pytree.tree_map_only(torch.Tensor, lambda value: value.to("meta"), made)
        for position, value in enumerate(results):
            if isinstance(value, torch.Tensor):
                part = self.graph.call_function(operator.getitem, (node, position))
                self._bind(value, self._sited((site[0], f"{site[1]}[{position}]", site[2]), part))
        return made

    def _sited(self, site: Site, node: fx.Node) -> fx.Node:
        node.meta["nn_module_stack"] = {path: (path, "") for path in self._stack}
        self.names[site] = node.name
        return node

    def _node_of(self, tensor: torch.Tensor) -> fx.Node:
        if tensor not in self._nodes:
            self.constants.add(self._placeholder("constant", tensor).name)
        node: fx.Node = self._nodes[tensor]
        return node
