"""A run of a module, recorded as an fx graph of ATen calls.

The run is an ordinary one, on real tensors: hooks, wrappers, Python loops and TorchScript are no obstacle. In inference
mode a ``TorchDispatchMode`` sees calls before they are decomposed (c10/core/InferenceMode.h: the autograd keys are left
out), which is the vocabulary of ``torch.export``: ``conv2d``, ``linear``, ``batch_norm``, …
"""

from __future__ import annotations

import inspect
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree
from torch.utils.weak import WeakIdKeyDictionary

from .generators import kept_generators
from .leaving import Departures, depends_on_values
from .mode import Mode
from .recurrent import SpelledOut
from .replayed import AtenGraph
from .state import held_tensors, put_state

#: (path of the module that makes the call, operator, the how-manieth of these).
Site: TypeAlias = tuple[str, str, int]
#: (site, operator, args, kwargs) → what the call gives.
AtCall: TypeAlias = Callable[[Site, Any, tuple[Any, ...], dict[str, Any]], Any]


@dataclass(frozen=True)
class Recording:
    """One run.

    Attributes:
        module: the working copy that was run; a hook of ours on each of its modules keeps ``stack``.
        stack: paths of the modules whose forward is running, innermost last.
        graph: the calls, with ``meta["val"]`` (shape and type) and ``meta["nn_module_stack"]``; its output the tensors
            that the module gave.
        names: site → name of the node; ``operator[i]`` at a site is the i-th of several results.
        keys: name of a placeholder → key of the state_dict.
        buffers: those of them that a forward may write into.
        constants: names of placeholders of tensors that were there before (attributes, globals) → their values.
        fresh: names of calls that make tensors of numbers outside torch → the tensors.
        inputs: names of the module's inputs.
        given: what the module gave.
        left: what left torch, so that another run on other values may make other calls; empty for most modules.
        sized: whether a call gave a tensor as large as values said.
    """

    module: nn.Module
    stack: list[str]
    graph: fx.Graph
    names: Mapping[Site, str]
    keys: Mapping[str, str]
    buffers: frozenset[str]
    constants: Mapping[str, torch.Tensor]
    fresh: Mapping[str, torch.Tensor]
    inputs: Sequence[str]
    given: Sequence[torch.Tensor]
    left: Sequence[str]
    sized: bool

    def as_graph(self) -> AtenGraph:
        """It, where nothing left torch; then what is made of numbers outside is made of constants."""
        constants = dict(self.constants)
        for node in list(self.graph.nodes):
            if node.name in self.fresh:
                with self.graph.inserting_before(next(iter(self.graph.nodes))):
                    constant = self.graph.placeholder("constant")
                constant.meta["val"] = node.meta["val"]
                node.args = (constant,)
                constants[constant.name] = self.fresh[node.name]
        return AtenGraph("a recorded graph", self.graph, self.inputs, self.keys, self.buffers, constants)


