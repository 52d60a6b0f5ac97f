"""Adversarial twins of the zoo's modules: other names, another order of registration, containers; the same mapping.

Stages 1 to 4 run once a pair, stage 5 once a twin. Every small pair has twins; those of a few kinds run always.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property

import pytest
import torch
from first_stages import first_stages
from torch import nn
from torchgraft.stages.base import Artifacts, Extraction, Job, Silent
from torchgraft.stages.extract import Extract
from zoo.disguise import Container, disguise, exchange
from zoo.families import PAIRS
from zoo.pair import Pair
from zoo.trial import SAMPLES, SEED, Trial

#: Branches that are joined, skips, raw parameters and a fused qkv, weights that are not transposed, recurrence.
ALWAYS = (
    *("DenseNet, small → torchvision DenseNet", "U-Net → U-Net by hand", "keras_hub ViT → timm VisionTransformer"),
    *("keras_hub GPT-2 → transformers GPT2Model", "GRU classifier → nn.GRU and a loop over nn.GRUCell"),
)
SEEDS = (1, 2, 3)


class Bench:
    """A pair whose Keras side is imported, and its module, which is aligned in any disguise."""

    def __init__(self, pair: Pair) -> None:
        self.trial = Trial(pair, told=pair.told is not None)
        inputs = pair.inputs(self.trial.keras, SAMPLES, SEED)
        self._artifacts = first_stages(self.trial.keras, inputs)

    def extracted(self, module: nn.Module) -> Extraction:
        job = replace(self._artifacts[Job], module=module, probe_samples=2)
        others = (made for kind, made in self._artifacts._kept.items() if kind is not Job)
        return Extract().run(Artifacts(job, *others), Silent())

    @cached_property
    def plain(self) -> Extraction:
        """Of the module as somebody wrote it."""
        return self.extracted(self.trial.module)

    def twin(self, seed: int) -> tuple[nn.Module, dict[str, str]]:
        """(the module in a disguise, its keys → what they were)."""
        module = copy.deepcopy(self.trial.module)
        return module, disguise(module, seed)

    def difference(self, module: nn.Module, state: Mapping[str, torch.Tensor]) -> float:
        """Of the outputs from Keras' on fresh inputs, relative."""
        ours = copy.copy(self.trial)
        ours.__dict__["module"] = module
        return ours.difference(dict(state))


def loaded(module: nn.Module, extraction: Extraction) -> dict[str, torch.Tensor]:
    """The state_dict that the extraction makes of the module's."""
    return {**module.state_dict(), **{key: torch.from_numpy(array.copy()) for key, array in extraction.state.items()}}


def mapping(extraction: Extraction, was: Mapping[str, str]) -> dict[str, str]:
    """Key before the disguise → Recipe."""
    return {was[key]: str(recipe) for key, recipe in extraction.plan.recipes.items()}


def told(extraction: Extraction) -> list[tuple[str, str]]:
    return sorted((finding.severity, finding.layer) for finding in extraction.findings)


def cases() -> Iterator[object]:
    for pair in PAIRS:
        if not pair.full and (pair.told or not pair.differs):
            yield pytest.param(pair, id=pair.name, marks=[] if pair.name in ALWAYS else [pytest.mark.long])


@pytest.fixture(scope="module", params=cases())
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield Bench(request.param)
    gc.collect()  # Keras' and torch's modules are cycles: the next pair may be as large


@pytest.mark.parametrize("seed", SEEDS)
def test_names_order_and_containers_do_not_change_the_mapping(bench: Bench, seed: int) -> None:
    module, was = bench.twin(seed)
    plain = bench.plain
    assert not {key.split(".")[0] for key in was} & {key.split(".")[0] for key in was.values()}
    extraction = bench.extracted(module)
    found = mapping(extraction, was)
    assert found == {key: str(recipe) for key, recipe in plain.plan.recipes.items() if key in found}
    every = set(was.values())  # of tied keys one
    assert set(found) | {was[left.name] for left in extraction.plan.unmatched} == every
    assert {left.name for left in plain.plan.unmatched} & every == {was[one.name] for one in extraction.plan.unmatched}
    assert {left.name for left in extraction.plan.unused} == {left.name for left in plain.plan.unused}
    assert sorted(map(len, extraction.plan.ties)) == sorted(map(len, plain.plan.ties))
    assert told(extraction) == told(plain)


def test_the_outputs_of_a_twin_are_keras_and_a_corrupted_weight_shows(bench: Bench) -> None:
    module, was = bench.twin(SEEDS[0])
    extraction = bench.extracted(module)
    state, tied = loaded(module, extraction), {key for tie in extraction.plan.ties for key in tie}
    tolerance = bench.trial.pair.tolerance
    assert bench.difference(module, state) <= tolerance
    kept = bench.trial.pair.kept
    key = next(key for key in state if state[key].dim() > 1 and was[key] not in kept and key not in tied)
    state[key] = state[key].flip(tuple(range(state[key].dim())))
    assert bench.difference(module, state) > 5 * tolerance


def alike(module: nn.Module) -> list[tuple[tuple[nn.Module, str], nn.Module]]:
    """Layers of one shape and one kind, of weights of their own: (where forward finds each, it); none without two."""
    found: dict[str, list[tuple[tuple[nn.Module, str], nn.Module]]] = {}
    seen: set[int] = set()
    for parent in module.modules():
        for name, child in parent.__dict__.get("_reached", {}).items():
            layer = child.held if isinstance(child, Container) else child
            is_leaf = isinstance(layer, nn.Module) and not layer._modules and any(True for _ in layer.parameters())
            if not is_leaf or seen & set(map(id, layer.parameters())):
                continue
            seen |= set(map(id, layer.parameters()))
            found.setdefault(repr(layer), []).append(((parent, name), layer))
    return next((layers for layers in found.values() if len(layers) > 1), [])


def test_there_is_a_pair_of_every_kind_that_runs_always() -> None:
    assert {pair.name for pair in PAIRS} >= set(ALWAYS)


def test_two_layers_that_forward_exchanges_are_exchanged_in_the_mapping(bench: Bench) -> None:
    module, was = bench.twin(SEEDS[1])
    layers = alike(module)
    if not layers:
        pytest.skip("no two layers of one shape")
    (here, one), *_, (there, other) = layers
    names = {id(tensor): was[key] for key, tensor in module.state_dict(keep_vars=True).items()}
    ours, theirs = (
        sorted(names[id(own)] for own in layer.state_dict(keep_vars=True).values()) for layer in (one, other)
    )
    before = {key: str(recipe) for key, recipe in bench.plain.plan.recipes.items()}
    exchanged = {**before, **{a: before[b] for a, b in zip([*ours, *theirs], [*theirs, *ours], strict=True)}}
    assert exchanged != before
    exchange(module, here, there)
    found = mapping(bench.extracted(module), was)
    assert found == {key: recipe for key, recipe in exchanged.items() if key in found}
