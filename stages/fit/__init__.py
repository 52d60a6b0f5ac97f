"""How the user's module takes Keras' inputs and gives Keras' outputs: what is stated of it, and what was found.

Light to import: neither torch nor TensorFlow (``activations`` is loaded where it is used).
"""

from .layout import laid, patterns
from .record import Fit, InputFit, OutputFit

__all__ = ["Fit", "InputFit", "OutputFit", "laid", "patterns"]
