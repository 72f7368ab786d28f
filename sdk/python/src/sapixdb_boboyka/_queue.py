"""The queue of a recorder in one process, and the thread that writes it."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import _core
from ._core import Answer, Retry
from ._sync_client import BoboykaSyncClient
from .errors import BoboykaError, IdempotencyConflict, InvalidRecord, RecorderFull, TooBusy

_log = logging.getLogger("sapixdb_boboyka")

# Seconds between two warnings about the same outage.
_WARN_EVERY = 60.0

Refused = Callable[[str, BoboykaError], None]


@dataclass(frozen=True, slots=True)
class RecorderCounts:
    """What became of the records of this process."""

    waiting: int
    """Queued, neither written nor refused yet."""
    written: int
    """Durable in the strand."""
    refused: int
    """Refused by the sidecar, each reported to `on_refused`."""
    not_written: int
    """Given up when the recorder was closed, each in `NotFlushed` or counted in the log."""


class Queue:
    """Records on their way to the sidecar, in order."""

    def __init__(
        self, client: BoboykaSyncClient, max_records: int, max_bytes: int, on_refused: Refused
    ) -> None:
        self._client, self._on_refused = client, on_refused
        self._max_records, self._max_bytes = max_records, max_bytes
        self._lines: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._written = self._refused = self._not_written = 0
        # Its lock is reentrant: the handler of SIGTERM may interrupt the thread that holds it.
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._thread: threading.Thread | None = None
        self._ended = False
        self._warned_at: float | None = None

    def put(self, record_type: str, line: bytes) -> None:
        """Queues a record; raises `RecorderFull`, or `BoboykaError` when it can't be written any more."""
        with self._changed:
            if self._deadline is not None:
                raise BoboykaError("the recorder is closed")
            if len(self._lines) >= self._max_records:
                raise RecorderFull(f"{len(self._lines)} records wait already")
            if self._bytes + len(line) > self._max_bytes:
                raise RecorderFull(f"{self._bytes} bytes wait already, and the record has {len(line)} more")
            self._start()
            self._lines.append((record_type, line))
            self._bytes += len(line)
            self._changed.notify_all()

    def counts(self) -> RecorderCounts:
        with self._changed:
            return RecorderCounts(len(self._lines), self._written, self._refused, self._not_written)

    def flush(self, timeout: float) -> bool:
        """Waits until what waits now is written or refused; whether it is."""
        with self._changed:
            target = self._settled() + len(self._lines)
            if self._is_own_thread():
                return self._settled() >= target
            self._changed.wait_for(lambda: self._settled() >= target or self._ended, timeout)
            return self._settled() >= target

    def begin_close(self, timeout: float) -> None:
        """Takes no more records; writes what waits for `timeout` more seconds at most."""
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + timeout
            self._ended |= self._thread is None
            self._changed.notify_all()

    def wait_closed(self) -> bool:
        """Waits for the end of the writing, until the deadline; whether it came. The queue's own thread, in
        `on_refused`, can't wait for itself."""
        with self._changed:
            if not self._is_own_thread():
                # Not by joining the thread: that would keep the lock which an interrupted caller may hold.
                self._changed.wait_for(lambda: self._ended, self._time_left())
            return not self._is_own_thread()

    def take_rest(self) -> list[tuple[str, dict[str, Any], str]]:
        """What was not written, as `(record_type, data, idempotency_key)`; it is not written any more."""
        with self._changed:
            rest = [json.loads(line) for _, line in self._lines]
            self._not_written += len(rest)
            self._lines.clear()
            self._bytes = 0
        return [(record["record_type"], record["data"], record["idempotency_key"]) for record in rest]

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="boboyka-recorder", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise BoboykaError(f"the recorder's thread can't be started: {error}") from error
            self._thread = thread

    def _settled(self) -> int:
        return self._written + self._refused

    def _is_own_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def _time_left(self) -> float:
        return 0.0 if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _work(self) -> None:
        failures = 0
        try:
            while batch := self._next_batch():
                error = self._write(batch)
                failures = failures + 1 if error else 0
                self._tell(error)
                if error:
                    self._pause(error, failures)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            self._client.close()

    def _next_batch(self) -> list[tuple[str, bytes]]:
        """The oldest records; none when there is nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._deadline is not None)
            if self._deadline is not None and not self._time_left():
                return []
            found, size = list[tuple[str, bytes]](), 0
            for record in itertools.islice(self._lines, _core.BATCH_RECORDS):
                size += len(record[1])
                if found and size > _core.BATCH_BYTES:
                    break
                found.append(record)
            return found

    def _write(self, batch: list[tuple[str, bytes]]) -> BoboykaError | None:
        """Sends records and settles them; the error for which the first unsettled one must be sent again."""
        answers: list[Answer] = []
        failure: BoboykaError | None = None
        try:
            self._client._send_lines([line for _, line in batch], answers)
        except BoboykaError as error:
            failure = error
        except Exception as error:
            _log.exception("the recorder failed to send a batch")
            failure = BoboykaError(f"{type(error).__name__}: {error}")
        for record, answer in zip(batch, answers, strict=False):
            refused = isinstance(answer, (InvalidRecord, IdempotencyConflict))
            if isinstance(answer, BoboykaError) and not refused:
                return answer
            if isinstance(answer, BoboykaError):
                self._report(record[0], answer)
            self._settle(record, refused)
        return failure

    def _report(self, record_type: str, error: BoboykaError) -> None:
        try:
            self._on_refused(record_type, error)
        except BaseException:
            # SystemExit would end this thread, and the records behind this one would never be sent.
            _log.exception("on_refused failed for a %s record that was refused: %s", record_type, error)

    def _settle(self, record: tuple[str, bytes], refused: bool) -> None:
        with self._changed:
            # `take_rest` may have given it away meanwhile.
            if self._lines and self._lines[0] is record:
                self._lines.popleft()
                self._bytes -= len(record[1])
                self._refused += refused
                self._written += not refused
                self._changed.notify_all()

    def _tell(self, error: BoboykaError | None) -> None:
        now = time.monotonic()
        if error is None:
            if self._warned_at is not None:
                _log.warning("the recorder writes again")
            self._warned_at = None
        elif self._warned_at is None or now - self._warned_at >= _WARN_EVERY:
            self._warned_at = now
            waiting = self.counts().waiting
            _log.warning("the recorder can't write %d records yet and tries again: %s", waiting, error)

    def _pause(self, error: BoboykaError, failures: int) -> None:
        """Waits before the next try; a `close` cuts the wait short."""
        at_least = error.retry_after if isinstance(error, TooBusy) else 0.0
        wait = Retry().wait(min(failures, 8), at_least)
        with self._changed:
            deadline = self._deadline
            if deadline is not None:
                wait = min(wait, self._time_left())
            self._changed.wait_for(lambda: self._deadline != deadline, wait)
