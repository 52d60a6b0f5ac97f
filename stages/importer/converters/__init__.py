"""Our converters, one family a file; see base.py."""

from __future__ import annotations

from functools import cache

from .base import DOMAIN, Converter, Source, register, source_of
from .group_normalization import GROUP_NORMALIZATION
from .linear import LINEAR
from .reshape import RESHAPE

CONVERTERS: tuple[Converter, ...] = (
    LINEAR,
    GROUP_NORMALIZATION,
    RESHAPE,
)


@cache
def register_converters() -> None:
    """Once a process: onnx2torch's registry refuses an operator that it has."""
    for converter in CONVERTERS:
        register(converter)


def converter_for(source: Source) -> Converter | None:
    """Ours, where one takes this node."""
    return next((one for one in CONVERTERS if source.operator in one.operators and one.accepts(source)), None)


__all__ = ["CONVERTERS", "DOMAIN", "Converter", "Source", "converter_for", "register_converters", "source_of"]
