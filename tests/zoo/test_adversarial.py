"""Adversarial twins: the same module under random names, registered in another order, in containers."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torchgraft
from torch import nn
from zoo import autoencoder, mixer, multitask, transformer_encoder, unet
from zoo.pair import Pair
from zoo.trial import SAMPLES, SEED, Trial

TWINS = (unet.PAIRS[0], autoencoder.PAIRS[0], mixer.PAIRS[0], multitask.PAIRS[0], transformer_encoder.PAIRS[0])
#: Layers that may stand in a container: nobody reaches into them for their weights.
LAYERS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.LayerNorm, nn.Linear)
#: Modules that find their children by their names, or read their weights themselves.
KEPT = (nn.ModuleList, nn.ModuleDict, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)


class Container(nn.Module):
    """A layer, one level deeper under another name."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        super().__init__()
        self.add_module(name, layer)

    def forward(self, *values: Any) -> Any:
        (layer,) = self._modules.values()
        assert layer is not None
        return layer(*values)


def disguise(module: nn.Module, seed: int) -> None:
    """Rename every submodule at random, shuffle the order of registration, and put layers into containers.

    ``forward`` finds its children under the attributes that it was written with: these no longer register anything.
    """
    draw = random.Random(seed)
    names = (f"{draw.choice('abcdefgh')}{number}x" for number in itertools.count())
    for parent in list(module.modules()):
        if isinstance(parent, KEPT):
            continue
        children = [(name, child) for name, child in parent._modules.items() if child is not None]
        if not isinstance(parent, nn.Sequential):
            draw.shuffle(children)
        parent._modules.clear()
        for name, child in children:
            held = Container(next(names), child) if isinstance(child, LAYERS) and draw.random() < 0.5 else child
            parent._modules[next(names)] = held
            object.__setattr__(parent, name, held)


def recipes(pair: Pair, trial: Trial, module: nn.Module) -> dict[int, str]:
    """id of each tensor of the module → its recipe."""
    inputs = pair.inputs(trial.keras, SAMPLES, SEED)
    conversion = torchgraft.convert(trial.keras, module, inputs=inputs, probe_samples=2)
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    held = module.state_dict(keep_vars=True)
    return {id(held[key]): str(recipe) for key, recipe in conversion.plan.recipes.items()}


@pytest.mark.parametrize("pair", TWINS, ids=lambda pair: pair.name)
def test_names_order_and_containers_do_not_change_the_mapping(pair: Pair) -> None:
    trial = Trial(pair)
    module = trial.module
    before = recipes(pair, trial, module)
    keys = set(module.state_dict())
    disguise(module, seed=7)
    assert not keys & {key for key in module.state_dict() if "x" in key.rpartition(".")[0]}
    after = recipes(pair, trial, module)
    assert after == before


def test_another_mapping_would_be_seen() -> None:
    pair = TWINS[0]
    trial = Trial(pair)
    before = recipes(pair, trial, trial.module)
    assert len(set(before.values())) > len(before) / 2
