"""What a BatchNorm's state lacks: statistics that no state_dict holds, and the counter without which none loads.

torch (torch/nn/modules/batchnorm.py, ``_NormBase._load_from_state_dict``) adds the key of a counter that a plain
state_dict lacks, and then refuses it, strict, where the module has no such buffer.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from ..errors import MappingError

COUNTER = "num_batches_tracked"
#: What has no statistics of its own by default.
INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def refuse_missing_counters(module: nn.Module) -> None:
    """The state_dict that is delivered has to load strictly, from any file.

    Raises:
        MappingError: a BatchNorm has its counter deleted, set to None or not persistent.
    """
    keys = set(module.state_dict())
    lacking = [name for name, norm in _tracking(module) if _key(name, COUNTER) not in keys]
    if lacking:
        first = f".{lacking[0]}" if lacking[0] else ""
        raise MappingError(
            f"{len(lacking)} BatchNorms have no counter: no key {_key(lacking[0], COUNTER)}, "
            "so that load_state_dict(strict=True) fails on every state_dict without torch's own metadata",
            where=lacking[0] or type(module).__name__,
            fix=f'give it back: module{first}.register_buffer("{COUNTER}", torch.tensor(0))',
            details=tuple(_key(name, COUNTER) for name in lacking[1:]),
        )


def unkept_statistics(module: nn.Module) -> Iterator[str]:
    """A line for every BatchNorm whose statistics no state_dict holds."""
    keys = set(module.state_dict())
    for name, norm in _norms(module):
        if norm.running_mean is None and not isinstance(norm, INSTANCE):
            yield f"{name} has no statistics (track_running_stats=False): it normalises by each batch's own, not Keras'"
        for buffer in ("running_mean", "running_var"):
            if getattr(norm, buffer) is not None and _key(name, buffer) not in keys:
                yield f"{_key(name, buffer)} is in no state_dict: register it with persistent=True"


def _tracking(module: nn.Module) -> Iterator[tuple[str, _NormBase]]:
    return ((name, norm) for name, norm in _norms(module) if norm.track_running_stats and norm.running_mean is not None)


def _norms(module: nn.Module) -> Iterator[tuple[str, _NormBase]]:
    return ((name, part) for name, part in module.named_modules() if isinstance(part, _NormBase))


def _key(name: str, buffer: str) -> str:
    return f"{name}.{buffer}" if name else buffer
