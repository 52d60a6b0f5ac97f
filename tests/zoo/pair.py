"""A pair of the zoo: a Keras model, somebody else's PyTorch module of the same architecture, how a user feeds both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras
    import torch

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = dict[str, Array]


def built(what: str, *args: Any, **options: Any) -> Callable[[], Any]:
    """A factory that imports when it is called: ``built("timm:create_model", "convnext_tiny", num_classes=10)``."""

    def build() -> Any:
        module, _, attribute = what.partition(":")
        return getattr(import_module(module), attribute)(*args, **options)

    return build


def random_inputs(model: keras.Model, samples: int, seed: int) -> Arrays:
    """Input name → array, batch first: floats around zero, integers (token ids) below 5, masks of ones.

    Each image has a colour of its own: of noise alone a global pooling makes the same of every sample.
    """
    random = np.random.default_rng(seed)
    made = {}
    for tensor in model.inputs:
        shape = (samples, *(size or 8 for size in tensor.shape[1:]))
        if "mask" in tensor.name:
            array = np.ones(shape)
        elif "int" in tensor.dtype:
            array = random.integers(0, 5, shape)
        else:
            colours = random.normal(size=(samples, *(1 for _ in shape[2:]), shape[-1]))
            array = random.normal(size=shape) + (colours if len(shape) == 4 else 0)
        made[tensor.name] = array.astype(tensor.dtype)
    return made


def pixels(model: keras.Model, samples: int, seed: int) -> Arrays:
    """Images of 0 to 255, for a model that has its preprocessing inside."""
    drawn = random_inputs(model, samples, seed)
    return {name: np.clip(128 + 50 * array, 0, 255).astype(array.dtype) for name, array in drawn.items()}


def channels_first(inputs: Mapping[str, npt.NDArray[Any]]) -> Sequence[torch.Tensor]:
    """What the module is called with: images channel-first, in the order of the Keras inputs."""
    import torch

    images = (np.moveaxis(array, -1, 1) if array.ndim == 4 else array for array in inputs.values())
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in images]


def preprocessed(mean: tuple[float, ...], deviation: tuple[float, ...], scale: float = 255.0) -> Any:
    """The feed of a module that leaves ``(x / scale - mean) / deviation`` to its caller, where Keras has it inside."""

    def feed(inputs: Mapping[str, npt.NDArray[Any]]) -> Sequence[torch.Tensor]:
        laid = {name: (array / scale - np.array(mean)) / np.array(deviation) for name, array in inputs.items()}
        return channels_first({name: array.astype("float32") for name, array in laid.items()})

    return feed


def turned(inputs: Mapping[str, npt.NDArray[Any]]) -> Sequence[torch.Tensor]:
    """Series (batch, time, features) as nn.Conv1d reads them: (batch, features, time)."""
    import torch

    return [torch.from_numpy(np.ascontiguousarray(np.swapaxes(array, 1, 2))) for array in inputs.values()]


def the_tensor(result: Any) -> Sequence[torch.Tensor]:
    """The outputs of forward, in the order of the Keras outputs: a tensor, a tuple, or the logits of a dataclass."""
    result = getattr(result, "logits", result)
    return result if isinstance(result, (tuple, list)) else [result]


def probabilities(result: Any) -> Sequence[torch.Tensor]:
    """The softmax, which Keras has inside, of what a module leaves as logits."""
    return [tensor.softmax(-1) for tensor in the_tensor(result)]


@dataclass(frozen=True)
class Pair:
    """A Keras model and a module of the same architecture, or, with ``differs``, of nearly the same.

    Attributes:
        name: "keras VGG16 → torchvision vgg16"; unique.
        keras, module: what builds them, each time anew. Their weights are drawn anew by the harness.
        inputs: (Keras model, samples, seed) → its inputs.
        feed: those inputs → the arguments of forward, as whoever wrote the module gives them.
        read: what forward returns → its tensors, in the order of the Keras outputs.
        full: the size of the original, or more of what another pair shows; runs with ``pytest -m long``. Every other
            pair runs always.
        findings: words of each finding that there must be (one entry a line that mends), no other is allowed; a pair
            with findings that are warnings is verified all the same.
        told: applies what the findings told to the module: after it there are notes at most, and it is verified.
        kept: keys for which Keras has nothing: constants of the module's own.
        differs: the module computes something else: refused with exit code 7; the words are of the refusal (the place).
        gammas: from what to what they are drawn; in a residual network of a hundred layers small, as training leaves
            them: with others rounding errors grow past every tolerance.
        tolerance: of the outputs on fresh inputs, relative to the largest; by default torchgraft's own.
    """

    name: str
    keras: Callable[[], keras.Model]
    module: Callable[[], torch.nn.Module]
    inputs: Callable[[keras.Model, int, int], Arrays] = random_inputs
    feed: Callable[[Arrays], Sequence[torch.Tensor]] = channels_first
    read: Callable[[Any], Sequence[torch.Tensor]] = the_tensor
    full: bool = False
    findings: tuple[str, ...] = ()
    told: Callable[[torch.nn.Module], None] | None = None
    kept: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    gammas: tuple[float, float] = (0.6, 1.4)
    tolerance: float = 1e-4
