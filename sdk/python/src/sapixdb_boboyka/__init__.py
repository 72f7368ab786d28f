"""Client of the Boboyka integration for SapixDB.

`BoboykaClient` is asynchronous, `BoboykaSyncClient` has the same surface without `await`, `Recorder` writes
in the background for callers that must not wait.
"""

from ._async_client import BoboykaClient
from ._core import RecordLike, Retry
from ._queue import RecorderCounts
from ._recorder import Recorder
from ._sync_client import BoboykaSyncClient
from .errors import (
    AnswerError,
    BoboykaError,
    IdempotencyConflict,
    InvalidRecord,
    NotFlushed,
    NotReachable,
    RecorderFull,
    TooBusy,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from .models import (
    BoboykaEvent,
    BoboykaStatusResponse,
    DualWriteResult,
    EventsResponse,
    IngestResponse,
)

__all__ = [
    "AnswerError",
    "BoboykaClient",
    "BoboykaError",
    "BoboykaEvent",
    "BoboykaStatusResponse",
    "BoboykaSyncClient",
    "DualWriteResult",
    "EventsResponse",
    "IdempotencyConflict",
    "IngestResponse",
    "InvalidRecord",
    "NotFlushed",
    "NotReachable",
    "RecordLike",
    "Recorder",
    "RecorderCounts",
    "RecorderFull",
    "Retry",
    "TooBusy",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
]
