"""The user's module run with the grafted state_dict: outputs of all samples, aligned layers of the first ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from ..base import AlignedLayer, Extraction, Progress
from ..plan import Array, Reshape, apply_moves
from ..torch_graph import as_tensor, user_forward, working_copy

#: Samples a forward call takes where the module's layout does not fix the number.
BATCH = 32


def state_tensors(extraction: Extraction) -> dict[str, torch.Tensor]:
    """The state as tensors that share memory with the arrays."""
    return {key: torch.from_numpy(array) for key, array in extraction.state.items()}


def module_inputs(extraction: Extraction, inputs: Mapping[str, Array]) -> list[torch.Tensor]:
    """Keras' inputs as the module takes them: in its order and layout, integers as int64."""
    return [as_tensor(apply_moves(moves, inputs[name])) for name, moves in extraction.inputs.items()]


def outputs_of(
    module: nn.Module, extraction: Extraction, inputs: Mapping[str, Array], probe_samples: int, progress: Progress
) -> dict[str, Array]:
    """Output name → array in Keras layout, all samples, by the module's own ``forward``.

    Where a Reshape lies between the module's output and Keras', it holds for ``probe_samples`` samples: batches are
    then of that size, the last one filled up with its own first sample.
    """
    twin = working_copy(module)
    state = state_tensors(extraction)
    fixed = any(isinstance(move, Reshape) for _, moves in extraction.outputs.values() for move in moves)
    size = probe_samples if fixed else BATCH
    total = len(next(iter(inputs.values())))
    gathered: dict[str, list[Array]] = {name: [] for name in extraction.outputs}
    for start, chunk, real in _chunks(inputs, total, size, fill=fixed):
        progress.step("running the module", start, total)
        taken = module_inputs(extraction, chunk)
        with torch.no_grad(), user_forward(module, taken):
            made = torch.func.functional_call(twin, state, tuple(taken), tie_weights=False)
        leaves = [leaf for leaf in pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        for name, (position, moves) in extraction.outputs.items():
            gathered[name].append(apply_moves(moves, leaves[position].numpy())[:real])
    return {name: np.concatenate(parts) for name, parts in gathered.items()}


def _chunks(
    inputs: Mapping[str, Array], total: int, size: int, fill: bool
) -> Iterator[tuple[int, dict[str, Array], int]]:
    """(start, samples, how many of them are real)."""
    for start in range(0, total, size):
        chunk = {name: array[start : start + size] for name, array in inputs.items()}
        real = min(size, total - start)
        if fill and real < size:
            chunk = {name: np.concatenate([a, np.repeat(a[:1], size - real, 0)]) for name, a in chunk.items()}
        yield start, chunk, real


def layers_of(
    module: nn.Module, extraction: Extraction, inputs: Mapping[str, Array], probe_samples: int
) -> dict[str, Array]:
    """Boundary name → array in Keras layout, the first ``probe_samples`` samples, by the reading of the module."""
    wanted: dict[str, list[AlignedLayer]] = {}
    for layer in extraction.layers:
        wanted.setdefault(layer.node, []).append(layer)
    found: dict[str, Array] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        for layer in wanted.get(name, ()):
            found[layer.boundary] = np.array(apply_moves(layer.moves, value.numpy()))

    first = {name: array[:probe_samples] for name, array in inputs.items()}
    state = {**module.state_dict(), **state_tensors(extraction)}
    extraction.reading.run(module_inputs(extraction, first), state, watch=watch)
    return found
