"""Classification accuracy of a runtime's output."""

from __future__ import annotations

import numpy as np

from ..plan import Array


def accuracy(output: Array, labels: Array) -> float:
    """Share of samples whose class is the label.

    ``output`` (samples, classes): the class is the largest; (samples,) or (samples, 1): whether it exceeds 0.5.
    ``labels`` (samples,) integers, or (samples, classes) one-hot.
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(1)
    labels = labels.reshape(-1)
    if output.ndim < 2 or output.shape[-1] == 1:
        predicted = (output.reshape(len(labels)) > 0.5).astype(np.int64)
    else:
        predicted = output.argmax(-1).reshape(len(labels))
    return float((predicted == labels).mean())
