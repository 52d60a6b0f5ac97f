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
from zoo import densenet, mobilenet, sequence_classifiers, unet, vit
from zoo.disguise import Container, disguise, exchange
from zoo.families import PAIRS
from zoo.pair import Pair
from zoo.trial import SAMPLES, SEED, Trial

#: Branches that are joined, skips, fused and raw parameters, one tensor for many keys, recurrence, depthwise.
ALWAYS = (densenet.PAIRS[0], unet.PAIRS[0], vit.PAIRS[1], sequence_classifiers.PAIRS[1], mobilenet.PAIRS[0])
ALWAYS_BY_NAME = ("keras_hub BERT → transformers BertModel",)
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
            always = pair in ALWAYS or pair.name in ALWAYS_BY_NAME
            yield pytest.param(pair, id=pair.name, marks=[] if always else [pytest.mark.long])


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
    state = loaded(module, bench.extracted(module))
    tolerance = bench.trial.pair.tolerance
    assert bench.difference(module, state) <= tolerance
    key = next(key for key in state if state[key].dim() > 1 and was[key] not in bench.trial.pair.kept)
    state[key] = state[key].flip(tuple(range(state[key].dim())))
    assert bench.difference(module, state) > 5 * tolerance


def alike(module: nn.Module) -> list[tuple[tuple[nn.Module, str], nn.Module]]:
    """Layers of one shape and one kind: (where forward finds each, it); none where there are no two."""
    found: dict[str, list[tuple[tuple[nn.Module, str], nn.Module]]] = {}
    seen: set[int] = set()
    for parent in module.modules():
        for name, child in parent.__dict__.get("_reached", {}).items():
            layer = child.held if isinstance(child, Container) else child
            if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) or id(layer) in seen:
                continue
            seen.add(id(layer))
            found.setdefault(repr(layer), []).append(((parent, name), layer))
    return next((layers for layers in found.values() if len(layers) > 1), [])


def test_two_layers_that_forward_exchanges_are_exchanged_in_the_mapping(bench: Bench) -> None:
    module, was = bench.twin(SEEDS[1])
    layers = alike(module)
    if not layers:
        assert isinstance(bench.trial.module, sequence_classifiers.GRUClassifier) or bench.trial.pair not in ALWAYS
        return
    (here, one), *_, (there, other) = layers
    names = {id(tensor): was[key] for key, tensor in module.state_dict(keep_vars=True).items()}
    ours, theirs = ([names[id(layer.weight)], *([names[id(layer.bias)]] if layer.bias is not None else [])]
                    for layer in (one, other))  # fmt: skip
    before = {key: str(recipe) for key, recipe in bench.plain.plan.recipes.items()}
    exchanged = {**before, **{a: before[b] for a, b in zip([*ours, *theirs], [*theirs, *ours], strict=True)}}
    assert exchanged != before
    exchange(module, here, there)
    found = mapping(bench.extracted(module), was)
    assert found == {key: recipe for key, recipe in exchanged.items() if key in found}
