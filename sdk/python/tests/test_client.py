"""Both clients against a real sidecar; every test runs with either."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from conftest import Sidecar

from sapixdb_boboyka import (
    BoboykaSyncClient,
    IdempotencyConflict,
    IngestResponse,
    InvalidRecord,
    NotReachable,
    Retry,
    UnexpectedAnswer,
)

NOBODY = Retry(attempts=2, first_wait=0.01)


def health(n: int) -> tuple[str, dict[str, Any]]:
    return "agent_health", {"agent_id": f"a{n}", "status": "healthy", "n": n}


def test_each_typed_helper_writes_its_record(client: Any) -> None:
    receipts = [
        client.ingest_build(project_id="p", build_id="b", status="running", agent_id="a", branch="main"),
        client.ingest_queue_item(queue_id="q", project_id="p", status="waiting", priority=1),
        client.ingest_health(agent_id="a", status="healthy", cpu_pct=1.5, memory_mb=64),
        client.ingest_audit(agent_id="a", event="deploy", actor="ci", metadata={"env": "production"}),
    ]
    assert [receipt.seq for receipt in receipts] == [1, 2, 3, 4]
    assert receipts[1].prev_hash == receipts[0].record_hash
    types = ["project_build", "build_queue_item", "agent_health", "audit_log"]
    assert [receipt.record_type for receipt in receipts] == types
    assert (receipts[0].dual_write.enabled, receipts[0].dual_write.ok) == (False, None)
    status = client.status()
    assert (status.total_events, dict(status.event_counts)) == (4, dict.fromkeys(types, 1))
    assert (status.dual_write_enabled, status.supabase_url) == (False, None)
    data = [event.data for event in client.events(include_data=True).events]
    assert data[3] == {
        "project_id": "p",
        "build_id": "b",
        "status": "running",
        "agent_id": "a",
        "branch": "main",
    }
    assert data[0]["metadata"] == {"env": "production"}
    assert abs(data[0]["timestamp_ms"] - receipts[3].ingested_at_ms) < 60_000


def test_times_are_milliseconds_and_aware(client: Any) -> None:
    receipt = client.ingest(*health(1))
    assert receipt.ingested_at.utcoffset() == timedelta(0)
    assert round(receipt.ingested_at.timestamp() * 1000) == receipt.ingested_at_ms


def test_the_feed_is_filtered_and_walked_without_gap_or_repeat(client: Any) -> None:
    client.ingest_many(health(n) for n in range(57))
    client.ingest_audit(agent_id="a", event="e")
    assert len(client.health_events(limit=10).events) == 10
    assert len(client.audit_events().events) == 1
    assert client.build_events().events == []
    seqs = [event.seq for event in client.iter_events("agent_health", page_size=10)]
    assert seqs == list(range(57, 0, -1))


def test_a_refused_record_names_its_field_and_is_not_sent_again(client: Any) -> None:
    with pytest.raises(InvalidRecord) as refused:
        client.ingest_health(agent_id="a", status="fine")
    assert (refused.value.field, refused.value.status) == ("status", 422)
    with pytest.raises(InvalidRecord, match="JSON"):
        client.ingest("audit_log", {"agent_id": "a", "event": "e", "load": float("nan")})
    assert client.status().total_events == 0


def test_a_key_of_ones_own_makes_an_ingest_repeatable(client: Any) -> None:
    first = client.ingest(*health(1), idempotency_key="k1")
    assert client.ingest(*health(1), idempotency_key="k1") == first
    with pytest.raises(IdempotencyConflict):
        client.ingest(*health(2), idempotency_key="k1")
    assert client.status().total_events == 1


def test_many_records_keep_their_order_and_errors_their_place(client: Any) -> None:
    records: list[Any] = [health(n) for n in range(2_500)]
    records[1_200] = ("agent_health", {"agent_id": "a"})
    records[7] = {"record_type": "audit_log", "data": {"agent_id": "a", "event": "e"}, "idempotency_key": "k"}
    results = client.ingest_many(records, batch_size=700)
    assert len(results) == 2_500
    refused = results.pop(1_200)
    assert isinstance(refused, InvalidRecord) and refused.field == "status"
    assert [result.seq for result in results] == list(range(1, 2_500))
    assert results[7].record_type == "audit_log"


def test_no_record_is_lost_or_doubled_when_the_sidecar_is_killed_in_the_middle(
    sidecar: Sidecar, connect: Callable[..., Any]
) -> None:
    client = connect(sidecar.url, Retry(attempts=40, first_wait=0.05, longest_wait=0.2))
    kills = 0
    done = threading.Event()

    def kill() -> None:
        nonlocal kills
        with BoboykaSyncClient(sidecar.url) as watcher:
            seen = 0
            while not done.is_set() and kills < 3:
                if (total := watcher.status().total_events) > seen:
                    seen = total
                    sidecar.kill_9()
                    sidecar.start()
                    kills += 1

    killer = threading.Thread(target=kill)
    killer.start()
    results = client.ingest_many((health(n) for n in range(30_000)), batch_size=500)
    done.set()
    killer.join()
    assert kills > 0, "the batch was written before the first kill"
    assert all(isinstance(result, IngestResponse) for result in results)
    found = [event.data["n"] for event in client.iter_events(include_data=True, page_size=1000)]
    assert sorted(found) == list(range(30_000))


def test_a_sidecar_that_comes_later_is_waited_for(sidecar: Sidecar, connect: Callable[..., Any]) -> None:
    sidecar.kill_9()
    later = threading.Timer(0.5, sidecar.start)
    later.start()
    receipt = connect(sidecar.url, Retry(attempts=40)).ingest(*health(1))
    later.join()
    assert receipt.seq == 1


def test_nobody_there_is_told_with_a_hint(connect: Callable[..., Any]) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        client = connect(url, NOBODY)
        with pytest.raises(NotReachable, match="does it run beside this process"):
            client.ingest(*health(1))
        results = client.ingest_many([health(1), health(2)], batch_size=1)
    assert [type(result) for result in results] == [NotReachable, NotReachable]


def test_somebody_else_there_is_told(connect: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            caller, _ = server.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")

        threading.Thread(target=answer, daemon=True).start()
        client = connect(f"http://127.0.0.1:{server.getsockname()[1]}", NOBODY)
        with pytest.raises(UnexpectedAnswer):
            client.status()


def test_a_busy_sidecar_is_left_alone_for_as_long_as_it_says(connect: Callable[..., Any]) -> None:
    calls: list[float] = []
    busy = b'{"error":"queue full","code":"queue_full","message":"too many records wait"}'
    fine = b'{"integration_phase":"p","dual_write_enabled":false,"supabase_url":null,"event_counts":{},"total_events":0}'
    answers = [(b"429 Too Many Requests\r\nretry-after: 1", busy), (b"200 OK", fine)]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for head, body in answers:
                caller, _ = server.accept()
                with caller:
                    caller.recv(65536)
                    calls.append(time.monotonic())
                    length = str(len(body)).encode()
                    caller.sendall(
                        b"HTTP/1.1 "
                        + head
                        + b"\r\nconnection: close\r\ncontent-length: "
                        + length
                        + b"\r\n\r\n"
                        + body
                    )

        threading.Thread(target=serve, daemon=True).start()
        assert connect(f"http://127.0.0.1:{server.getsockname()[1]}").status().total_events == 0
    assert calls[1] - calls[0] >= 1.0


def test_the_address_comes_from_the_environment(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOBOYKA_URL", sidecar.url)
    with BoboykaSyncClient() as client:
        assert client.status().total_events == 0
