"""The past, through both clients."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from sapixdb_boboyka import AnswerError, InvalidRecord


def build(client: Any, key: str, status: str) -> Any:
    return client.ingest_build(project_id="p", build_id=key, status=status)


def test_a_state_is_that_of_any_moment_however_it_is_named(client: Any) -> None:
    queued = build(client, "b", "queued")
    running = build(client, "b", "running")
    state = client.state("project_build", "b")
    assert (state.key, state.seq, state.record_hash) == ("b", 2, running.record_hash)
    assert state.data == {"project_id": "p", "build_id": "b", "status": "running"}
    assert (state.head.seq, state.head.hash) == (2, running.record_hash)
    assert (state.tombstone, state.missing) == (False, ())
    assert state.ingested_at == running.ingested_at
    event = client.events(as_of=queued).events[0]
    past = client.state("project_build", "b", as_of=queued)
    for moment in (queued, event, past, queued.record_hash, "seq:1"):
        then = client.state("project_build", "b", as_of=moment)
        assert (then.data["status"], then.head.seq) == ("queued", 1)
    now = datetime.fromtimestamp(running.ingested_at_ms / 1000, timezone(timedelta(hours=5)))
    for moment in (now, running.ingested_at_ms, running.ingested_at):
        assert client.state("project_build", "b", as_of=moment).seq == 2
    assert client.state("project_build", "b", as_of=datetime(2001, 1, 1, tzinfo=timezone.utc)) is None
    assert client.state("agent_health", "b") is None


@pytest.mark.parametrize("key", ["a/b", "ü ?#%", ".", "..", "%2F", "a+b", "\n"])
def test_any_text_is_a_key(client: Any, key: str) -> None:
    build(client, key, "queued")
    assert client.state("project_build", key).key == key
    assert [version.key for version in client.iter_history("project_build", key)] == [key]


def test_histories_and_lists_are_walked_to_their_end(client: Any) -> None:
    for n in range(30):
        build(client, f"b{n % 10}", "running" if n < 20 else "succeeded")
    page = client.history("project_build", "b3", limit=2)
    assert [version.seq for version in page.versions] == [24, 14]
    rest = client.history("project_build", "b3", limit=2, cursor=page.next_cursor)
    assert [version.seq for version in rest.versions] == [4]
    assert (rest.next_cursor, rest.floor, rest.head) == (None, 0, page.head)
    seqs = [version.seq for version in client.iter_history("project_build", "b3", page_size=1)]
    assert seqs == [24, 14, 4]
    states = list(client.iter_states("project_build", page_size=3))
    assert {state.key: state.seq for state in states} == {f"b{n}": n + 21 for n in range(10)}
    assert {state.data["status"] for state in states} == {"succeeded"}
    then = client.iter_states("project_build", as_of="seq:15", page_size=4, include_data=False)
    assert {state.key: state.seq for state in then} == {
        f"b{n}": n + 11 if n < 5 else n + 1 for n in range(10)
    }
    assert client.states("project_build", limit=1, include_data=False).states[0].data is None


def test_events_and_counts_end_at_their_moment(client: Any) -> None:
    receipts = [build(client, f"b{n}", "queued") for n in range(5)]
    client.ingest_audit(agent_id="a", event="e")
    seqs = [event.seq for event in client.iter_events(as_of=receipts[3], page_size=3)]
    assert seqs == [4, 3, 2, 1]
    then, now = client.counts(as_of=receipts[3]), client.counts()
    assert (then.total_events, then.event_counts["project_build"], then.head.seq) == (4, 4, 4)
    assert (now.total_events, now.event_counts["audit_log"]) == (6, 1)


def test_what_can_t_be_asked_is_told(client: Any) -> None:
    build(client, "b", "queued")
    for moment in ("seq:2", "yesterday", 10**15):
        with pytest.raises(InvalidRecord) as refused:
            client.state("project_build", "b", as_of=moment)
        assert refused.value.field == "as_of"
    with pytest.raises(AnswerError) as unknown:
        client.state("project_build", "b", as_of="0" * 64)
    assert (unknown.value.status, unknown.value.field) == (404, "as_of")
    with pytest.raises(InvalidRecord, match="project_build"):
        client.state("audit_log", "a")
    with pytest.raises(ValueError, match="time zone"):
        client.state("project_build", "b", as_of=datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="key"):
        client.state("project_build", "")
