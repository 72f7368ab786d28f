"""The recorder: never waits, never drops in silence."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Sidecar

from sapixdb_boboyka import BoboykaError, BoboykaSyncClient, NotFlushed, Recorder, RecorderFull


def events(sidecar: Sidecar) -> list[Any]:
    with BoboykaSyncClient(sidecar.url) as client:
        return [event.data for event in client.iter_events(include_data=True)]


def audit(n: int) -> dict[str, Any]:
    return {"agent_id": "a", "event": "e", "n": n}


def test_what_was_recorded_is_written_in_order_when_it_is_closed(sidecar: Sidecar) -> None:
    with Recorder(sidecar.url) as recorder:
        for n in range(3_000):
            recorder.record("audit_log", audit(n))
    assert [data["n"] for data in events(sidecar)] == list(range(2_999, -1, -1))
    with pytest.raises(BoboykaError, match="closed"):
        recorder.record("audit_log", audit(0))


def test_records_wait_while_the_sidecar_is_away_and_are_written_once(sidecar: Sidecar) -> None:
    with Recorder(sidecar.url) as recorder:
        recorder.record("audit_log", audit(0))
        assert recorder.flush()
        sidecar.kill_9()
        for n in range(1, 100):
            recorder.record("audit_log", audit(n))
        assert not recorder.flush(timeout=0.3)
        sidecar.start()
        assert recorder.flush()
    assert [data["n"] for data in events(sidecar)] == list(range(99, -1, -1))


def test_a_refused_record_is_told_and_the_rest_goes_on(sidecar: Sidecar) -> None:
    refused: list[tuple[str, str]] = []
    with Recorder(sidecar.url, on_refused=lambda kind, error: refused.append((kind, str(error)))) as recorder:
        recorder.record("audit_log", audit(1))
        recorder.record("audit_log", {"agent_id": "a"})
        recorder.record("audit_log", {"agent_id": "a", "event": "e", "load": float("inf")})
        recorder.record("audit_log", audit(2))
    assert [data["n"] for data in events(sidecar)] == [2, 1]
    assert [kind for kind, _ in refused] == ["audit_log", "audit_log"]
    assert "event" in refused[0][1]


def test_what_could_not_be_written_is_handed_back(sidecar: Sidecar) -> None:
    recorder = Recorder(sidecar.url, max_waiting=2)
    sidecar.kill_9()
    recorder.record("audit_log", audit(1))
    recorder.record("audit_log", audit(2))
    with pytest.raises(RecorderFull):
        recorder.record("audit_log", audit(3))
    with pytest.raises(NotFlushed) as lost:
        recorder.close(timeout=0.5)
    assert [data["n"] for _, data, _ in lost.value.records] == [1, 2]
