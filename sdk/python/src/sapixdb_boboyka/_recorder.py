"""Records in the background, for agents that must not wait."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from . import _core
from ._core import Retry
from ._sync_client import BoboykaSyncClient
from .errors import BoboykaError, IdempotencyConflict, InvalidRecord, NotFlushed, RecorderFull

_log = logging.getLogger("sapixdb_boboyka")

Queued = tuple[str, dict[str, object], str]


def _log_refusal(record_type: str, error: BoboykaError) -> None:
    _log.error("a %s record was refused: %s", record_type, error)


class Recorder:
    """Takes records at once and writes them from a thread of its own, in order, in batches.

    `max_waiting`: records that may wait; one more raises `RecorderFull`. `on_refused(record_type, error)` is
    called, on that thread, for each record that the sidecar refuses for what it is; by default it is logged.
    While the sidecar is away the records wait. `close` (also at the end of a `with`, and of the process)
    writes what waits, and raises `NotFlushed` with what it could not: nothing is dropped silently.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        max_waiting: int = 10_000,
        on_refused: Callable[[str, BoboykaError], None] = _log_refusal,
    ) -> None:
        self._client = BoboykaSyncClient(url, retry=Retry(attempts=1))
        self._max_waiting = max_waiting
        self._on_refused = on_refused
        self._waiting: deque[Queued] = deque()
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._work, name="boboyka-recorder", daemon=True)
        self._thread.start()
        atexit.register(self._close_at_exit)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self, record_type: str, data: Mapping[str, Any]) -> None:
        """Queues a record; raises `RecorderFull` when too many wait, `BoboykaError` after `close`."""
        with self._changed:
            if self._deadline is not None:
                raise BoboykaError("the recorder is closed")
            if len(self._waiting) >= self._max_waiting:
                raise RecorderFull(f"{self._max_waiting} records wait already")
            # A copy: what the caller changes later is another record.
            self._waiting.append((record_type, dict(data), _core.new_key()))
            self._changed.notify_all()

    def flush(self, timeout: float = 30.0) -> bool:
        """Waits until everything queued so far is written or refused; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Writes what waits, for at most `timeout` seconds; raises `NotFlushed` for what is left."""
        with self._changed:
            already = self._deadline is not None
            if not already:
                self._deadline = time.monotonic() + timeout
            self._changed.notify_all()
        atexit.unregister(self._close_at_exit)
        self._thread.join()
        self._client.close()
        if self._waiting and not already:
            raise NotFlushed(list(self._waiting))

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except NotFlushed as error:
            _log.critical("%s", error)

    def _work(self) -> None:
        tried = 0
        while batch := self._next_batch():
            try:
                done = self._write(batch)
            except Exception:
                # The thread must outlive whatever a caller's function does.
                _log.exception("the recorder failed in a way that it should not")
                done = 0
            with self._changed:
                for _ in range(done):
                    self._waiting.popleft()
                tried = 0 if done else tried + 1
                if done:
                    self._changed.notify_all()
                else:
                    self._changed.wait_for(self._is_late, Retry().wait(min(tried, 8)))

    def _next_batch(self) -> list[Queued]:
        """The oldest records; none when there is nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._deadline is not None)
            if self._is_late():
                return []
            return [self._waiting[n] for n in range(min(len(self._waiting), _core.BATCH_RECORDS))]

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _write(self, batch: list[Queued]) -> int:
        """Sends records; how many of them, from the first, are settled."""
        records = [
            {"record_type": record_type, "data": data, "idempotency_key": key}
            for record_type, data, key in batch
        ]
        try:
            results = self._client.ingest_many(records)
        except InvalidRecord:
            results = self._one_by_one(records)
        settled = 0
        for (record_type, _, _), result in zip(batch, results, strict=True):
            if isinstance(result, (InvalidRecord, IdempotencyConflict)):
                self._on_refused(record_type, result)
            elif isinstance(result, BoboykaError):
                break
            settled += 1
        return settled

    def _one_by_one(self, records: list[dict[str, Any]]) -> list[Any]:
        """For a batch with a record that is no JSON at all: it is refused, the rest goes on."""
        results: list[Any] = []
        for record in records:
            try:
                results += self._client.ingest_many([record])
            except InvalidRecord as error:
                results.append(error)
        return results
