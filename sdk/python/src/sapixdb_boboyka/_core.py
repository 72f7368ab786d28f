"""The client without its I/O: what is sent, what an answer means, when to try again.

Both clients, the asynchronous and the synchronous one, are thin shells around this.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx

from . import _encode
from .errors import (
    AnswerError,
    BoboykaError,
    IdempotencyConflict,
    InvalidRecord,
    NotReachable,
    TooBusy,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from .models import BoboykaEvent, IngestResponse, Json, State

DEFAULT_URL = "http://localhost:7475"

RecordLike = tuple[str, Mapping[str, Any]] | tuple[str, Mapping[str, Any], str] | Mapping[str, Any]
"""`(record_type, data)`, `(record_type, data, idempotency_key)`, or a mapping with these names, where the key
may be left out."""

Answer = IngestResponse | BoboykaError

AsOf = datetime | int | str | IngestResponse | BoboykaEvent | State
"""A moment of the strand: a time, as a `datetime` with a time zone or as milliseconds since 1970; a record,
as what the client returned for it or as its `record_hash`; or `seq:` and a `seq`."""

# The sidecar takes 10,000 records and 16 MiB; less keeps its memory and a repeated batch small.
BATCH_RECORDS = 1_000
BATCH_BYTES = _encode.RECORD_BYTES

_NOT_NOW = frozenset({408, 429, 502, 503, 504})
# A sidecar asks for a second or two; whatever asks for more is no reason to stand still.
_RETRY_AFTER_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to repeat a call and how long to wait. Safe, because every ingest carries a key."""

    attempts: int = 8
    """Number of attempts in all, at least 1."""
    first_wait: float = 0.1
    """Seconds before the second attempt. Doubles with each attempt; the wait is half of it to all of it."""
    longest_wait: float = 2.0

    def wait(self, tried: int, at_least: float = 0.0) -> float:
        """Seconds to wait after `tried` attempts."""
        # A power without bound would overflow a float after a thousand tries.
        most = min(self.longest_wait, self.first_wait * 2 ** min(tried - 1, 60))
        return max(at_least, random.uniform(most / 2, most))


@dataclass(frozen=True, slots=True)
class Call:
    """A request, ready to be sent any number of times."""

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def address(given: str | None) -> httpx.URL:
    """The sidecar's address: the argument, else `BOBOYKA_URL`, else localhost."""
    source = "the client's argument" if given else "BOBOYKA_URL"
    text = given or os.environ.get("BOBOYKA_URL") or DEFAULT_URL
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError, UnicodeError) as error:
        # The parser's reason may quote a password.
        reason = "" if "@" in str(text) else f": {error}"
        raise BoboykaError(f"{source} is not a URL{reason}; an example is {DEFAULT_URL}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise BoboykaError(f"{source} is not an http URL with a host; an example is {DEFAULT_URL}")
    return url


def api_key(given: str | None) -> str | None:
    """The key to show: the argument, else `BOBOYKA_API_KEY`, else what the file `BOBOYKA_API_KEY_FILE` holds.
    No error says what it is."""
    key, source = given, "the client's argument api_key"
    if key is None:
        key, source = os.environ.get("BOBOYKA_API_KEY") or None, "BOBOYKA_API_KEY"
    if key is None and (file := os.environ.get("BOBOYKA_API_KEY_FILE")):
        source = f"the file {file} of BOBOYKA_API_KEY_FILE"
        try:
            key = Path(file).read_bytes().decode("ascii", "replace").strip()
        except OSError as error:
            raise BoboykaError(f"{source} can't be read: {error.strerror}") from None
    if key is not None and not (key and all("!" <= character <= "~" for character in key)):
        raise BoboykaError(f"{source} is no key: a key is one word of visible ASCII")
    return key


def shown(url: httpx.URL) -> str:
    """An address for messages: without the password that it may hold."""
    return str(url.copy_with(userinfo=b"")).rstrip("/")


def failure(url: httpx.URL, error: Exception) -> BoboykaError:
    """What a request that got no answer means."""
    if isinstance(error, httpx.TransportError):
        return NotReachable(shown(url), type(error).__name__)
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.DecodingError):
        return UnexpectedAnswer(f"the answer of {shown(url)} can't be decoded ({what}); who listens there?")
    return BoboykaError(f"the request to {shown(url)} failed ({what})")


def new_key() -> str:
    return uuid.uuid4().hex


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ingest(record_type: object, data: object, key: object) -> Call:
    return _ingest(_encode.record(record_type, data, new_key() if key is None else key))


def ingest_json(record_type: str, data: bytes) -> Call:
    """For data that is JSON already and must arrive as it is written."""
    return _ingest(_encode.record_of_json(record_type, data, new_key()))


def _ingest(content: bytes) -> Call:
    return Call("POST", "/v1/boboyka/ingest", content=content, headers={"content-type": "application/json"})


def events(
    limit: int,
    record_type: str | None,
    cursor: str | None,
    since_ms: int | None,
    until_ms: int | None,
    include_data: bool,
    as_of: AsOf | None = None,
) -> Call:
    wanted: dict[str, str | int | None] = {
        "limit": limit,
        "record_type": record_type,
        "cursor": cursor,
        "since_ms": since_ms,
        "until_ms": until_ms,
        "include": "data" if include_data else None,
        "as_of": moment(as_of),
    }
    return _get("/v1/boboyka/events", wanted)


