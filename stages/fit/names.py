"""Names of the activations that one side may end in and the other may not; ``activations.py`` has the functions.

Apart from them, so that a config is checked without torch.
"""

from __future__ import annotations

#: What loses nothing that a prediction needs: either side may end in it.
ORDER_KEEPING: tuple[str, ...] = (
    "softmax",
    "sigmoid",
    "log_softmax",
    "tanh",
    "log_sigmoid",
    "softplus",
    "softsign",
    "exponential",
)
#: What cuts values off, or folds them: the module may lack it, and then gives more than Keras.
LOSING: tuple[str, ...] = ("relu", "relu6", "hard_sigmoid", "hard_silu", "elu", "selu", "silu", "gelu", "mish")
#: No activation, said.
LINEAR = "linear"
#: torch's dtypes that an argument may be wanted in.
DTYPES: tuple[str, ...] = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "bool")
