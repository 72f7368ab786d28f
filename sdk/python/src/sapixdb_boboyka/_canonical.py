"""A record's JSON as the bytes that a strand keeps: canonical MessagePack (docs/strand-format.md)."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, cast

from ._tlog import VerificationError

# Fields that are whole numbers however they are written.
_WHOLE = {
    "project_build": {"started_at_ms", "completed_at_ms"},
    "build_queue_item": {"priority", "enqueued_at_ms", "dequeued_at_ms"},
    "agent_health": {"checked_at_ms"},
    "audit_log": {"timestamp_ms"},
}


def payload(record_type: str, data: dict[str, Any]) -> bytes:
    """The bytes whose hash the header of the record carries."""
    whole = _WHOLE.get(record_type, set[str]())
    fields = {name: _whole(value) if name in whole else value for name, value in data.items()}
    return _encode({**fields, "_boboyka_type": record_type})


def parse(text: str | bytes) -> Any:
    """JSON with the numbers that a strand keeps; raises `VerificationError` if it is none."""
    try:
        return json.loads(text, parse_int=_number, object_pairs_hook=_object, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"the record is not JSON: {error}") from error


def _number(text: str) -> int | float:
    # JSON has a negative zero, which no whole number is.
    return -0.0 if text == "-0" else int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _encode(value: Any) -> bytes:
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return _head(len(text), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + text
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)
        return _head(len(items), 0x90, 16, (None, 0xDC, 0xDD)) + b"".join(map(_encode, items))
    entries = sorted((key.encode(), inner) for key, inner in cast("dict[str, Any]", value).items())
    body = (_encode(key.decode()) + _encode(inner) for key, inner in entries)
    return _head(len(entries), 0x80, 16, (None, 0xDE, 0xDF)) + b"".join(body)


def _head(length: int, fixed: int, below: int, codes: tuple[int | None, int, int]) -> bytes:
    if length < below:
        return bytes([fixed | length])
    if codes[0] is not None and length < 2**8:
        return bytes([codes[0], length])
    if length < 2**16:
        return struct.pack(">BH", codes[1], length)
    return struct.pack(">BI", codes[2], length)


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b", value)
    forms = "BHIQ" if value >= 0 else "bhiq"
    first = 0xCC if value >= 0 else 0xD0
    for step, form in enumerate(forms):
        try:
            return struct.pack(f">B{form}", first + step, value)
        except struct.error:
            continue
    raise VerificationError(f"{value} is a whole number that does not fit into 64 bits")
