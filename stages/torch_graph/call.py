"""How a module's ``forward`` is called, and what it gives, as flat lists of tensors.

Everything that runs the user's module does so through ``adapted``: a working copy that takes and gives tensors one
after the other, whatever its forward takes and returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from inspect import Parameter
from typing import Any

import torch
from torch import nn

_PLAIN, _VARIADIC = Parameter.POSITIONAL_OR_KEYWORD, Parameter.VAR_POSITIONAL


@dataclass(frozen=True)
class Call:
    """The arguments of a call.

    Attributes:
        arguments: for each tensor where it goes: "x" is an argument, "x.image" an entry of the dict that ``x`` takes,
            "x.0" of the list that it takes, or of ``*x``.
        options: arguments that are no tensors.
    """

    arguments: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def bind(self, signature: inspect.Signature, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """(args, kwargs). What has a default is given by keyword, what has none by position."""
        given = _gathered(dict(zip(self.arguments, tensors, strict=True)))
        variadic = any(p.kind is _VARIADIC and name in given for name, p in signature.parameters.items())
        args: list[Any] = []
        for name, parameter in signature.parameters.items():
            if name not in given:
                break
            required = parameter.default is Parameter.empty or variadic
            if parameter.kind is _VARIADIC:
                args += given.pop(name)
            elif parameter.kind is Parameter.POSITIONAL_ONLY or (parameter.kind is _PLAIN and required):
                args.append(given.pop(name))
            else:
                break
        return tuple(args), {**given, **self.options}


def _gathered(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Argument → tensor, or the dict or list of tensors that it takes."""
    given: dict[str, Any] = {}
    for name, value in flat.items():
        root, dot, key = name.partition(".")
        if dot:
            given.setdefault(root, {})[key] = value
        else:
            given[root] = value
    return {
        name: list(value.values()) if isinstance(value, dict) and all(key.isdecimal() for key in value) else value
        for name, value in given.items()
    }


class _Flat:
    """A forward that takes the tensors of a call one after the other and gives its own as a tuple.

    An object, not a closure: with the module that it sits on it is copied deeply, and then calls the copy.
    """

    def __init__(self, module: nn.Module, call: Call) -> None:
        self._module = module
        self._own = module.__dict__.get("forward")  # a forward that somebody put onto the instance
        self.call = call
        self.places: list[str] = []  # of the last call's tensors in what the module's own forward returned
        # what reads a module names the inputs after the signature.
        names = [name.replace(".", "_") for name in call.arguments]
        self.__code__ = _Flat.__call__.__code__  # torch.export asks where a forward is written
        self.__signature__ = inspect.Signature([Parameter(name, _PLAIN) for name in names])

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        forward = self._own or type(self._module).forward.__get__(self._module)
        args, kwargs = self.call.bind(inspect.signature(forward), tensors)
        named = list(tensors_in(forward(*args, **kwargs)))
        self.places = [place for place, _ in named]
        return tuple(tensor for _, tensor in named)


def adapted(twin: nn.Module, call: Call) -> nn.Module:
    """``twin``, a working copy, made to take the tensors of ``call`` and to give its tensors as a tuple.

    The override sits on the instance: paths of inner modules and keys of the state_dict stay as they are. TorchScript
    takes none: such a module is called by position, and gives what it gives.
    """
    if isinstance(twin, torch.jit.ScriptModule):
        return twin
    twin.forward = _Flat(twin, call)
    return twin


def call_of(module: nn.Module) -> Call | None:
    """The call that ``module`` is adapted to; None where it is as its user wrote it."""
    forward = module.__dict__.get("forward")
    return forward.call if isinstance(forward, _Flat) else None


def result_places(twin: nn.Module, result: Any) -> list[str]:
    """Where the tensors of ``result``, that of the last call, stand in what the module's own forward returned."""
    forward = twin.__dict__.get("forward")  # TorchScript takes no override, and keeps a method of its own there
    return list(forward.places) if isinstance(forward, _Flat) else [place for place, _ in tensors_in(result)]


def tensors_in(result: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """(place, tensor) of every tensor in what a forward returned: "logits", "0", "aux.1"; "" where it is the result.

    Looked for in mappings (transformers' ModelOutput is one), sequences, named tuples and dataclasses; whatever else
    there is (None, a number, a cache of keys and values) is no output.
    """
    if isinstance(result, torch.Tensor):
        yield path, result
        return
    if isinstance(result, Mapping):
        entries = [(str(key), value) for key, value in result.items()]
    elif isinstance(result, tuple) and hasattr(result, "_fields"):
        entries = list(zip(result._fields, result, strict=True))
    elif isinstance(result, list | tuple):
        entries = [(str(position), value) for position, value in enumerate(result)]
    elif is_dataclass(result) and not isinstance(result, type):
        entries = [(entry.name, getattr(result, entry.name)) for entry in fields(result)]
    else:
        return
    for name, value in entries:
        yield from tensors_in(value, f"{path}.{name}" if path else name)