def record(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Recording:
    """Run ``module``, a working copy, on ``inputs``. Hooks of ours stay on it."""
    stack = _follow_modules(module)
    held = held_tensors(module)
    recorder = _Recorder(stack, held)
    arguments = tuple(value.clone() for value in inputs)
    names = recorder.take_inputs(_argument_names(module, len(arguments)), arguments)
    departures = Departures()
    with departures:
        results = execute(module, arguments, {key: tensor.detach() for key, tensor in held.items()}, recorder)
    recorder.end(results)
    return Recording(
        module,
        stack,
        recorder.graph,
        recorder.names,
        recorder.keys,
        frozenset(name for name, key in recorder.keys.items() if not isinstance(held[key], nn.Parameter)),
        {name: value.clone() for name, value in recorder.constants.items()},
        {name: value.clone() for name, value in recorder.fresh.items()},
        names,
        [value.clone() for value in results],
        [*departures.seen, *recorder.left],
        recorder.sized,
    )


def execute(
    module: nn.Module, inputs: Sequence[torch.Tensor], state: Mapping[str, torch.Tensor], calls: Calls
) -> list[torch.Tensor]:
    """Run a working copy with the tensors of ``state`` put into it; every call goes through ``calls``."""
    put_state(module, state)
    calls.stack.clear()
    with torch.inference_mode(), kept_generators(), _without_fast_paths(), SpelledOut(), calls:
        result = module(*inputs)
    return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def _argument_names(module: nn.Module, count: int) -> list[str]:
    """Those of ``forward``'s signature, where it names them one by one."""
    parameters = (
        [] if isinstance(module, torch.jit.ScriptModule) else inspect.signature(module.forward).parameters.values()
    )
    named = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return named[:count] if len(named) >= count else [f"input_{position}" for position in range(count)]


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


class Calls(Mode):  # type: ignore[no-untyped-call]
    """Gives every call, with its site, to ``at_call``."""

    def __init__(self, stack: list[str], at_call: AtCall) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stack, self._at_call = stack, at_call
        self._counts: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        place = (self.stack[-1] if self.stack else "", str(func))
        self._counts[place] += 1
        return self._at_call((*place, self._counts[place]), func, args, kwargs or {})


class _Recorder(Calls):  # type: ignore[no-untyped-call]
    """Writes the calls of one run as an fx graph; see ``Recording`` for what it gathers."""

    def __init__(self, stack: list[str], held: Mapping[str, torch.Tensor]) -> None:
        super().__init__(stack, self._record)
        self.graph = fx.Graph()
        self.names: dict[Site, str] = {}
        self.keys: dict[str, str] = {}
        self.constants: dict[str, torch.Tensor] = {}
        self.fresh: dict[str, torch.Tensor] = {}
        self.left: list[str] = []
        self.sized = False
        self._nodes: Any = WeakIdKeyDictionary()  # tensor → the node that made it
        self._first: fx.Node | None = None  # the first node that is no placeholder
        for key, tensor in held.items():
            if tensor not in self._nodes:  # tied keys: the first one stands for all
                self.keys[self._placeholder(key.replace(".", "_"), tensor).name] = key

    def take_inputs(self, names: Sequence[str], values: Sequence[torch.Tensor]) -> list[str]:
        return [self._placeholder(name, value).name for name, value in zip(names, values, strict=True)]

    def end(self, results: Sequence[torch.Tensor]) -> None:
        self.graph.output(tuple(self._node_of(value) for value in results))

    def _placeholder(self, name: str, tensor: torch.Tensor) -> fx.Node:
        with self.graph.inserting_before(self._first) if self._first else nullcontext():  # without one: behind all
            node = self.graph.placeholder(name)
        return self._bind(tensor, node)

    def _bind(self, tensor: torch.Tensor, node: fx.Node) -> fx.Node:
        node.meta["val"] = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        self._nodes[tensor] = node
        return node

    def _record(self, site: Site, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func is torch.ops.aten.lift_fresh.default and args[0] not in self._nodes:
            node = self._sited(site, self.graph.call_function(func, ()))  # of numbers outside torch: nobody knows which
            self.fresh[self._bind(args[0], node).name] = args[0].clone()
            return func(*args)
        taken = pytree.tree_map_only(torch.Tensor, self._node_of, (args, kwargs))
        made = func(*args, **kwargs)
        if depends_on_values(func, args, kwargs, made):
            self.left.append(f"{func} in {site[0] or 'forward'}")
            self.sized |= isinstance(made, torch.Tensor)
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
        node.meta["nn_module_stack"] = {path: (path, "") for path in self.stack}
        self.names[site] = node.name
        self._first = self._first or node
        return node

    def _node_of(self, tensor: torch.Tensor) -> fx.Node:
        if tensor not in self._nodes:
            self.constants[self._placeholder("constant", tensor).name] = tensor.clone()
        node: fx.Node = self._nodes[tensor]
        return node
