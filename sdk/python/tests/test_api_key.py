"""A sidecar that asks for a key: who gets in, and what becomes of the key."""

from __future__ import annotations

import asyncio
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sapixdb
from conftest import Sidecar, wait_until

from sapixdb_agent import SapixClient
from sapixdb_boboyka import BoboykaClient, BoboykaError, BoboykaSyncClient, Recorder, Retry, Unauthorized

KEY, OTHER = "sapix_sk_0123456789abcdef", "sapix_sk_other"
AUDIT: tuple[str, dict[str, Any]] = ("audit_log", {"agent_id": "a", "event": "e"})
ONCE = Retry(attempts=1)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    return file


@pytest.fixture
def locked(tmp_path: Path, key_file: Path) -> Iterator[Sidecar]:
    running = Sidecar(tmp_path, more=["--api-key-file", str(key_file)])
    yield running
    running.stop()


def test_without_the_key_nothing_but_the_greeting_and_health_is_open(locked: Sidecar) -> None:
    for path in ["/", "/v1/health"]:
        assert httpx.get(locked.url + path).status_code == 200
    for path in [
        "/v1/boboyka/status",
        "/v1/boboyka/events",
        "/v1/agents/orders/strand/records",
        "/v1/stream",
        "/nowhere",
        "//v1/health",
        "/v1/health/",
        "/v1/healthz",
    ]:
        for header in [
            None,
            "Bearer",
            f"Basic {KEY}",
            f"Bearer {OTHER}",
            f"Bearer {KEY}x",
            f"Bearer {KEY[:-1]}",
        ]:
            headers = {} if header is None else {"authorization": header}
            answer = httpx.get(locked.url + path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), (path, header)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["field"] == "Authorization"
            assert KEY not in answer.text
    for header in [f"Bearer {KEY}", f"bearer  {KEY}"]:
        answer = httpx.get(f"{locked.url}/v1/boboyka/status", headers={"authorization": header})
        assert answer.status_code == 200


def test_the_clients_show_it(locked: Sidecar, monkeypatch: pytest.MonkeyPatch, key_file: Path) -> None:
    with BoboykaSyncClient(locked.url, api_key=KEY) as client:
        assert client.ingest(*AUDIT).seq == 1
        with pickle.loads(pickle.dumps(client)) as again:
            assert again.status().total_events == 1
    with BoboykaSyncClient(locked.url) as client, pytest.raises(Unauthorized, match="has no key") as caught:
        client.status()
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")

    async def run() -> None:
        async with BoboykaClient(locked.url, api_key=KEY) as client:
            assert (await client.status()).total_events == 1
        async with SapixClient(locked.url, api_key=KEY) as plain:
            assert (await plain.boboyka_status())["total_events"] == 1

    asyncio.run(run())
    with Recorder(locked.url, api_key=KEY) as recorder:
        recorder.record(*AUDIT)
    published = sapixdb.SapixClient(url=locked.url, agent="a", api_key=KEY)
    assert published.collection("orders").write({"n": 1}).record_id
    with pytest.raises(sapixdb.SapixError) as refused:
        sapixdb.SapixClient(url=locked.url, agent="a").collection("orders").latest()
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")
    monkeypatch.setenv("BOBOYKA_API_KEY", KEY)
    with BoboykaSyncClient(locked.url) as client:
        assert client.status().total_events == 3
    monkeypatch.delenv("BOBOYKA_API_KEY")
    monkeypatch.setenv("BOBOYKA_API_KEY_FILE", str(key_file))
    command = [sys.executable, "-m", "sapixdb_boboyka", "--url", locked.url, "status"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "total" in shown.stdout


def test_a_recorder_with_a_wrong_key_keeps_its_records(locked: Sidecar, caplog: Any) -> None:
    recorder = Recorder(locked.url, api_key=OTHER)
    with caplog.at_level(logging.WARNING, "sapixdb_boboyka"):
        recorder.record(*AUDIT)
        wait_until(lambda: "tries again" in caplog.text, "the warning")
    assert recorder.counts.waiting == 1
    assert OTHER not in caplog.text
    with pytest.raises(BoboykaError, match="1 records"):
        recorder.close(0.1)


def test_a_key_that_changes_is_in_force_without_a_restart(locked: Sidecar, key_file: Path) -> None:
    def opens(key: str) -> bool:
        answer = httpx.get(f"{locked.url}/v1/boboyka/status", headers={"authorization": f"Bearer {key}"})
        return answer.status_code == 200

    assert opens(KEY) and not opens(OTHER)
    # A file that holds nothing for a moment locks nobody out, and opens the sidecar to nobody.
    key_file.write_text("")
    wait_until(lambda: "the key before stays in force" in locked.log(), "the log line")
    assert opens(KEY) and not opens("none")
    key_file.write_text(OTHER)
    wait_until(lambda: opens(OTHER), "the new key")
    assert not opens(KEY)
    key_file.unlink()
    key_file.write_text(KEY)
    wait_until(lambda: opens(KEY), "the first key")
    assert "sapix_sk" not in locked.log()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.unlink(), "could not read the file"),
        (lambda file: file.write_text(" \n"), "is empty"),
        (lambda file: file.write_text("two words"), "holds no key"),
        (lambda file: (file.unlink(), file.mkdir()), "could not read the file"),
    ],
)
def test_a_sidecar_without_its_key_does_not_start(
    tmp_path: Path, key_file: Path, spoil: Callable[[Path], Any], why: str
) -> None:
    spoil(key_file)
    command = [Sidecar.BINARY, "--data-dir", tmp_path / "data", "--api-key-file", key_file]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "--api-key-file" in ended.stderr and why in ended.stderr and str(key_file) in ended.stderr
    assert "two words" not in ended.stderr
    assert not (tmp_path / "data").exists()


def test_a_client_s_bad_key_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for bad in ["", "two words", "schlüssel\n"]:
        with pytest.raises(BoboykaError, match="api_key is no key") as caught:
            BoboykaSyncClient(api_key=bad, retry=ONCE)
        assert not bad or bad not in str(caught.value)
    monkeypatch.setenv("BOBOYKA_API_KEY_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(BoboykaError, match="BOBOYKA_API_KEY_FILE can't be read"):
        BoboykaSyncClient()
