"""What the user asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..fit import Fit
from ..hints import Hint
from ..plan import Array

if TYPE_CHECKING:
    import keras
    import torch


@dataclass(frozen=True)
class Tolerance:
    """When two arrays agree: ``max|a - b| <= atol + rtol * max|b|``, b the Keras side, nothing NaN or Inf.

    Relative to the largest value of the array, not element by element: a float32 sum of n products errs by about
    ``sqrt(n) * 2**-24`` of its largest term, also where the terms cancel. 1e-4 is that for n around 1e6 (three
    runtimes, fifty layers) and still far below a wrong epsilon (1e-3 against 1e-5: 5e-4 at unit variance).
    ``reason`` says where another one comes from (see precision.py).
    """

    atol: float = 1e-6
    rtol: float = 1e-4
    reason: str = field(default="", compare=False)


@dataclass(frozen=True)
class Job:
    """What the user asked for.

    Attributes:
        model: the Keras model, in memory.
        module: the user's module, or None: the imported module is then the target.
        inputs: Keras input name → array, batch first, in Keras layout; all samples.
        labels: integer class labels, or None: then no accuracy is measured.
        tolerance: when arrays agree.
        probe_samples: how many of the samples are compared layer by layer.
        seed: of every random number.
        fit: what is stated of how the module takes Keras' inputs and gives Keras' outputs; the rest is found.
        hints: what is stated of the mapping: decides between candidates that values leave open.
        allow_unmatched: patterns of keys that keep the module's own values.
        model_source / module_source: where they came from, for messages ("lenet.keras", "net.py:LeNet5").
        model_notes: how the model was read, where that is not plain ("by tf_keras, because …"), for the summary.
    """

    model: keras.Model
    module: torch.nn.Module | None
    inputs: Mapping[str, Array]
    labels: Array | None = None
    tolerance: Tolerance = Tolerance()
    probe_samples: int = 4
    seed: int = 0
    model_source: str = "the Keras model"
    module_source: str = "the module"
    model_notes: tuple[str, ...] = ()
    fit: Fit = field(default_factory=Fit)
    hints: tuple[Hint, ...] = ()
    allow_unmatched: tuple[str, ...] = ()

    def check(self) -> None:
        lengths = {name: len(array) for name, array in self.inputs.items()}
        assert len(set(lengths.values())) == 1, f"inputs of different length: {lengths}"
