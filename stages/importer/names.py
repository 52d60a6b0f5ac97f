"""Names of modules and parameters.

fx writes them into Python code: a quote in a layer's name would end the string that it stands in, and a keyword is no
attribute.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Container

from torch import fx, nn

_ATTRIBUTES = dir(fx.GraphModule(nn.Module(), fx.Graph()))  # "code" and "graph" are its own, beside nn.Module's
RESERVED = frozenset({*_ATTRIBUTES, *keyword.kwlist, *keyword.softkwlist, "constants", "initializers", "weights"})
_PLAIN = re.compile(r"[^\w/#:+-]")


def module_name(name: str, taken: Container[str]) -> str:
    """``name`` without dots, quotes and other signs; with underscores behind it where it is taken or reserved."""
    found = _PLAIN.sub("_", name) or "_"
    while found in taken or found in RESERVED:
        found += "_"
    return found
