"""What the sidecar answers, as frozen dataclasses: no dependency, cheap to make, safe to share.

Fields that a later sidecar adds are ignored; times are milliseconds since 1970 as on the wire, with an
aware `datetime` beside each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .errors import UnexpectedAnswer

Json = dict[str, Any]


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc)


@dataclass(frozen=True, slots=True)
class DualWriteResult:
    """What became of the copy to Supabase when the answer was given."""

    enabled: bool
    """Whether there is a Supabase."""
    ok: bool | None
    """Whether the row was in its table; `None` without Supabase."""
    error: str | None
    """Why not; begins with "queued" when the sidecar sends it again by itself."""


@dataclass(frozen=True, slots=True)
class IngestResponse:
    """A record that is durable."""

    record_hash: str
    """64 hexadecimal digits: names the record in the strand."""
    record_type: str
    ingested_at_ms: int
    """Milliseconds since 1970."""
    dual_write: DualWriteResult
    seq: int
    """The record's place in the strand, from 1."""
    prev_hash: str
    """The hash of the record before it."""
    record_id: str
    """A UUID, version 7."""
    traceparent: str | None = None
    """The trace that the request belongs to, as W3C's header of this name has it."""

    @property
    def ingested_at(self) -> datetime:
        """When it was appended, in UTC."""
        return _time(self.ingested_at_ms)

    @classmethod
    def from_json(cls, json: Json) -> IngestResponse:
        try:
            dual_write = json["dual_write"]
            return cls(
                record_hash=json["record_hash"],
                record_type=json["record_type"],
                ingested_at_ms=json["ingested_at_ms"],
                dual_write=DualWriteResult(dual_write["enabled"], dual_write["ok"], dual_write["error"]),
                seq=json["seq"],
                prev_hash=json["prev_hash"],
                record_id=json["record_id"],
                traceparent=json.get("traceparent"),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise _unexpected("a receipt", error) from error


@dataclass(frozen=True, slots=True)
class BoboykaStatusResponse:
    """How the integration stands."""

    integration_phase: str
    dual_write_enabled: bool
    supabase_url: str | None
    event_counts: Mapping[str, int]
    """Records by type."""
    total_events: int

    @classmethod
    def from_json(cls, json: Json) -> BoboykaStatusResponse:
        try:
            return cls(
                integration_phase=json["integration_phase"],
                dual_write_enabled=json["dual_write_enabled"],
                supabase_url=json["supabase_url"],
                event_counts=json["event_counts"],
                total_events=json["total_events"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise _unexpected("a status", error) from error


@dataclass(frozen=True, slots=True)
class BoboykaEvent:
    """An element of the events feed."""

    record_hash: str
    record_type: str
    ingested_at_ms: int
    """Milliseconds since 1970."""
    dual_write_ok: bool | None
    dual_write_error: str | None
    seq: int
    data: Json | None = None
    """The record itself, where it was asked for."""
    payload_gone: bool | None = None
    """True where there would be `data`, but retention by type removed it; else nothing."""

    @property
    def ingested_at(self) -> datetime:
        """When it was appended, in UTC."""
        return _time(self.ingested_at_ms)


@dataclass(frozen=True, slots=True)
class EventsResponse:
    """A page of the events feed, newest first."""

    events: list[BoboykaEvent]
    next_cursor: str | None
    """Gives the next page; `None` after the oldest."""

    @classmethod
    def from_json(cls, json: Json) -> EventsResponse:
        try:
            events = [
                BoboykaEvent(
                    record_hash=event["record_hash"],
                    record_type=event["record_type"],
                    ingested_at_ms=event["ingested_at_ms"],
                    dual_write_ok=event["dual_write_ok"],
                    dual_write_error=event["dual_write_error"],
                    seq=event["seq"],
                    data=event.get("data"),
                    payload_gone=event.get("payload_gone"),
                )
                for event in json["events"]
            ]
            return cls(events, json["next_cursor"])
        except (KeyError, TypeError, AttributeError) as error:
            raise _unexpected("a page of events", error) from error


@dataclass(frozen=True, slots=True)
class Head:
    """The record that an answer is as of. Its hash covers all records before it."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Records that can't be read or are lost; a newer version may be among them."""

    first_seq: int
    last_seq: int
    why: str


@dataclass(frozen=True, slots=True)
class State:
    """A record of a build, a queue item or an agent: its state from then on."""

    record_type: str
    key: str
    """Its `build_id`, `queue_id` or `agent_id`."""
    record_hash: str
    seq: int
    ingested_at_ms: int
    """Milliseconds since 1970."""
    record_id: str
    tombstone: bool
    """Whether the record was deleted, up to the moment of the answer."""
    data: Json | None
    """The record itself, where it was asked for."""
    head: Head
    """The record that the answer is as of."""
    missing: tuple[Missing, ...] = ()
    """What the answer could not look at; normally empty."""
    payload_gone: bool | None = None
    """True where there would be `data`, but retention by type removed it; else nothing."""

    @property
    def ingested_at(self) -> datetime:
        """When it was appended, in UTC."""
        return _time(self.ingested_at_ms)

    @classmethod
    def from_json(cls, json: Json) -> State:
        try:
            return _state(json, json, json["key"], _missing(json))
        except (KeyError, TypeError, AttributeError) as error:
            raise _unexpected("a state", error) from error


@dataclass(frozen=True, slots=True)
class HistoryResponse:
    """A page of the versions of a build, a queue item or an agent, newest first."""

    versions: list[State]
    next_cursor: str | None
    """Gives the next page; `None` after the oldest."""
    head: Head
    floor: int
    """The `seq` of the newest pruned record, 0 if none was: older versions are gone."""
    missing: tuple[Missing, ...]

    @classmethod
    def from_json(cls, json: Json) -> HistoryResponse:
        try:
            versions = [_state(json, version, json["key"]) for version in json["versions"]]
            return cls(versions, json["next_cursor"], _head(json), json["floor"], _missing(json))
        except (KeyError, TypeError, AttributeError) as error:
            raise _unexpected("a history", error) from error


@dataclass(frozen=True, slots=True)
class StatesResponse:
    """A page of builds, queue items or agents, each with its newest record."""

    states: list[State]
    next_cursor: str | None
    """Gives the next page; `None` after the last. A page can be short without being the last."""
    head: Head
    floor: int
    """The `seq` of the newest pruned record, 0 if none was."""
    missing: tuple[Missing, ...]

    @classmethod
    def from_json(cls, json: Json) -> StatesResponse:
        try:
            states = [_state(json, state, state["key"]) for state in json["states"]]
            return cls(states, json["next_cursor"], _head(json), json["floor"], _missing(json))
        except (KeyError, TypeError, AttributeError) as error:
            raise _unexpected("a page of states", error) from error


@dataclass(frozen=True, slots=True)
class CountsResponse:
    """The number of records up to a moment, pruned ones included."""

    event_counts: Mapping[str, int]
    """Records by type."""
    total_events: int
    head: Head
    missing: tuple[Missing, ...]

    @classmethod
    def from_json(cls, json: Json) -> CountsResponse:
        try:
            return cls(json["event_counts"], json["total_events"], _head(json), _missing(json))
        except (KeyError, TypeError, AttributeError) as error:
            raise _unexpected("counts", error) from error


def _state(answer: Json, version: Json, key: str, missing: tuple[Missing, ...] = ()) -> State:
    return State(
        record_type=answer["record_type"],
        key=key,
        record_hash=version["record_hash"],
        seq=version["seq"],
        ingested_at_ms=version["ingested_at_ms"],
        record_id=version["record_id"],
        tombstone=version["tombstone"],
        data=version.get("data"),
        head=_head(answer),
        missing=missing,
        payload_gone=version.get("payload_gone"),
    )


def _head(json: Json) -> Head:
    return Head(json["head"]["seq"], json["head"]["hash"])


def _missing(json: Json) -> tuple[Missing, ...]:
    return tuple(Missing(part["first_seq"], part["last_seq"], part["why"]) for part in json["missing"])


def _unexpected(what: str, error: Exception) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"the answer is not {what}: {type(error).__name__} {error}")