def _get(path: str, wanted: Mapping[str, str | int | None]) -> Call:
    return Call("GET", path, params={name: value for name, value in wanted.items() if value is not None})


def moment(as_of: AsOf | None) -> str | None:
    """A moment as the sidecar reads it."""
    if as_of is None or isinstance(as_of, str):
        return as_of
    if isinstance(as_of, datetime):
        if as_of.utcoffset() is None:
            raise ValueError("as_of must be a datetime with a time zone, such as datetime.now(timezone.utc)")
        # A float has room for the microseconds of a time of this century.
        return str(math.floor(as_of.timestamp() * 1000))
    if isinstance(as_of, int):
        return str(as_of)
    return as_of.record_hash


def _path(what: str, *parts: str) -> str:
    return "/".join(["/v1/boboyka", what, *map(_quoted, parts)])


def _quoted(part: str) -> str:
    # These two mean other folders, unless their dots are encoded.
    return part.replace(".", "%2E") if part in (".", "..") else quote(part, safe="")


def state(record_type: str, key: str, as_of: AsOf | None) -> Call:
    return _get(_path("state", record_type, _key(key)), {"as_of": moment(as_of)})


def history(
    record_type: str, key: str, limit: int, as_of: AsOf | None, cursor: str | None, include_data: bool
) -> Call:
    return _page(_path("history", record_type, _key(key)), limit, as_of, cursor, include_data)


def states(record_type: str, limit: int, as_of: AsOf | None, cursor: str | None, include_data: bool) -> Call:
    return _page(_path("state", record_type), limit, as_of, cursor, include_data)


def counts(as_of: AsOf | None) -> Call:
    return _get("/v1/boboyka/counts", {"as_of": moment(as_of)})


def _page(path: str, limit: int, as_of: AsOf | None, cursor: str | None, include_data: bool) -> Call:
    include = "data" if include_data else None
    return _get(path, {"limit": limit, "as_of": moment(as_of), "cursor": cursor, "include": include})


def _key(key: str) -> str:
    if not key:
        raise ValueError("key must not be empty")
    return key


STATUS = Call("GET", "/v1/boboyka/status")


def line(given: object, key: str) -> bytes:
    """An element of `ingest_many` as a line of a batch; `key` is for one that has none."""
    try:
        record_type, data, own = _encode.parts(given)
    except InvalidRecord:
        raise
    except Exception as error:
        # A mapping of the caller's can raise anything.
        why = f"the record can't be read: {type(error).__name__}: {error} (not_a_record)"
        raise InvalidRecord(422, "not_a_record", why) from error
    return _encode.record(record_type, data, key if own is None else own)


class Many:
    """The records of an `ingest_many` on their way to their answers."""

    def __init__(self, records: Iterable[RecordLike], batch_size: int) -> None:
        if not 1 <= batch_size <= 10_000:
            raise ValueError(f"batch_size must be 1 to 10000, not {batch_size}")
        self._records, self._batch_size = records, batch_size
        self._answers: list[Answer | None] = []
        self._places: list[int] = []

    def batches(self) -> Iterator[list[bytes]]:
        """The records as lines, cut into batches. What is no record is answered here."""
        prefix, lines, size = new_key(), list[bytes](), 0
        for place, given in enumerate(self._records):
            self._answers.append(None)
            try:
                text = line(given, f"{prefix}-{place}")
            except InvalidRecord as error:
                self._answers[place] = error
                continue
            if lines and (len(lines) == self._batch_size or size + len(text) > BATCH_BYTES):
                yield lines
                lines, size, self._places = [], 0, []
            lines.append(text)
            self._places.append(place)
            size += len(text)
        if lines:
            yield lines

    def answer(self, answers: list[Answer], failure: BoboykaError | None) -> None:
        """Takes the answers to the latest batch; `failure` is for those that got none."""
        for number, place in enumerate(self._places):
            self._answers[place] = answers[number] if number < len(answers) else failure

    def answers(self) -> list[Answer]:
        return [answer for answer in self._answers if answer is not None]


def batch(lines: list[bytes]) -> Call:
    headers = {"content-type": "application/x-ndjson"}
    content = b"\n".join(lines) + b"\n"
    return Call("POST", "/v1/boboyka/ingest/batch", content=content, headers=headers)


def batch_answers(size: int, body: bytes) -> list[Answer]:
    """One receipt or error for each record, in order."""
    lines = body.splitlines()
    if len(lines) != size:
        raise UnexpectedAnswer(f"{len(lines)} answers to {size} records")
    return [_answer(decode(text)) for text in lines]


def _answer(answer: Json) -> Answer:
    if "record_hash" in answer:
        return IngestResponse.from_json(answer)
    return _refusal(_STATUS_OF.get(str(answer.get("code")), 422), answer, None)


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
    if status == 401:
        return Unauthorized(*parts)
    if status == 429:
        return TooBusy(*parts, retry_after=seconds(retry_after) or 1.0)
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
        found = float(retry_after or 0)
    except ValueError:
        return 0.0
    return min(max(0.0, found), _RETRY_AFTER_MAX) if math.isfinite(found) else 0.0


def decode(body: bytes) -> Json:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswer("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise UnexpectedAnswer("the answer is not a JSON object")
    return cast(Json, found)


def given(own: Mapping[str, Any], **known: Any) -> dict[str, Any]:
    """The known fields that were given, and the caller's own, whatever they hold."""
    return {name: value for name, value in known.items() if value is not None} | dict(own)
