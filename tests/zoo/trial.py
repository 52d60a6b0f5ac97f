"""One pair, tried: both sides built with random weights, converted without a hint, and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from zoo.pair import Array, Pair
from zoo.provenance import recomputed
from zoo.weights import other_weights, random_weights

if TYPE_CHECKING:
    import keras
    import torch
    import torchgraft

#: Of the inputs that torchgraft is given; the test's own come from another.
SEED, FRESH_SEED = 1, 99
SAMPLES = 3


@dataclass
class Trial:
    """A pair in the middle of being tried.

    Attributes:
        pair: it.
        told: whether what the findings tell is applied first.
    """

    pair: Pair
    told: bool = False
    seconds: float = field(default=0.0, init=False)

    @cached_property
    def keras(self) -> keras.Model:
        model = self.pair.keras()
        return random_weights(model, self.pair.inputs(model, 16, SEED), gammas=self.pair.gammas)

    @cached_property
    def module(self) -> torch.nn.Module:
        module = self.pair.module()
        if self.told:
            assert self.pair.told is not None
            self.pair.told(module)
        return other_weights(module)

    @cached_property
    def conversion(self) -> torchgraft.Conversion:
        """Of ``torchgraft.convert``, with nothing but the two sides and inputs."""
        import torchgraft

        inputs = self.pair.inputs(self.keras, SAMPLES, SEED)
        module = self.module
        start = time.perf_counter()
        made = torchgraft.convert(self.keras, module, inputs=inputs, probe_samples=2)
        self.seconds = time.perf_counter() - start
        return made

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan as it would stand in plan.json."""
        return self.conversion.plan.to_json()

    @cached_property
    def variables(self) -> dict[str, Array]:
        """Path → array of every variable, from the Keras model itself."""
        from torchgraft.stages.keras_layers import variable_paths

        return {path: np.asarray(variable) for path, variable in variable_paths(self.keras).items()}

    @property
    def kept(self) -> set[str]:
        """Keys for which Keras has nothing, so that the module's own value stays."""
        return {key for key, entry in self.plan["keys"].items() if "expression" not in entry}

    def wrong_tensors(self, state: dict[str, torch.Tensor]) -> list[str]:
        """Keys whose tensor is not bit for bit what the plan's JSON makes of the Keras variables."""
        wrong = []
        for key, entry in self.plan["keys"].items():
            tensor = state[key].numpy()
            if "expression" in entry:
                made = recomputed(entry["expression"], self.variables)
                if (made.shape, made.dtype, made.tobytes()) != (tensor.shape, tensor.dtype, tensor.tobytes()):
                    wrong.append(key)
        return wrong

    def difference(self, state: dict[str, torch.Tensor]) -> float:
        """The largest difference of any output on fresh inputs, relative to that output's largest value."""
        import torch

        inputs = self.pair.inputs(self.keras, SAMPLES, FRESH_SEED)
        self.module.load_state_dict(state, strict=True)
        with torch.no_grad():
            given = [tensor.numpy() for tensor in self.pair.read(self.module.eval()(*self.pair.feed(inputs)))]
        return max(self._relative(ours, theirs) for ours, theirs in zip(given, self.expected, strict=True))

    def exchangeable(self) -> tuple[str, str]:
        """Two keys of one shape and several axes; one and the same where there are none."""
        state = self.conversion.state_dict
        many = [key for key in state if state[key].dim() > 1 and key not in self.kept]
        for position, key in enumerate(many):
            for other in many[position + 1 :]:
                if state[other].shape == state[key].shape and state[other] is not state[key]:
                    return key, other
        return many[0], many[0]

    @staticmethod
    def _relative(ours: Array, theirs: Array) -> float:
        if ours.ndim == 4:
            ours = np.moveaxis(ours, 1, -1)
        assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
        return float(np.abs(ours - theirs).max() / np.abs(theirs).max())

    @cached_property
    def expected(self) -> list[Array]:
        """Keras' outputs on the fresh inputs, in order."""
        import keras

        inputs = self.pair.inputs(self.keras, SAMPLES, FRESH_SEED)
        made = self.keras.predict(inputs if len(inputs) > 1 else next(iter(inputs.values())), verbose=0)
        return [np.asarray(leaf) for leaf in keras.tree.flatten(made)]

    def evidence(self) -> Counter[str]:
        """How many keys were placed by values, by structure, by names; "stated" are constants that Keras has not."""
        return Counter(_kind(entry["evidence"]) for entry in self.plan["keys"].values() if "evidence" in entry)


def _kind(evidence: list[str]) -> str:
    if any(" by name" in sentence for sentence in evidence):
        return "names"
    kinds = [kind for kind in ("values", "structure") if any(sentence.startswith(kind) for sentence in evidence)]
    return kinds[0] if kinds else "stated"
