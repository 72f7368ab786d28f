"""The errors of the client. All of them derive from `BoboykaError`."""

from __future__ import annotations

from typing import Any


def _restored(kind: type[BoboykaError], args: tuple[Any, ...], state: dict[str, Any]) -> BoboykaError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class BoboykaError(Exception):
    """The base class of all errors."""

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is pickled as a call with its message alone, which is not what most of these take;
        # and pickled they are, on their way out of a process pool.
        return _restored, (type(self), self.args, self.__dict__)


class NotReachable(BoboykaError):
    """No sidecar answered, after all attempts.

    The sidecar may have written the record of an ingest. Sending it again with the same idempotency key
    is safe.
    """

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"no answer from the sidecar at {url} ({why}); does it run beside this process? "
            "Its address is the client's argument, else BOBOYKA_URL, else http://localhost:7475"
        )
        self.url = url


class AnswerError(BoboykaError):
    """The sidecar answered with an error and wrote nothing.

    `status`: HTTP status. `code`: error code of the sidecar, as listed in its API document. `field`: the
    field, parameter or header that the error is about, or None.
    """

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field


class InvalidRecord(AnswerError):
    """The record is invalid; `field` names the field. Sending it again can't succeed."""


class IdempotencyConflict(AnswerError):
    """The idempotency key was used for another record in the last 24 hours."""


class Unauthorized(AnswerError):
    """The sidecar asks for an API key, and the client has none or another one."""


class TooBusy(AnswerError):
    """More waits than the sidecar takes, still after all attempts.

    `retry_after`: seconds after which to try again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        retry_after: float = 1.0,
    ) -> None:
        super().__init__(status, code, message, field)
        self.retry_after = retry_after


class Unavailable(AnswerError):
    """The sidecar can't write now: its disk is full, it stops, or a write of its failed."""


class UnexpectedAnswer(BoboykaError):
    """The answer is none of a sidecar; something else listens there."""


class RecorderFull(BoboykaError):
    """The recorder's queue is full; this record was not queued."""


class NotFlushed(BoboykaError):
    """The recorder was closed before everything was written.

    `records` holds what is not known to be written, as `(record_type, data, idempotency_key)`:
    `ingest_many` takes them as they are, and doubles none.
    """

    def __init__(self, records: list[tuple[str, dict[str, Any], str]]) -> None:
        super().__init__(f"{len(records)} records were not written before the recorder was closed")
        self.records = records
