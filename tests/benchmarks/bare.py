"""The bare chain: the whole model as one function, its weights as constants, then onnx2torch; nothing is verified."""

from __future__ import annotations

import sys
import time

from models import build


def main(name: str) -> None:
    model = build(name)
    start = time.perf_counter()
    import onnx2torch
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32, name="x")]
    function = tf.function(lambda x: model(x, training=False))
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)
    onnx2torch.convert(proto)
    print(f"seconds {time.perf_counter() - start:.3f}")


main(sys.argv[1])
