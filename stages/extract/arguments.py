"""Which argument of ``forward`` takes which Keras input.

1. As the config states it.
2. Under its own name, or one that means the same.
3. In order: the first input to the first argument.
4. All of them in one dict or one list, where ``forward`` takes one argument; by keyword, where it takes ``**kwargs``.
5. In any other order.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter
from typing import TypeAlias

from ..base import Port
from ..errors import UsageError
from ..fit import Fit
from .preprocessing import Front

Assignment: TypeAlias = Mapping[str, Port]

#: Keras name → names that mean the same in other people's modules. It only orders what is tried.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "token_ids": ("input_ids", "ids", "tokens"),
    "padding_mask": ("attention_mask", "mask"),
    "segment_ids": ("token_type_ids",),
    "encoder_token_ids": ("input_ids", "src"),
    "encoder_padding_mask": ("attention_mask", "src_mask"),
    "decoder_token_ids": ("decoder_input_ids", "tgt"),
    "decoder_padding_mask": ("decoder_attention_mask", "tgt_mask"),
    "images": ("pixel_values", "image", "x"),
    "image": ("pixel_values", "images", "x"),
}
#: Options of other people's forward that make it return more than the model's outputs.
QUIET: Mapping[str, object] = {"use_cache": False}
#: Orders of several inputs that are tried.
ORDERS = 24
#: Names that a message lists of what there is.
NAMED = 20

_TAKES = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def quiet_options(signature: inspect.Signature, stated: Fit) -> dict[str, object]:
    """What forward is called with beside the inputs."""
    return {name: value for name, value in QUIET.items() if name in signature.parameters} | dict(stated.options)


def assignments(signature: inspect.Signature, ports: Sequence[Port], stated: Fit) -> Iterator[Assignment]:
    """Argument → Keras input, in the order of the arguments, likeliest first."""
    seen: list[list[tuple[str, str]]] = []
    for found in itertools.chain(_likeliest(signature, ports, stated), _in_any_order(signature, ports, stated)):
        written = [(argument, port.name) for argument, port in found.items()]
        fits = all(found[name].name == entry for name, entry in _fixed(stated, ports).items() if name in found)
        if written not in seen and fits:
            seen.append(written)
            yield found


def _fixed(stated: Fit, ports: Sequence[Port]) -> dict[str, str]:
    names = {port.name for port in ports}
    return {name: entry.value for name, entry in stated.inputs.items() if entry.value in names}


def _likeliest(signature: inspect.Signature, ports: Sequence[Port], stated: Fit) -> Iterator[Assignment]:
    if stated.inputs:
        return
    names = tensor_arguments(signature, len(ports))
    named = _by_name(names, ports)
    if named:
        yield _ordered(named, names, signature)
    if len(names) >= len(ports):
        yield dict(zip(names, ports, strict=False))
    containers = [name for name in names if signature.parameters.get(name.partition(".")[0])][:1]
    if len(ports) > 1 and containers and "." not in containers[0] and len(required_arguments(signature)) <= 1:
        yield {f"{containers[0]}.{port.name}": port for port in ports}
        for order in itertools.islice(itertools.permutations(ports), ORDERS):
            yield {f"{containers[0]}.{position}": port for position, port in enumerate(order)}
    if _takes_any_keyword(signature) and len(names) < len(ports):
        yield {port.name: port for port in ports}


def _in_any_order(signature: inspect.Signature, ports: Sequence[Port], stated: Fit) -> Iterator[Assignment]:
    names = list(stated.inputs) or tensor_arguments(signature, len(ports))[: len(ports)]
    if len(names) == len(ports):
        for order in itertools.islice(itertools.permutations(ports), ORDERS):
            yield dict(zip(names, order, strict=True))


def tensor_arguments(signature: inspect.Signature, count: int) -> list[str]:
    """Every argument that may take a tensor; those of ``*x`` as "x.0", "x.1" and so on."""
    names: list[str] = []
    for name, parameter in signature.parameters.items():
        if parameter.kind in _TAKES:
            names.append(name)
        elif parameter.kind is Parameter.VAR_POSITIONAL:
            names += [f"{name}.{position}" for position in range(max(count - len(names), 0))]
    return names


def _takes_any_keyword(signature: inspect.Signature) -> bool:
    return any(each.kind is Parameter.VAR_KEYWORD for each in signature.parameters.values())


def required_arguments(signature: inspect.Signature) -> list[str]:
    return [
        name for name, each in signature.parameters.items() if each.kind in _TAKES and each.default is Parameter.empty
    ]


def _by_name(names: Sequence[str], ports: Sequence[Port]) -> dict[str, Port]:
    """Argument → input, where at least one has its name there; the others take what is left, in order."""
    found: dict[str, Port] = {}
    for port in ports:
        known = (port.name, *SYNONYMS.get(port.name, ()))
        match = next((name for name in known if name in names and name not in found), None)
        if match:
            found[match] = port
    rest = [port for port in ports if port not in found.values()]
    free = [name for name in names if name not in found]
    if not found or len(free) < len(rest):
        return {}
    return {**found, **dict(zip(free, rest, strict=False))}


def _ordered(found: Mapping[str, Port], names: Sequence[str], signature: inspect.Signature) -> Assignment:
    return {name: found[name] for name in (*signature.parameters, *names) if name in found}


def check_stated(
    signature: inspect.Signature,
    ports: Sequence[Port],
    fronts: Sequence[Front],
    outputs: Sequence[str],
    *,
    layers: Sequence[str],
    stated: Fit,
) -> None:
    """Refuse what names an argument, an input, a layer or an output that there is not.

    ``layers``: those of Keras whose value the module may give in place of an output.

    Raises:
        UsageError: with the nearest that there is.
    """
    open_ended = _takes_any_keyword(signature)
    known = [port.name for port in ports] + [front.name for front in fronts]
    for argument, entry in stated.inputs.items():
        if not open_ended and argument.partition(".")[0] not in signature.parameters:
            raise _unknown(argument, list(signature.parameters), "forward takes", f"fit.inputs.{argument}")
        if entry.value is not None and entry.value not in known:
            what = "an argument takes a Keras input, or what Keras makes of one in front of its first trained layer:"
            raise _unknown(entry.value, known, what, f"fit.inputs.{argument}.value")
    for name, given in stated.outputs.items():
        if name not in outputs:
            raise _unknown(name, list(outputs), "the Keras model gives", f"fit.outputs.{name}")
        if given.value is not None and given.value not in layers:
            raise _unknown(given.value, layers, "the Keras model's layers are", f"fit.outputs.{name}.value")


def _unknown(name: str, known: Sequence[str], what: str, where: str) -> UsageError:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0)
    fix = f"write {near[0]}" if near else "leave it out"
    shown = [*known[:NAMED], *([f"{len(known) - NAMED} more"] if len(known) > NAMED else [])]
    return UsageError(f"there is no {name!r}; {what} {', '.join(shown)}", where=where, fix=fix)
