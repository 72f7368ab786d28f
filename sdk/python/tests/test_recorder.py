"""The recorder: never waits, never drops in silence."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

import pytest
from conftest import Sidecar, wait_until

from sapixdb_boboyka import (
    BoboykaError,
    BoboykaSyncClient,
    InvalidRecord,
    NotFlushed,
    Recorder,
    RecorderCounts,
    RecorderFull,
)


def events(sidecar: Sidecar) -> list[Any]:
    with BoboykaSyncClient(sidecar.url) as client:
        return [event.data for event in client.iter_events(include_data=True)]


def numbers(sidecar: Sidecar) -> list[int]:
    """What was written, in the order of the strand."""
    return [data["n"] for data in reversed(events(sidecar))]


def audit(n: int) -> dict[str, Any]:
    return {"agent_id": "a", "event": "e", "n": n}


def test_what_was_recorded_is_written_in_order_when_it_is_closed(sidecar: Sidecar) -> None:
    with Recorder(sidecar.url) as recorder:
        for n in range(3_000):
            recorder.record("audit_log", audit(n))
    assert numbers(sidecar) == list(range(3_000))
    assert recorder.counts == RecorderCounts(waiting=0, written=3_000, refused=0, not_written=0)
    with pytest.raises(BoboykaError, match="closed"):
        recorder.record("audit_log", audit(0))


def test_records_wait_while_the_sidecar_is_away_and_are_written_once(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture
) -> None:
    with Recorder(sidecar.url) as recorder:
        recorder.record("audit_log", audit(0))
        assert recorder.flush()
        sidecar.kill_9()
        for n in range(1, 100):
            recorder.record("audit_log", audit(n))
        assert not recorder.flush(timeout=0.3)
        wait_until(lambda: "no answer from the sidecar" in caplog.text, "the warning")
        sidecar.start()
        assert recorder.flush()
    assert numbers(sidecar) == list(range(100))
    warnings = [record.levelno for record in caplog.records if record.name == "sapixdb_boboyka"]
    assert warnings == [logging.WARNING, logging.WARNING], "one for the outage and one for its end"


def test_a_record_that_is_no_json_is_refused_where_it_is_recorded(sidecar: Sidecar) -> None:
    nested: dict[str, Any] = audit(0)
    for _ in range(5_000):
        nested = {"agent_id": "a", "event": "e", "in": nested}
    bad: list[tuple[str, Any, str]] = [
        ("load", audit(0) | {"load": float("inf")}, "load"),
        ("huge", audit(0) | {"text": "x" * (17 * 1024 * 1024)}, "data"),
        ("deep", nested, "in"),
        ("not a mapping", ["a"], "data"),
    ]
    with Recorder(sidecar.url) as recorder:
        recorder.record("audit_log", audit(1))
        for name, data, field in bad:
            with pytest.raises(InvalidRecord) as refused:
                recorder.record("audit_log", data)
            assert str(refused.value.field).startswith(field), name
        recorder.record("audit_log", audit(2))
        assert recorder.flush()
    assert numbers(sidecar) == [1, 2]


def test_a_record_that_the_sidecar_refuses_is_reported_and_its_neighbours_are_written(
    sidecar: Sidecar,
) -> None:
    refused: list[str] = []

    def report(record_type: str, error: BoboykaError) -> None:
        refused.append(f"{record_type}: {error}")
        raise SystemExit("a function of the caller that fails")

    with Recorder(sidecar.url, on_refused=report) as recorder:
        recorder.record("audit_log", audit(1))
        recorder.record("audit_log", {"agent_id": "a"})
        recorder.record("nonsense", audit(0))
        recorder.record("audit_log", audit(0) | {"text": "x" * (2 * 1024 * 1024)})
        recorder.record("audit_log", audit(0) | {"text": "\0"})
        recorder.record("audit_log", audit(2))
    assert numbers(sidecar) == [1, 2]
    found = [line.rpartition("(")[2] for line in refused]
    assert found == ["missing_field)", "unknown_record_type)", "too_large)", "nul_in_text)"], refused
    assert recorder.counts == RecorderCounts(waiting=0, written=2, refused=4, not_written=0)


def test_what_changes_after_it_was_recorded_is_written_as_it_was(sidecar: Sidecar) -> None:
    data = audit(1) | {"metadata": {"steps": ["build"]}}
    with Recorder(sidecar.url) as recorder:
        recorder.record("audit_log", data)
        data["metadata"]["steps"].append("deploy")
        data["metadata"]["env"] = object()
        data.clear()
    assert [found["metadata"] for found in events(sidecar)] == [{"steps": ["build"]}]


def test_what_could_not_be_written_is_handed_back_as_ingest_many_takes_it(sidecar: Sidecar) -> None:
    recorder = Recorder(sidecar.url, max_waiting=2)
    sidecar.kill_9()
    recorder.record("audit_log", audit(1))
    recorder.record("audit_log", audit(2))
    with pytest.raises(RecorderFull):
        recorder.record("audit_log", audit(3))
    with pytest.raises(NotFlushed) as lost:
        recorder.close(timeout=0.5)
    assert [data["n"] for _, data, _ in lost.value.records] == [1, 2]
    assert recorder.counts == RecorderCounts(waiting=0, written=0, refused=0, not_written=2)
    recorder.close()
    sidecar.start()
    with BoboykaSyncClient(sidecar.url) as client:
        client.ingest_many(lost.value.records)
        client.ingest_many(lost.value.records)
    assert numbers(sidecar) == [1, 2]


def test_no_more_bytes_wait_than_are_allowed(sidecar: Sidecar) -> None:
    with Recorder(sidecar.url, max_waiting_bytes=3_000) as recorder:
        sidecar.kill_9()
        recorder.record("audit_log", audit(1) | {"text": "x" * 2_000})
        with pytest.raises(RecorderFull, match="bytes"):
            recorder.record("audit_log", audit(2) | {"text": "x" * 2_000})
        sidecar.start()
    assert numbers(sidecar) == [1]


def test_on_refused_may_close_flush_and_record(sidecar: Sidecar) -> None:
    found: list[Any] = []

    def report(_: str, error: BoboykaError) -> None:
        recorder.record("audit_log", audit(3))
        found.append(recorder.flush(timeout=60))
        recorder.close()
        with pytest.raises(BoboykaError, match="closed"):
            recorder.record("audit_log", audit(4))
        found.append("closed")

    recorder = Recorder(sidecar.url, on_refused=report)
    recorder.record("audit_log", audit(1))
    recorder.record("audit_log", {"agent_id": "a"})
    wait_until(lambda: found == [False, "closed"], "the report")
    recorder.close()
    # Whether this one came before the close is a matter of luck, the others are not.
    assert numbers(sidecar) == [1, 3]


def test_close_ends_in_time_although_the_sidecar_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        recorder = Recorder(f"http://127.0.0.1:{silent.getsockname()[1]}")
        recorder.record("audit_log", audit(1))
        begun = time.monotonic()
        with pytest.raises(NotFlushed):
            recorder.close(timeout=0.5)
        assert time.monotonic() - begun < 8, "the time-out of a request is 10 s"


def test_close_tries_at_once_instead_of_after_its_pause(sidecar: Sidecar) -> None:
    recorder = Recorder(sidecar.url)
    sidecar.kill_9()
    recorder.record("audit_log", audit(1))
    assert not recorder.flush(timeout=1.0)
    sidecar.start()
    recorder.close()
    assert numbers(sidecar) == [1]


def test_flush_does_not_wait_for_what_comes_after_it(sidecar: Sidecar) -> None:
    with Recorder(sidecar.url, max_waiting=1_000_000) as recorder:
        ended = threading.Event()

        def produce() -> None:
            while not ended.is_set():
                recorder.record("audit_log", audit(0))

        producer = threading.Thread(target=produce)
        producer.start()
        try:
            assert recorder.flush(timeout=120)
        finally:
            ended.set()
            producer.join()
        recorder.close(timeout=240)


def test_somebody_else_at_the_address_is_no_reason_to_drop_a_record(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture
) -> None:
    port = int(sidecar.url.rpartition(":")[2])
    sidecar.kill_9()
    with Recorder(sidecar.url) as recorder:
        with socket.create_server(("127.0.0.1", port)) as server:
            recorder.record("audit_log", audit(1))
            caller, _ = server.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            wait_until(lambda: "who listens there" in caplog.text, "the warning")
        sidecar.start()
        assert recorder.flush()
    assert numbers(sidecar) == [1]


def test_a_recorder_that_is_not_used_has_no_thread(sidecar: Sidecar) -> None:
    before = threading.active_count()
    with Recorder(sidecar.url):
        assert threading.active_count() == before
