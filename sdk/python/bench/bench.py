"""Ratios of the client to a bare httpx loop, in one interleaved run against a real sidecar.

python bench/bench.py --url http://127.0.0.1:7475 [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import httpx

from sapixdb_boboyka import BoboykaError, BoboykaSyncClient

SINGLE, MANY = 1_000, 40_000


def health(n: int) -> dict[str, object]:
    return {"agent_id": f"a{n % 40}", "status": "healthy", "cpu_pct": n % 100, "memory_mb": 64, "n": n}


def rate(records: int, work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return records / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    bare = httpx.Client(base_url=arguments.url, trust_env=False)
    client = BoboykaSyncClient(arguments.url)

    def loop() -> None:
        for n in range(SINGLE):
            body = {"record_type": "agent_health", "data": health(n)}
            bare.post("/v1/boboyka/ingest", json=body).raise_for_status().json()

    def typed() -> None:
        for n in range(SINGLE):
            client.ingest_health(agent_id=f"a{n % 40}", status="healthy", cpu_pct=n % 100, memory_mb=64, n=n)

    def many() -> None:
        results = client.ingest_many(("agent_health", health(n)) for n in range(MANY))
        assert not any(isinstance(result, BoboykaError) for result in results)

    rates: dict[str, list[float]] = {"bare httpx": [], "typed helper": [], "ingest_many": []}
    for _ in range(arguments.rounds):
        rates["bare httpx"].append(rate(SINGLE, loop))
        rates["typed helper"].append(rate(SINGLE, typed))
        rates["ingest_many"].append(rate(MANY, many))
    middle = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        print(f"{name}: {middle[name]:.0f} [{min(found):.0f}–{max(found):.0f}] records/s")
    print(f"typed helper ÷ bare httpx {middle['typed helper'] / middle['bare httpx']:.2f}")
    print(f"ingest_many ÷ typed helper {middle['ingest_many'] / middle['typed helper']:.1f}")


if __name__ == "__main__":
    main()
