"""A module under a disguise: other names, another order of registration, containers; ``forward`` is what it was.

What ``forward`` was written with (``self.conv1``, ``self.blocks[2]``, ``self.cls_token``) becomes a property that
reaches the same module or parameter where it is registered now.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from torch import nn

LETTERS = "abcdefgh"
#: What finds its weights by names that it makes up itself (``weight_ih_l0``).
NAMED_BY_THEMSELVES = (nn.RNNBase,)
#: What is looped over or looked into rather than called.
COLLECTIONS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


class Container(nn.Module):
    """Holds one module, and is it for whoever calls it or asks it for something."""

    def __init__(self, name: str, held: nn.Module) -> None:
        super().__init__()
        self._modules[name] = held

    @property
    def held(self) -> nn.Module:
        (module,) = self._modules.values()
        assert module is not None
        return module

    def forward(self, *values: Any, **options: Any) -> Any:
        return self.held(*values, **options)

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("_modules", ()):
            return super().__getattr__(name)
        return getattr(self.held, name)


def disguise(module: nn.Module, seed: int) -> dict[str, str]:
    """Rename every submodule and every parameter, shuffle the order of registration, put modules into containers.

    A container is called in place of what it holds, or is passed by. Buffers keep their names: that of
    ``num_batches_tracked`` is how a counter is known.

    Returns:
        key → what it was; of tied keys one.
    """
    were = {id(tensor): key for key, tensor in module.state_dict(keep_vars=True).items()}
    draw = random.Random(seed)
    taken: set[str] = set()

    def fresh() -> str:
        while (name := "".join(draw.choices(LETTERS, k=4))) in taken:
            pass
        taken.add(name)
        return name

    for parent in list(module.modules()):
        if isinstance(parent, NAMED_BY_THEMSELVES):
            continue
        reached: dict[str, Any] = {}
        held = [(name, child) for name, child in parent._modules.items() if child is not None]
        order = [name for name, _ in held]
        draw.shuffle(held)
        for name, child in held:
            del parent._modules[name]
            inner, wraps = child, draw.random()
            if wraps < 0.5:
                inner = Container(fresh(), child)
            parent._modules[fresh()] = inner
            reached[name] = inner if wraps < 0.25 and not isinstance(child, COLLECTIONS) else child
        own = [(name, parameter) for name, parameter in parent._parameters.items() if parameter is not None]
        draw.shuffle(own)
        for name, parameter in own:
            del parent._parameters[name]
            parent._parameters[new := fresh()] = parameter
            reached[name] = new
        _reach(parent, order, reached)
    return {key: were[id(tensor)] for key, tensor in module.state_dict(keep_vars=True).items()}


def exchange(module: nn.Module, first: tuple[nn.Module, str], second: tuple[nn.Module, str]) -> None:
    """``forward`` finds under each of two names (parent, name before the disguise) what it found under the other."""
    (one, here), (other, there) = first, second
    ours, theirs = one.__dict__["_reached"], other.__dict__["_reached"]
    ours[here], theirs[there] = theirs[there], ours[here]


def _reach(parent: nn.Module, order: list[str], reached: dict[str, Any]) -> None:
    """Let the attributes that are gone be found: modules as they are, parameters under their new names."""
    object.__setattr__(parent, "_reached", reached)
    kind = type(parent)
    members: dict[str, Any] = {name: _property(name) for name in reached if name.isidentifier()}
    if isinstance(parent, nn.Sequential | nn.ModuleList):
        members |= {"__iter__": _each, "__getitem__": _at, "__len__": lambda self: len(self._order)}
    if isinstance(parent, nn.ModuleDict):
        members |= {
            "__iter__": lambda self: iter(self._order),
            "__getitem__": _found,
            "items": lambda self: [(name, _found(self, name)) for name in self._order],
            "keys": lambda self: list(self._order),
            "values": lambda self: [_found(self, name) for name in self._order],
        }
    object.__setattr__(parent, "_order", order)
    object.__setattr__(parent, "__class__", type(kind.__name__, (kind,), {"__module__": kind.__module__, **members}))


def _found(parent: Any, name: str) -> Any:
    found = parent._reached[name]
    return parent._parameters[found] if isinstance(found, str) else found


def _property(name: str) -> property:
    return property(lambda self: _found(self, name))


def _each(parent: Any) -> Iterator[nn.Module]:
    return (_found(parent, name) for name in parent._order)


def _at(parent: Any, place: int | slice | str) -> Any:
    if isinstance(place, slice):
        return nn.Sequential(*(_found(parent, name) for name in parent._order[place]))
    return _found(parent, parent._order[place] if isinstance(place, int) else place)
