"""Where Keras adds a bias that does not belong there.

``keras.ops.add`` of Keras 3.15 on TensorFlow takes (1, C, 1, 1) for a bias of the *last* axis wherever that is as long
as C (keras/src/backend/tensorflow/numpy.py, ``add``). So a channels_first convolution whose output is as wide as it has
channels gets its bias along the width: no PyTorch layer computes that.
"""

from __future__ import annotations

import functools

import keras
import numpy as np
import tensorflow as tf

from .base import Site


def misplaced_bias(site: Site) -> str:
    """Why the call cannot be written, or ""."""
    if site.channels_last or "bias" not in site.weights or site.output_shape[-1] != site.output_shape[1]:
        return ""
    if not _keras_misplaces():
        return ""
    return (
        f"its channels_first output {site.output_shape} is as wide as it has channels, "
        "and there Keras adds the bias along the width"
    )


@functools.cache
def _keras_misplaces() -> bool:
    """Whether this Keras does so."""
    with tf.init_scope():
        bias = np.array([1.0, 0.0], "float32").reshape(1, 2, 1, 1)
        added = keras.ops.convert_to_numpy(keras.ops.add(np.zeros((1, 2, 1, 2), "float32"), bias))
    return bool(added[0, 0, 0, 1] != 1.0)
