"""From a caller's record to its JSON, or to an error that names the field.

The fast path is the JSON encoder of Python. Only after it failed is the record searched for the field.
"""

from __future__ import annotations

import dataclasses
import decimal
import enum
import json
import math
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Set
from datetime import date, time
from typing import Any, cast

from .errors import InvalidRecord

# The most that the sidecar reads of one record.
RECORD_BYTES = 4 * 1024 * 1024
# The sidecar's limit too: data that nests deeper is refused there.
_DEPTH = 64

_MEMBERS = ("record_type", "data", "idempotency_key")


def record(record_type: object, data: object, key: object) -> bytes:
    """A record as one line of JSON.

    Takes whatever a caller may give; raises `InvalidRecord` for all that is no record.
    """
    if not isinstance(record_type, str):
        raise _invalid("invalid_field", "record_type", f"must be text, not {_kind(record_type)}")
    if not isinstance(data, Mapping):
        raise _invalid("not_an_object", "data", f"must be a mapping, not {_kind(data)}")
    if not isinstance(key, str):
        raise _invalid("bad_parameter", "idempotency_key", f"must be text, not {_kind(key)}")
    return record_of_json(record_type, _json(cast(object, data), ""), key)


def record_of_json(record_type: str, data: bytes, key: str) -> bytes:
    """The same, where the data is JSON already."""
    kind, name = _json(record_type, "record_type"), _json(key, "idempotency_key")
    line = b'{"record_type":%b,"data":%b,"idempotency_key":%b}' % (kind, data, name)
    if len(line) > RECORD_BYTES:
        why = f"takes {len(line)} bytes of JSON with its members; the most is {RECORD_BYTES}"
        raise _invalid("too_large", "data", why, status=413)
    return line


def parts(given: object) -> tuple[object, object, object | None]:
    """Record type, data and key of an element of `ingest_many`; raises `InvalidRecord` if it is none."""
    if isinstance(given, (tuple, list)):
        members = tuple(cast("list[object]", given))
        if len(members) in (2, 3):
            record_type, data, key = (*members, None)[:3]
            return record_type, data, key
        raise InvalidRecord(
            422, "not_a_record", f"a record has 2 or 3 parts, not {len(members)} (not_a_record)"
        )
    if not isinstance(given, Mapping):
        why = f"a record is a pair of record_type and data, or a mapping, not {_kind(given)} (not_a_record)"
        raise InvalidRecord(422, "not_a_record", why)
    found = dict(cast("Mapping[object, object]", given))
    for name in found:
        if name not in _MEMBERS:
            raise _invalid("not_a_record", str(name), "is no member of a record; own fields belong into data")
    for name in _MEMBERS[:2]:
        if name not in found:
            raise _invalid("missing_field", name, "is required")
    return found["record_type"], found["data"], found.get("idempotency_key")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    raise TypeError(f"{_kind(value)} is not JSON")


# NaN and infinity are no JSON: better refused here, by name, than by the sidecar.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)


_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _json(value: object, path: str) -> bytes:
    try:
        text = _ENCODER.encode(value).encode()
        if _is_too_deep(text):
            raise RecursionError
        return text
    except Exception as error:
        # Exception, because a mapping of the caller's can raise anything.
        raise _refusal(value, path, error) from error


def _is_too_deep(text: bytes) -> bool:
    """How deep Python's encoder goes depends on Python's version; what the sidecar takes does not."""
    if text.count(b"{") + text.count(b"[") <= _DEPTH:
        return False
    brackets = _TEXT.sub(b"", text).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(_DEPTH):
        # Takes away the innermost level.
        brackets = brackets.replace(b"{}", b"")
    return bool(brackets)


def _refusal(value: object, path: str, error: Exception) -> InvalidRecord:
    try:
        if found := next(_faults(value, path, ()), None):
            return found
    except Exception:
        # The search met what the encoder met; the encoder's error says it.
        pass
    if isinstance(error, RecursionError):
        return _invalid("too_deep", path or "data", f"is nested deeper than {_DEPTH} levels")
    return _invalid("not_json", path or "data", f"can't be written as JSON: {type(error).__name__}: {error}")


def _faults(value: object, path: str, above: tuple[int, ...]) -> Iterator[InvalidRecord]:
    """All that can't be JSON in a value, in order. `above`: the containers around it."""
    name = path or "data"
    if isinstance(value, (Mapping, list, tuple)):
        if id(cast(object, value)) in above:
            yield _invalid("not_json", name, "contains itself")
        elif len(above) >= _DEPTH:
            yield _invalid("too_deep", name, f"is nested deeper than {_DEPTH} levels")
        elif isinstance(value, Mapping):
            for key, part in cast("Mapping[object, object]", value).items():
                yield from _key_faults(key, name)
                inner = f"{path}.{key}" if path else f"{key}"
                yield from _faults(part, _printable(inner), (*above, id(cast(object, value))))
        else:
            for place, part in enumerate(cast("list[object]", value)):
                yield from _faults(part, f"{path}[{place}]", (*above, id(cast(object, value))))
    elif why := _scalar_fault(value):
        yield _invalid("not_json", name, why)


def _key_faults(key: object, path: str) -> Iterator[InvalidRecord]:
    # As Python's JSON encoder: a key of these types becomes text.
    if not isinstance(key, (str, int, float, type(None))):
        yield _invalid("not_json", path, f"has a key that is not text but {_kind(key)}")
    elif why := _scalar_fault(key):
        yield _invalid("not_json", path, f"has a key that {why}")


def _scalar_fault(value: object) -> str | None:
    """Why a value that is no container can't be JSON; `None` when it can."""
    if isinstance(value, str):
        return (
            None if _printable(value) == value else "holds half of a surrogate pair, which UTF-8 can't hold"
        )
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {float(value)}, which JSON can't hold"
    if isinstance(value, int):
        return None if value.bit_length() <= 64 else "is a whole number that 64 bits can't hold"
    return None if value is None else f"is {_kind(value)}, which is not JSON{_hint(value)}"


def _hint(value: object) -> str:
    """What to write instead."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "; decode it into text"
    if isinstance(value, (date, time)):
        return "; use isoformat(), or milliseconds since 1970"
    if isinstance(value, (decimal.Decimal, uuid.UUID, os.PathLike)):
        return "; use str()"
    if isinstance(value, enum.Enum):
        return "; use its value"
    if dataclasses.is_dataclass(value):
        return "; use dataclasses.asdict()"
    if isinstance(value, (Set, Iterator)):
        return "; use list()"
    return ""


def _kind(value: Any) -> str:
    return type(value).__name__


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _invalid(code: str, field: str, why: str, *, status: int = 422) -> InvalidRecord:
    return InvalidRecord(status, code, f"{field} {why} ({code})", field)
