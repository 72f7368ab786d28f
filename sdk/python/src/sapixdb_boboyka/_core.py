"""The client without its I/O: what is sent, what an answer means, when to try again.

Both clients, the asynchronous and the synchronous one, are thin shells around this.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .errors import (
    AnswerError,
    BoboykaError,
    IdempotencyConflict,
    InvalidRecord,
    TooBusy,
    Unavailable,
    UnexpectedAnswer,
)
from .models import IngestResponse, Json

DEFAULT_URL = "http://localhost:7475"

RecordLike = tuple[str, Mapping[str, Any]] | Mapping[str, Any]
"""`(record_type, data)`, or a mapping with `record_type`, `data` and perhaps `idempotency_key`."""

# The sidecar takes 10,000 records and 16 MiB; less keeps its memory and a repeated batch small.
BATCH_RECORDS = 1_000
_BATCH_BYTES = 4 * 1024 * 1024

_NOT_NOW = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently a call is tried again. Safe, since every ingest carries a key."""

    attempts: int = 8
    """Tries in all, at least 1."""
    first_wait: float = 0.1
    """Seconds before the second try; doubles with each, and is drawn at random below that."""
    longest_wait: float = 2.0

    def wait(self, tried: int, at_least: float = 0.0) -> float:
        """Seconds to wait after so many tries."""
        most = min(self.longest_wait, self.first_wait * 2 ** (tried - 1))
        return max(at_least, random.uniform(most / 2, most))


@dataclass(frozen=True, slots=True)
class Call:
    """A request, ready to be sent any number of times."""

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def base_url(given: str | None) -> str:
    """The sidecar's address: the argument, else `BOBOYKA_URL`, else localhost."""
    return (given or os.environ.get("BOBOYKA_URL") or DEFAULT_URL).rstrip("/")


def new_key() -> str:
    return uuid.uuid4().hex


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ingest(record_type: str, data: Mapping[str, Any], key: str | None) -> Call:
    content = _encode({"record_type": record_type, "data": data})
    headers = {"content-type": "application/json", "idempotency-key": key or new_key()}
    return Call("POST", "/v1/boboyka/ingest", content=content, headers=headers)


def events(
    limit: int,
    record_type: str | None,
    cursor: str | None,
    since_ms: int | None,
    until_ms: int | None,
    include_data: bool,
) -> Call:
    wanted: dict[str, str | int | None] = {
        "limit": limit,
        "record_type": record_type,
        "cursor": cursor,
        "since_ms": since_ms,
        "until_ms": until_ms,
        "include": "data" if include_data else None,
    }
    params = {name: value for name, value in wanted.items() if value is not None}
    return Call("GET", "/v1/boboyka/events", params=params)


STATUS = Call("GET", "/v1/boboyka/status")


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of an `ingest_many`, in order."""

    call: Call
    size: int


def batches(records: Iterable[RecordLike], most: int) -> Iterator[Batch]:
    """Cuts records into batches; each record gets a key, unless it has one."""
    if not 1 <= most <= 10_000:
        raise ValueError(f"batch_size must be 1 to 10000, not {most}")
    prefix, lines, size = new_key(), list[bytes](), 0
    for number, record in enumerate(records):
        line = _encode(_with_key(record, f"{prefix}-{number}")) + b"\n"
        if lines and (len(lines) == most or size + len(line) > _BATCH_BYTES):
            yield _batch(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield _batch(lines)


def _batch(lines: list[bytes]) -> Batch:
    headers = {"content-type": "application/x-ndjson"}
    call = Call("POST", "/v1/boboyka/ingest/batch", content=b"".join(lines), headers=headers)
    return Batch(call, len(lines))


def _with_key(record: RecordLike, key: str) -> Mapping[str, Any]:
    if isinstance(record, tuple):
        record_type, data = record
        return {"record_type": record_type, "data": data, "idempotency_key": key}
    return {"idempotency_key": key, **record}


def batch_results(batch: Batch, body: bytes) -> list[IngestResponse | BoboykaError]:
    """One receipt or error per record, in order."""
    lines = body.splitlines()
    if len(lines) != batch.size:
        raise UnexpectedAnswer(f"{len(lines)} answers to {batch.size} records")
    results: list[IngestResponse | BoboykaError] = []
    for line in lines:
        answer = decode(line)
        if "record_hash" in answer:
            results.append(IngestResponse.from_json(answer))
        else:
            results.append(_refusal(_STATUS_OF.get(str(answer.get("code")), 422), answer, None))
    return results


# A line of a batch's answer has no status of its own.
_STATUS_OF = {"idempotency_conflict": 409, "strand_damaged": 500}


def check(status: int, body: bytes, retry_after: str | None) -> None:
    """Raises what an answer means, unless it is a success."""
    if 200 <= status < 300:
        return
    try:
        answer = decode(body)
    except UnexpectedAnswer:
        answer = {}
    raise _refusal(status, answer, retry_after)


def _refusal(status: int, answer: Json, retry_after: str | None) -> BoboykaError:
    code, message, name = answer.get("code"), answer.get("message"), answer.get("field")
    if not isinstance(code, str):
        return UnexpectedAnswer(f"status {status} without a sidecar's error; who listens there?")
    parts = (status, code, f"{message} ({code})", name if isinstance(name, str) else None)
    if status == 429:
        try:
            return TooBusy(*parts, retry_after=float(retry_after or 1))
        except ValueError:
            return TooBusy(*parts)
    if status == 409 and code == "idempotency_conflict":
        return IdempotencyConflict(*parts)
    if status in (400, 413, 415, 422):
        return InvalidRecord(*parts)
    if status >= 500:
        return Unavailable(*parts)
    return AnswerError(*parts)


def may_try_again(status: int) -> bool:
    return status in _NOT_NOW


def seconds(retry_after: str | None) -> float:
    """A `Retry-After` in seconds; 0 when there is none that can be read."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0


def decode(body: bytes) -> Json:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise UnexpectedAnswer("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise UnexpectedAnswer("the answer is not a JSON object")
    return cast(Json, found)


def _encode(value: Mapping[str, Any]) -> bytes:
    try:
        # NaN and infinity are no JSON: better refused here, by name, than by the sidecar.
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode()
    except (TypeError, ValueError) as error:
        raise InvalidRecord(422, "not_json", f"the record can't be written as JSON: {error}") from error


def given(**fields: Any) -> dict[str, Any]:
    """The fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}
