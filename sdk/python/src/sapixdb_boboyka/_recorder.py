"""Records in the background, for agents that must not wait."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from . import _at_exit, _core
from ._core import Retry
from ._process import PerProcess
from ._queue import Queue, RecorderCounts
from ._sync_client import BoboykaSyncClient
from .errors import BoboykaError, NotFlushed

_log = logging.getLogger("sapixdb_boboyka")


def _log_refusal(record_type: str, error: BoboykaError) -> None:
    _log.error("the sidecar refused a %s record: %s", record_type, error)


class Recorder:
    """Takes records at once and writes them from a thread of its own, in order, in batches.

    `max_waiting`, `max_waiting_bytes`: how many records, and bytes of their JSON, may wait; what exceeds them
    raises `RecorderFull`. `on_refused(record_type, error)` is called, on that thread, for each record that
    the sidecar refuses for what it is; by default it is logged. While the sidecar is away the records wait
    and a warning is logged. `close` (also at the end of a `with`) writes what waits, and raises `NotFlushed`
    with what it could not.

    Each process has a queue and a thread of its own, so a recorder that was made before a fork works in the
    child. A process that ends, also a `multiprocessing` child, writes what waits for up to 10 s and logs how
    many records it could not write. So it does on SIGTERM, where the application had no handler when the
    recorder was made or first used, in the main thread. `os._exit` and SIGKILL lose what waits: call `flush`
    before.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        max_waiting: int = 10_000,
        max_waiting_bytes: int = 64 * 1024 * 1024,
        on_refused: Callable[[str, BoboykaError], None] = _log_refusal,
        api_key: str | None = None,
    ) -> None:
        self._url = str(_core.address(url))
        self._limits = (max_waiting, max_waiting_bytes)
        self._on_refused = on_refused
        self._api_key = _core.api_key(api_key)
        self._closed = False
        self._queue = PerProcess(self._make_queue)
        _at_exit.handle_sigterm()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(
            type(self),
            self._url,
            max_waiting=self._limits[0],
            max_waiting_bytes=self._limits[1],
            on_refused=self._on_refused,
            api_key=self._api_key,
        )
        return make, ()

    def record(self, record_type: str, data: Mapping[str, Any]) -> None:
        """Queues a record as it is now: later changes of `data` don't reach it.

        Raises `InvalidRecord` for what is no JSON, `RecorderFull` when too much waits, `BoboykaError` after
        `close`.
        """
        if self._closed:
            raise BoboykaError("the recorder is closed")
        line = _core.line((record_type, data), _core.new_key())
        self._queue.get().put(record_type, line)

    @property
    def counts(self) -> RecorderCounts:
        """What became of this process's records so far."""
        queue = self._queue.peek()
        return queue.counts() if queue else RecorderCounts(0, 0, 0, 0)

    def flush(self, timeout: float = 30.0) -> bool:
        """Waits, `timeout` seconds at most, until everything queued so far is written or refused; whether
        it is. Within `on_refused` it does not wait."""
        queue = self._queue.peek()
        return queue is None or queue.flush(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Writes what waits, for at most `timeout` seconds; raises `NotFlushed` for what is left.

        Within `on_refused` it returns at once: the thread writes the rest, and the end of the process waits
        for it.
        """
        self._closed = True
        queue = self._queue.peek()
        if queue is None:
            return
        queue.begin_close(timeout)
        if queue.wait_closed():
            _at_exit.forget(queue)
            if rest := queue.take_rest():
                raise NotFlushed(rest)

    def _make_queue(self) -> Queue:
        client = BoboykaSyncClient(self._url, retry=Retry(attempts=1), api_key=self._api_key)
        queue = Queue(client, *self._limits, self._on_refused)
        _at_exit.watch(queue)
        _at_exit.handle_sigterm()
        return queue
