"""Client of the Boboyka integration for SapixDB.

`BoboykaClient` is asynchronous, `BoboykaSyncClient` has the same surface without `await`, `Recorder` writes
in the background for callers that must not wait.
"""

from ._async_client import BoboykaClient
from ._core import AsOf, RecordLike, Retry
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
    CountsResponse,
    DualWriteResult,
    EventsResponse,
    Head,
    HistoryResponse,
    IngestResponse,
    Missing,
    State,
    StatesResponse,
)

__all__ = [
    "AnswerError",
    "AsOf",
    "BoboykaClient",
    "BoboykaError",
    "BoboykaEvent",
    "BoboykaStatusResponse",
    "BoboykaSyncClient",
    "CountsResponse",
    "DualWriteResult",
    "EventsResponse",
    "Head",
    "HistoryResponse",
    "IdempotencyConflict",
    "IngestResponse",
    "InvalidRecord",
    "Missing",
    "NotFlushed",
    "NotReachable",
    "RecordLike",
    "Recorder",
    "RecorderCounts",
    "RecorderFull",
    "Retry",
    "State",
    "StatesResponse",
    "TooBusy",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
]
