"""Random weights on both sides, so that nothing is equal by luck, and nothing vanishes or blows up on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras
    import torch


def random_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """``model`` with every floating weight drawn anew, by its name.

    Kernels have twice the variance that would keep the activations' (He et al. 2015): a ReLU takes half of it.
    """
    random = np.random.default_rng(seed)
    for variable in model.weights:
        name, shape = variable.name, tuple(variable.shape)
        if not str(variable.dtype).startswith("float"):
            continue
        if "variance" in name or "gamma" in name or name == "scale":
            values = random.uniform(0.6, 1.4, shape)
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
    return model


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
