"""The search: the user's module is aligned under every way of giving it the inputs, until all is placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils import _pytree as pytree

from ..errors import DifferenceError
from ..torch_graph import ForwardError, Reading, read, user_forward, working_copy
from .align import Alignment, align
from .fit import Fit, fits
from .probe import NARROW, Probe
from .reference import Reference


@dataclass(frozen=True)
class Found:
    """The user's module, aligned.

    Attributes:
        fit: how it takes Keras' inputs.
        inputs: the probe's, so given.
        reading: the module, read on them.
        probe: the reference under the probe.
        alignment: the pairs.
        expected: the place of each Keras output among the module's, by name, else by position.
    """

    fit: Fit
    inputs: Sequence[torch.Tensor]
    reading: Reading
    probe: Probe
    alignment: Alignment
    expected: tuple[int, ...]


def search(module: nn.Module, reference: Reference) -> Found:
    """The first Fit under which all is placed by values, else that under which most is.

    Raises:
        MappingError: forward fails however the inputs are given.
        DifferenceError: forward is not deterministic.
        UnsupportedError: the module cannot be read.
    """
    best: Found | None = None
    failure: ForwardError | None = None
    for fit in fits(module, reference.ports):
        inputs = fit.tensors(reference.inputs(NARROW))
        try:
            reading = read(module, inputs)
        except ForwardError as error:
            failure = failure or error
            continue
        expected = _expected_places(_output_names(module, inputs), reference.outputs)
        probed = reference.probed(reading, NARROW)
        alignment = align(reference, probed, reading, inputs, module.state_dict(), expected=expected)
        if best is None or alignment.score > best.alignment.score:
            best = Found(fit, inputs, reading, probed, alignment, expected)
        if alignment.is_whole:
            break
    if best is None:
        assert failure is not None
        raise failure
    return best


def _expected_places(names: Sequence[str], outputs: Sequence[str]) -> tuple[int, ...]:
    """Where each Keras output is expected: under its own name in a dict, else at its position."""
    return tuple(names.index(name) if name in names else place for place, name in enumerate(outputs))


def _output_names(module: nn.Module, inputs: Sequence[torch.Tensor]) -> list[str]:
    """The key of each of the module's outputs in what forward returns; "" where it has none.

    Run one copy twice under two seeds: a forward that draws random numbers in eval mode, or that changes what it
    computes with, can prove nothing.
    """
    results = []
    twin = working_copy(module)
    for seed in (0, 1):
        with torch.no_grad(), torch.random.fork_rng(devices=[]), user_forward(module, inputs):
            torch.manual_seed(seed)
            made = twin(*(value.clone() for value in inputs))
        leaves, _ = pytree.tree_flatten_with_path(made)
        tensors = [(path, leaf) for path, leaf in leaves if isinstance(leaf, torch.Tensor)]
        results.append([leaf.clone() for _, leaf in tensors])
    for first, second in zip(*results, strict=True):
        if not torch.equal(first.nan_to_num(), second.nan_to_num()):
            raise DifferenceError(
                "forward is not deterministic in eval mode: two runs on the same inputs differ",
                where=type(module).__name__,
                fix="use torch.nn.Dropout, and guard random numbers and changes of state by `if self.training`",
            )
    return [str(getattr(path[-1], "key", "")) if path else "" for path, _ in tensors]
