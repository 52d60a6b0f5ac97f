"""A module read by forward hooks on its leaf modules: for what ``torch.export`` refuses.

The grain is coarser: an op is the call of a leaf module, and what a ``forward`` does between its children is
not seen, only run. Parameters used outside the leaf modules of ``LEAVES`` cannot be placed this way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.utils import _pytree as pytree

from ..errors import UnsupportedError
from .aten import convolution
from .op import Op, Slot
from .reading import AtOp, Glue, OpCall, State, Watch, compute, ignore

Leaf: TypeAlias = Callable[[Any], tuple[str, dict[str, Any], int | None]]


def _convolution(module: Any) -> tuple[str, dict[str, Any], int | None]:
    rank = len(module.kernel_size)
    pads = module._reversed_padding_repeated_twice  # noqa: SLF001 - where nn.Conv keeps 'same' and numbers alike
    padding = tuple((pads[2 * axis], pads[2 * axis + 1]) for axis in reversed(range(rank)))
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    hyper = {"stride": module.stride, "dilation": module.dilation, "groups": module.groups, "padding": padding}
    return f"conv{rank}d", hyper | {"padding_mode": mode}, 1


def _transposed(module: Any) -> tuple[str, dict[str, Any], int | None]:
    names = ("stride", "padding", "output_padding", "dilation", "groups")
    return f"conv_transpose{len(module.kernel_size)}d", {name: getattr(module, name) for name in names}, 1


def _linear(_module: Any) -> tuple[str, dict[str, Any], int | None]:
    return "linear", {}, -1


def _batch_norm(module: Any) -> tuple[str, dict[str, Any], int | None]:
    return "batch_norm", {"eps": module.eps}, 1


def _layer_norm(module: Any) -> tuple[str, dict[str, Any], int | None]:
    features = tuple(module.normalized_shape)
    return "layer_norm", {"eps": module.eps, "features": features}, -1 if len(features) == 1 else None


def _group_norm(module: Any) -> tuple[str, dict[str, Any], int | None]:
    return "group_norm", {"eps": module.eps, "groups": module.num_groups, "features": (module.num_channels,)}, None


def _embedding(_module: Any) -> tuple[str, dict[str, Any], int | None]:
    return "embedding", {}, None


def _prelu(_module: Any) -> tuple[str, dict[str, Any], int | None]:
    return "prelu", {}, 1


LEAVES: Mapping[type[nn.Module], Leaf] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _transposed),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    nn.Linear: _linear,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.Embedding: _embedding,
    nn.PReLU: _prelu,
}


class HookedReading:
    """See ``Reading``. The module runs as it is, with any control flow; nothing is traced.

    Raises:
        UnsupportedError: a module outside ``LEAVES`` holds parameters of its own.
    """

    how = "forward hooks"

    def __init__(self, module: nn.Module, inputs: Sequence[torch.Tensor]) -> None:
        self._module = module
        self._leaves = dict(_leaves(module))
        self.ops: dict[str, Op] = {}
        self.places: dict[str, str] = {}
        self.glue: dict[str, Glue] = {}
        self.results: dict[str, str] = {}
        state = dict(module.state_dict())

        def learn(call: OpCall) -> torch.Tensor:
            self.ops[call.op.name] = call.op
            return call.compute()

        def place(name: str, _value: torch.Tensor) -> None:
            path = name.partition("#")[0]
            self.results[path] = name
            self.places[name] = f"{path} ({type(self._leaves[path]).__name__})" if path in self._leaves else name

        self.run(inputs, state, learn, place)

    def run(
        self, inputs: Sequence[torch.Tensor], state: State, at_op: AtOp = compute, watch: Watch = ignore
    ) -> list[torch.Tensor]:
        calls: Counter[str] = Counter()
        for position, value in enumerate(inputs):
            watch(f"input {position}", value)

        def hook(path: str, leaf: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:
            calls[path] += 1
            name = path if calls[path] == 1 else f"{path}#{calls[path] - 1}"
            op = _op(name, path, leaf)
            if op is not None and isinstance(output, torch.Tensor):
                output = at_op(OpCall(op, arguments[0], tuple(output.shape), lambda: output)).clone()
            if isinstance(output, torch.Tensor):
                watch(name, output)
            return output

        with torch.no_grad(), _hooks(self._leaves, hook):
            arguments = tuple(value.clone() for value in inputs)
            result = torch.func.functional_call(self._module, dict(state), arguments, tie_weights=False)
        return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def _leaves(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Path → every module without children, or of a known class; refuses parameters that sit elsewhere."""
    for path, child in module.named_modules():
        own = list(_own_state(child))
        if type(child) in LEAVES or not list(child.children()):
            if own and type(child) not in LEAVES:
                raise _refusal(path, child, own)
            yield path, child
        elif own:
            raise _refusal(path, child, own)


def _own_state(module: nn.Module) -> Iterator[str]:
    """Names of what the module itself puts into the state_dict."""
    yield from (name for name, _ in module.named_parameters(recurse=False))
    hidden = module._non_persistent_buffers_set  # noqa: SLF001 - torch has no public way to ask
    yield from (name for name, _ in module.named_buffers(recurse=False) if name not in hidden)


def _refusal(path: str, module: nn.Module, names: list[str]) -> UnsupportedError:
    return UnsupportedError(
        f"{type(module).__name__} holds {', '.join(names)} itself, and the module cannot be traced",
        where=path or type(module).__name__,
        fix="make the module traceable by torch.export, or move these parameters into torch.nn layers",
    )


def _op(name: str, path: str, module: nn.Module) -> Op | None:
    leaf = LEAVES.get(type(module))
    if leaf is None:
        return None
    kind, hyper, axis = leaf(module)
    slots = {
        slot: Slot(f"{path}.{slot}" if path else slot, tuple(getattr(module, slot).shape))
        for slot in _own_state(module)
        if slot != "num_batches_tracked"
    }
    if not slots:
        return None
    op = Op(name, kind, path, slots, hyper, axis)
    return convolution(op) if kind.startswith("conv") and "transpose" not in kind else op


@contextmanager
def _hooks(leaves: Mapping[str, nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    def at(path: str) -> Callable[[nn.Module, tuple[Any, ...], Any], Any]:
        return lambda module, arguments, output: hook(path, module, arguments, output)

    with ExitStack() as stack:
        for path, leaf in leaves.items():
            stack.callback(leaf.register_forward_hook(at(path)).remove)
        yield
