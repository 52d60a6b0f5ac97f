"""Protocol buffers read without their classes: what a SavedModel holds is told without importing TensorFlow.

Only the wire format is needed (protobuf.dev/programming-guides/encoding): a message is (field number, value) pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, integer or bytes) of each field, in order.

    Raises:
        ValueError: it is no message.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = _varint(message, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {place}")
        if place + size > len(message):
            raise ValueError(f"a field of {size} bytes at byte {place} of {len(message)}")
        yield number, message[place : place + size]
        place += size


def below(message: bytes, *path: int) -> Iterator[bytes]:
    """Every message or text at a path of field numbers."""
    if not path:
        yield message
        return
    for number, value in fields(message):
        if number == path[0] and isinstance(value, bytes):
            yield from below(value, *path[1:])


def first_text(message: bytes, *path: int) -> str:
    """The first text at a path of field numbers; empty where there is none."""
    return next((value.decode("utf-8", "replace") for value in below(message, *path)), "")


def first_integer(message: bytes, number: int) -> int:
    """The first integer of that field number; 0, its default, where there is none."""
    return next((value for found, value in fields(message) if found == number and isinstance(value, int)), 0)


def signed(value: int) -> int:
    """An int64, whose negative values are written as large ones."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message) and shift < 70:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, place
        shift += 7
    raise ValueError(f"a number without an end at byte {place}")
