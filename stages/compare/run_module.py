"""The user's module run with the grafted state_dict: outputs of all samples, aligned layers of the first ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import nn

from ..base import AlignedLayer, Extraction, Progress
from ..plan import Array, apply_moves
from ..torch_graph import (
    Surroundings,
    adapted,
    call_of_fit,
    fed,
    floating_dtype,
    in_dtype,
    outputs_by_place,
    user_forward,
    working_copy,
)
from .states import State

#: Samples that a forward call takes.
BATCH = 32


def outputs_of(
    module: nn.Module,
    extraction: Extraction,
    state: State,
    around: Surroundings,
    inputs: Mapping[str, Array],
    *,
    progress: Progress,
) -> dict[str, Array]:
    """Name of each output, or layer, of ``extraction.fit`` → array in Keras layout, all samples, run by forward."""
    twin = adapted(working_copy(module), call_of_fit(extraction.fit))
    total = len(next(iter(inputs.values())))
    gathered: dict[str, list[Array]] = {name: [] for name in extraction.fit.outputs}
    for start, chunk in _chunks(inputs, total):
        progress.step("running the module", start, total)
        taken = fed(extraction.fit.inputs, around.values(extraction.fit, chunk), floating_dtype(module))
        with torch.no_grad(), user_forward(module, taken):
            made = {place: _measurable(tensor) for place, tensor in outputs_by_place(twin, taken, state).items()}
        for name, fit in extraction.fit.outputs.items():
            gathered[name].append(around.output(name, fit, made[str(fit.place)]))
    return {name: np.concatenate(parts) for name, parts in gathered.items()}


def _measurable(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision as float32, which numpy has and which holds every value of it."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _chunks(inputs: Mapping[str, Array], total: int) -> Iterator[tuple[int, dict[str, Array]]]:
    """(start, samples)."""
    for start in range(0, total, BATCH):
        yield start, {name: array[start : start + BATCH] for name, array in inputs.items()}


def layers_of(
    module: nn.Module,
    extraction: Extraction,
    state: State,
    around: Surroundings,
    inputs: Mapping[str, Array],
    *,
    probe_samples: int,
    dtype: torch.dtype,
) -> dict[str, Array]:
    """Boundary name → array in Keras layout, the first ``probe_samples`` samples, by the reading of the module.

    ``dtype`` is the floating type that the module was read in: the reference's.
    """
    wanted: dict[str, list[AlignedLayer]] = {}
    for layer in extraction.layers:
        wanted.setdefault(layer.node, []).append(layer)
    found: dict[str, Array] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        for layer in wanted.get(name, ()):
            found[layer.boundary] = np.array(apply_moves(layer.moves, value.numpy()))

    first = {name: array[:probe_samples] for name, array in inputs.items()}
    held = {key: in_dtype(tensor, dtype) for key, tensor in {**module.state_dict(), **state}.items()}
    taken = fed(extraction.fit.inputs, around.values(extraction.fit, first), dtype)
    extraction.reading.run(taken, held, watch=watch)
    return found
