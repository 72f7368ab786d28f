"""The synchronous client. Made of the asynchronous one by tools/make_sync.py."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import httpx

from . import _core
from ._connections import Connections
from ._core import Answer, AsOf, Call, RecordLike, Retry
from .errors import AnswerError, BoboykaError, InvalidRecord
from .models import (
    BoboykaEvent,
    BoboykaStatusResponse,
    CountsResponse,
    EventsResponse,
    HistoryResponse,
    IngestResponse,
    Json,
    State,
    StatesResponse,
)

Page = TypeVar("Page", EventsResponse, HistoryResponse, StatesResponse)


class BoboykaSyncClient:
    """A client of the sidecar on this machine.

    `url`: address of the sidecar; default `BOBOYKA_URL`, or `http://localhost:7475`. `timeout`: seconds per
    attempt. `retry`: how often to repeat a call while the sidecar is away or busy; `Retry(attempts=1)`
    never repeats. `api_key`: for a sidecar that asks for one; default `BOBOYKA_API_KEY`, or what the file
    `BOBOYKA_API_KEY_FILE` holds. The client keeps connections open, so create one and share it: each
    process, also a forked one, and each event loop gets its own connections.

    Every method can raise a `BoboykaError`: `NotReachable` if no sidecar answers, `Unauthorized` if it
    asks for another key, `TooBusy` or `Unavailable` if it can't accept records now, `InvalidRecord` if it
    rejects the record.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout: float = 10.0,
        retry: Retry = Retry(),
        api_key: str | None = None,
    ) -> None:
        self._url = _core.address(url)
        self._api_key = _core.api_key(api_key)
        self._timeout = timeout
        self._retry = retry
        self._connections = Connections(self._url, timeout, self._api_key)

    def __reduce__(self) -> tuple[Any, ...]:
        # What reaches another process connects anew.
        make = functools.partial(
            type(self),
            str(self._url),
            timeout=self._timeout,
            retry=self._retry,
            api_key=self._api_key,
        )
        return make, ()

    def __enter__(self) -> BoboykaSyncClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._connections.close()

    def ingest(
        self,
        record_type: str,
        data: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> IngestResponse:
        """Writes a record of any type and returns its receipt when the record is durable.

        `idempotency_key`: 1 to 255 bytes. For 24 hours, the same key with the same record returns the same
        receipt and appends nothing. By default the client generates a key for its own retries.
        """
        call = _core.ingest(record_type, data, idempotency_key)
        return IngestResponse.from_json(_core.decode(self._send(call)))

    def ingest_build(
        self,
        *,
        project_id: str,
        build_id: str,
        status: str,
        agent_id: str | None = None,
        started_at_ms: int | None = None,
        completed_at_ms: int | None = None,
        output_url: str | None = None,
        idempotency_key: str | None = None,
        **more: Any,
    ) -> IngestResponse:
        """Writes the state of a build run. `status`: queued, running, succeeded or failed. Times are
        milliseconds since 1970. `more`: fields of your own, kept unchanged."""
        data = _core.given(
            more,
            project_id=project_id,
            build_id=build_id,
            status=status,
            agent_id=agent_id,
            started_at_ms=started_at_ms,
            completed_at_ms=completed_at_ms,
            output_url=output_url,
        )
        return self.ingest("project_build", data, idempotency_key=idempotency_key)

    def ingest_queue_item(
        self,
        *,
        queue_id: str,
        project_id: str,
        status: str,
        priority: int | None = None,
        enqueued_at_ms: int | None = None,
        dequeued_at_ms: int | None = None,
        idempotency_key: str | None = None,
        **more: Any,
    ) -> IngestResponse:
        """Writes the state of an item of the build queue. `status`: waiting, processing or done. Times are
        milliseconds since 1970. `more`: fields of your own, kept unchanged."""
        data = _core.given(
            more,
            queue_id=queue_id,
            project_id=project_id,
            priority=priority,
            status=status,
            enqueued_at_ms=enqueued_at_ms,
            dequeued_at_ms=dequeued_at_ms,
        )
        return self.ingest("build_queue_item", data, idempotency_key=idempotency_key)

    def ingest_health(
        self,
        *,
        agent_id: str,
        status: str,
        cpu_pct: float | None = None,
        memory_mb: float | None = None,
        checked_at_ms: int | None = None,
        idempotency_key: str | None = None,
        **more: Any,
    ) -> IngestResponse:
        """Writes a snapshot of an agent's health. `status`: healthy, degraded or unhealthy.
        `cpu_pct`: percent. `memory_mb`: MiB. `checked_at_ms`: milliseconds since 1970, default now. `more`:
        fields of your own, kept unchanged."""
        data = _core.given(
            more,
            agent_id=agent_id,
            status=status,
            cpu_pct=cpu_pct,
            memory_mb=memory_mb,
            checked_at_ms=_core.now_ms() if checked_at_ms is None else checked_at_ms,
        )
        return self.ingest("agent_health", data, idempotency_key=idempotency_key)

    def ingest_audit(
        self,
        *,
        agent_id: str,
        event: str,
        actor: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timestamp_ms: int | None = None,
        idempotency_key: str | None = None,
        **more: Any,
    ) -> IngestResponse:
        """Writes an auditable action of an agent. `timestamp_ms`: milliseconds since 1970, default now.
        `more`: fields of your own, kept unchanged."""
        data = _core.given(
            more,
            agent_id=agent_id,
            event=event,
            actor=actor,
            timestamp_ms=_core.now_ms() if timestamp_ms is None else timestamp_ms,
            metadata=metadata,
        )
        return self.ingest("audit_log", data, idempotency_key=idempotency_key)

    def ingest_many(
        self,
        records: Iterable[RecordLike],
        *,
        batch_size: int = _core.BATCH_RECORDS,
    ) -> list[IngestResponse | BoboykaError]:
        """Writes many records, in order, in as few requests as `batch_size` allows.

        Returns a receipt or an error for each, in order, and an error for anything that is not a record. If
        a batch could not be sent, its records and all later ones get its error, and the client sends
        nothing more. Each record has a key of its own, so a batch that is sent again after a crash of the
        sidecar duplicates nothing.
        """
        many = _core.Many(records, batch_size)
        failure: BoboykaError | None = None
        for lines in many.batches():
            answers: list[Answer] = []
            try:
                if failure is None:
                    self._send_lines(lines, answers)
            except BoboykaError as error:
                failure = error
            many.answer(answers, failure)
        return many.answers()

    def status(self) -> BoboykaStatusResponse:
        """Returns phase, Supabase URL, and the number of records of each type."""
        return BoboykaStatusResponse.from_json(self._status())

    def events(
        self,
        limit: int = 50,
        record_type: str | None = None,
        *,
        cursor: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        include_data: bool = False,
        as_of: AsOf | None = None,
    ) -> EventsResponse:
        """Returns a page of records, newest first.

        `limit`: 1 to 1000; `cursor`: the `next_cursor` of the page before, with the same filters; times in
        milliseconds since 1970, both inclusive. `as_of`: only records up to a moment, see `state`.
        """
        call = _core.events(limit, record_type, cursor, since_ms, until_ms, include_data, as_of)
        return EventsResponse.from_json(_core.decode(self._send(call)))

    def build_events(self, limit: int = 50) -> EventsResponse:
        """Returns the newest `project_build` events."""
        return self.events(limit, "project_build")

    def health_events(self, limit: int = 50) -> EventsResponse:
        """Returns the newest `agent_health` events."""
        return self.events(limit, "agent_health")

    def audit_events(self, limit: int = 50) -> EventsResponse:
        """Returns the newest `audit_log` events."""
        return self.events(limit, "audit_log")

    def iter_events(
        self,
        record_type: str | None = None,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        include_data: bool = False,
        page_size: int = 500,
        as_of: AsOf | None = None,
    ) -> Iterator[BoboykaEvent]:
        """Yields every event once, newest first. Events that arrive in the meantime are left out."""
        ask = functools.partial(
            self.events,
            page_size,
            record_type,
            since_ms=since_ms,
            until_ms=until_ms,
            include_data=include_data,
            as_of=as_of,
        )
        for page in _pages(ask):
            for event in page.events:
                yield event

    def state(self, record_type: str, key: str, *, as_of: AsOf | None = None) -> State | None:
        """Returns the newest record of a build, a queue item or an agent; None if the strand holds none,
        because it never had one or because it was pruned.

        `key`: its `build_id`, `queue_id` or `agent_id`. `as_of`: the moment to look at, default now: a
        `datetime` with a time zone, milliseconds since 1970, the receipt, event or state of a record, or
        text: a `record_hash`, or `seq:` and a `seq`.
        """
        try:
            body = self._send(_core.state(record_type, key, as_of))
        except AnswerError as error:
            if (error.status, error.field) == (404, "key"):
                return None
            raise
        return State.from_json(_core.decode(body))

    def history(
        self,
        record_type: str,
        key: str,
        limit: int = 50,
        *,
        as_of: AsOf | None = None,
        cursor: str | None = None,
        include_data: bool = True,
    ) -> HistoryResponse:
        """Returns a page of all records of a build, a queue item or an agent, newest first.

        `limit`: 1 to 1000; `cursor`: the `next_cursor` of the page before, with the same `as_of`; see
        `state`.
        """
        call = _core.history(record_type, key, limit, as_of, cursor, include_data)
        return HistoryResponse.from_json(_core.decode(self._send(call)))

    def states(
        self,
        record_type: str,
        limit: int = 50,
        *,
        as_of: AsOf | None = None,
        cursor: str | None = None,
        include_data: bool = True,
    ) -> StatesResponse:
        """Returns a page of all builds, queue items or agents, each with its newest record, in no
        particular order.

        `limit`: 1 to 1000; `cursor`: the `next_cursor` of the page before, with the same `as_of`; see
        `state`.
        """
        call = _core.states(record_type, limit, as_of, cursor, include_data)
        return StatesResponse.from_json(_core.decode(self._send(call)))

    def iter_states(
        self,
        record_type: str,
        *,
        as_of: AsOf | None = None,
        include_data: bool = True,
        page_size: int = 500,
    ) -> Iterator[State]:
        """Yields every build, queue item or agent once, as of the moment of the first page."""
        ask = functools.partial(
            self.states,
            record_type,
            page_size,
            as_of=as_of,
            include_data=include_data,
        )
        for page in _pages(ask):
            for state in page.states:
                yield state

    def iter_history(
        self,
        record_type: str,
        key: str,
        *,
        as_of: AsOf | None = None,
        include_data: bool = True,
        page_size: int = 500,
    ) -> Iterator[State]:
        """Yields every record of a build, a queue item or an agent, newest first."""
        ask = functools.partial(
            self.history,
            record_type,
            key,
            page_size,
            as_of=as_of,
            include_data=include_data,
        )
        for page in _pages(ask):
            for version in page.versions:
                yield version

    def counts(self, *, as_of: AsOf | None = None) -> CountsResponse:
        """Returns the number of records of each type up to a moment, see `state`."""
        return CountsResponse.from_json(_core.decode(self._send(_core.counts(as_of))))

    def _ingest_json(self, record_type: str, data: bytes) -> IngestResponse:
        """Takes a record whose data is JSON already."""
        return IngestResponse.from_json(_core.decode(self._send(_core.ingest_json(record_type, data))))

    def _status(self) -> Json:
        return _core.decode(self._send(_core.STATUS))

    def _send_lines(self, lines: list[bytes], answers: list[Answer]) -> None:
        """Sends records as one batch and adds an answer for each.

        A batch that is refused as a whole is halved until the record that it is refused for stands alone.
        """
        try:
            answers += _core.batch_answers(len(lines), self._send(_core.batch(lines)))
            return
        except InvalidRecord as error:
            if len(lines) == 1:
                answers.append(error)
                return
        middle = len(lines) // 2
        self._send_lines(lines[:middle], answers)
        self._send_lines(lines[middle:], answers)

    def _send(self, call: Call) -> bytes:
        """The body of the answer, after as many tries as allowed."""
        tried = 0
        while True:
            tried += 1
            last = tried >= self._retry.attempts
            http = self._connections.here()
            try:
                answer = http.request(
                    call.method,
                    call.path,
                    params=call.params or None,
                    content=call.content,
                    headers=call.headers,
                )
            except Exception as error:
                # Whatever httpx raises, callers meet one family of errors.
                if last or not isinstance(error, httpx.TransportError):
                    raise _core.failure(self._url, error) from error
                self._connections.sleep(self._retry.wait(tried))
                continue
            retry_after = answer.headers.get("retry-after")
            if last or not _core.may_try_again(answer.status_code):
                _core.check(answer.status_code, answer.content, retry_after)
                return answer.content
            self._connections.sleep(self._retry.wait(tried, _core.seconds(retry_after)))


def _pages(ask: Callable[..., Page]) -> Iterator[Page]:
    """Every page, each asked for with the cursor of the one before."""
    cursor: str | None = None
    while True:
        page = ask(cursor=cursor)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
