"""Random weights on both sides, so that nothing is equal by luck, and nothing vanishes or blows up on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras
    import torch
    from zoo.pair import Arrays


def random_weights(
    model: keras.Model, inputs: Arrays, seed: int = 0, gammas: tuple[float, float] = (0.6, 1.4)
) -> keras.Model:
    """``model`` with every floating weight drawn anew, by its name, and moving statistics near those of ``inputs``.

    Kernels have twice the variance that would keep the activations' (He et al. 2015): a ReLU takes half of it. What
    Normalization holds is preprocessing, no weight: it stays.
    """
    import keras

    random = np.random.default_rng(seed)
    layers = model._flatten_layers()
    fixed = {id(w) for layer in layers if isinstance(layer, keras.layers.Normalization) for w in layer.weights}
    for variable in model.weights:
        name, shape = variable.name, tuple(variable.shape)
        if id(variable) in fixed or not str(variable.dtype).startswith("float"):
            continue
        if "variance" in name or "gamma" in name or name == "scale":
            values = random.uniform(*(gammas if "gamma" in name else (0.6, 1.4)), shape)
        elif len(shape) < 2 or "bias" in name or "beta" in name or "mean" in name:
            values = random.normal(0.0, 0.2, shape)
        elif "embedding" in name:
            values = random.normal(0.0, 1.0, shape)
        else:
            # Depthwise kernels (*spatial, in, multiplier) sum over space alone, the others over the inputs too.
            depthwise = "depthwise" in name or "depthwise" in variable.path or "dw" in variable.path
            summed = shape[:-2] if depthwise else shape[:-1]
            values = random.normal(0.0, np.sqrt(2 / np.prod(summed)), shape)
        variable.assign(values.astype(variable.dtype))
    _take_statistics(model, inputs, random)
    return model


def _take_statistics(model: keras.Model, inputs: Arrays, random: np.random.Generator) -> None:
    """Each moving mean and variance as training on ``inputs`` leaves them, and then some way off.

    With statistics that have nothing to do with the activations a deep net amplifies rounding errors, layer by layer.
    """
    import keras

    norms = [each for each in model._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    if norms:
        model(inputs if len(inputs) > 1 else next(iter(inputs.values())), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
        variance = variance + 0.1 * variance.mean() + 1e-3  # no channel is as good as constant
        norm.moving_mean.assign(mean + random.normal(0.0, 0.05, mean.shape) * np.sqrt(variance))
        norm.moving_variance.assign(variance * random.uniform(0.9, 1.1, mean.shape))


def other_weights(module: torch.nn.Module, seed: int = 7) -> torch.nn.Module:
    """The module with its parameters and running statistics drawn anew: not Keras', and none of them trivial."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            statistic = name.endswith(("running_mean", "running_var"))
            if tensor.is_floating_point() and (statistic or name in dict(module.named_parameters())):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.2 + 0.01)
    return module.eval()
