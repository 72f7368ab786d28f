"""One asynchronous client in many event loops, and closed clients."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import trio
import uvloop
from conftest import Sidecar

from sapixdb_agent import SapixClient
from sapixdb_boboyka import BoboykaClient, BoboykaError, BoboykaSyncClient, InvalidRecord, Retry

RUNNERS: dict[str, Callable[[Any], Any]] = {
    "asyncio": asyncio.run,
    "uvloop": uvloop.run,
    "trio": lambda coroutine: trio.run(lambda: coroutine),
}


def audit(n: int = 0) -> tuple[str, dict[str, Any]]:
    return "audit_log", {"agent_id": "a", "event": "e", "n": n}


@pytest.mark.parametrize("runner", RUNNERS)
def test_one_client_works_in_one_loop_after_the_other(sidecar: Sidecar, runner: str) -> None:
    run = RUNNERS[runner]
    client, plain = BoboykaClient(sidecar.url), SapixClient(sidecar.url)
    for n in range(3):
        assert run(client.ingest(*audit(n))).seq == 2 * n + 1
        assert run(plain.boboyka_ingest(*audit(n)))["seq"] == 2 * n + 2
    run(client.aclose())
    run(plain.aclose())


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_sidecar_that_comes_later_is_waited_for_in_every_loop(sidecar: Sidecar, runner: str) -> None:
    sidecar.kill_9()
    later = threading.Timer(0.5, sidecar.start)
    later.start()
    client = BoboykaClient(sidecar.url, retry=Retry(attempts=100))
    try:
        assert RUNNERS[runner](client.ingest(*audit())).seq == 1
    finally:
        later.join()


def test_one_client_works_in_loops_of_many_threads_at_once(sidecar: Sidecar) -> None:
    client = BoboykaClient(sidecar.url)
    seqs: list[int] = []

    async def send() -> None:
        receipts = await asyncio.gather(*(client.ingest(*audit(n)) for n in range(20)))
        seqs.extend(receipt.seq for receipt in receipts)

    threads = [threading.Thread(target=asyncio.run, args=(send(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 81))


def test_loops_that_ended_are_not_kept(sidecar: Sidecar) -> None:
    client = BoboykaClient(sidecar.url)
    loops: list[weakref.ref[Any]] = []

    async def send() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await client.ingest(*audit())

    for _ in range(5):
        asyncio.run(send())
    gc.collect()
    # The connections of the last one wait for the next.
    assert [loop() is None for loop in loops[:4]] == [True] * 4


def test_more_calls_at_once_than_connections_wait_their_turn(sidecar: Sidecar) -> None:
    async def send() -> list[Any]:
        async with BoboykaClient(sidecar.url, retry=Retry(attempts=1)) as client:
            return await asyncio.gather(*(client.ingest(*audit(n)) for n in range(250)))

    assert sorted(receipt.seq for receipt in asyncio.run(send())) == list(range(1, 251))


def test_a_call_that_is_cancelled_leaves_the_client_usable(sidecar: Sidecar) -> None:
    async def send() -> int:
        async with BoboykaClient(sidecar.url) as client:
            for _ in range(20):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.ingest_many(audit(n) for n in range(100)), 0.0001)
            return (await client.status()).total_events

    assert asyncio.run(send()) >= 0


def test_a_closed_client_says_so(client: Any) -> None:
    client.status()
    getattr(client, "aclose" if hasattr(client, "_loop") else "close")()
    with pytest.raises(BoboykaError, match="the client is closed"):
        client.status()


def test_outside_of_an_event_loop_the_client_says_what_it_needs(sidecar: Sidecar) -> None:
    with pytest.raises(BoboykaError, match="BoboykaSyncClient"):
        BoboykaClient(sidecar.url).status().send(None)


def test_both_clients_can_be_pickled_and_connect_anew(sidecar: Sidecar) -> None:
    client = BoboykaSyncClient(sidecar.url, timeout=3, retry=Retry(attempts=2))
    with pytest.raises(InvalidRecord):
        client.ingest("audit_log", {})
    assert pickle.loads(pickle.dumps(client)).status().total_events == 0
    copy = pickle.loads(pickle.dumps(BoboykaClient(sidecar.url)))
    assert asyncio.run(copy.status()).total_events == 0
