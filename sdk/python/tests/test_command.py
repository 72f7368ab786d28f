"""The command: on every terminal, in every pipe, with the checks of the API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from conftest import Sidecar

from sapixdb_boboyka import BoboykaSyncClient

COMMAND = [sys.executable, "-m", "sapixdb_boboyka"]


def run(
    sidecar: Sidecar, *arguments: str | bytes, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        env={**os.environ, "BOBOYKA_URL": sidecar.url, **environment},
        capture_output=True,
        timeout=120,
    )


def newest(sidecar: Sidecar) -> Any:
    with BoboykaSyncClient(sidecar.url) as client:
        return client.events(limit=1, include_data=True).events[0].data


def test_it_takes_and_shows_records(sidecar: Sidecar) -> None:
    done = run(sidecar, "ingest", "audit_log", '{"agent_id": "a", "event": "deploy"}')
    assert done.stdout.startswith(b"hash  "), done.stderr
    status = json.loads(run(sidecar, "status", "--json").stdout)
    assert status["event_counts"]["audit_log"] == 1
    table = run(sidecar, "events", "--data").stdout
    assert b"audit_log" in table and b'"event": "deploy"' in table
    refused = run(sidecar, "ingest", "audit_log", "{}")
    assert refused.returncode == 1 and refused.stderr.startswith(b"error: agent_id"), refused.stderr


TERMINALS = {
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "Latin 1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C"},
    "C without UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "UTF-8": {"PYTHONIOENCODING": "utf-8"},
}


@pytest.mark.parametrize("terminal", TERMINALS)
def test_every_terminal_shows_and_takes_every_character(sidecar: Sidecar, terminal: str) -> None:
    environment = TERMINALS[terminal]
    record = {"agent_id": "a", "event": "größer – 😀"}
    text = json.dumps(record, ensure_ascii=False).encode()
    for arguments, stdin in (([text], b""), (["-"], text), (["-"], b"\xef\xbb\xbf" + text)):
        done = run(sidecar, "ingest", "audit_log", *arguments, stdin=stdin, **environment)
        assert done.returncode == 0, done.stderr
        assert newest(sidecar) == record
    for arguments in (["status"], ["events", "--data"]):
        done = run(sidecar, *arguments, **environment)
        assert done.returncode == 0 and done.stdout, done.stderr
    done = run(sidecar, "events", "--data", "--json", **environment)
    assert json.loads(done.stdout)["events"][0]["data"] == record


def test_a_reader_that_goes_away_is_no_error(sidecar: Sidecar) -> None:
    with BoboykaSyncClient(sidecar.url) as client:
        data = {"agent_id": "a", "event": "e", "text": "x" * 1_000}
        client.ingest_many(("audit_log", data) for _ in range(1_000))
    for more in ([], ["--json"]):
        process = subprocess.Popen(
            [*COMMAND, "events", "--limit", "1000", "--data", *more],
            env={**os.environ, "BOBOYKA_URL": sidecar.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        assert (process.wait(), errors) == (141, b"")


def test_a_full_disk_and_a_closed_output_are_told_in_one_line(sidecar: Sidecar) -> None:
    command = f"'{sys.executable}' -m sapixdb_boboyka status"
    environment = {**os.environ, "BOBOYKA_URL": sidecar.url}
    full = subprocess.run(f"{command} >/dev/full", shell=True, env=environment, capture_output=True)
    assert full.returncode == 1
    assert full.stderr.startswith(b"error: the output can't be written") and full.stderr.count(b"\n") == 1
    closed = subprocess.run(f"{command} >&-", shell=True, env=environment, capture_output=True)
    assert b"Traceback" not in closed.stderr
    nothing = subprocess.run(
        f"{command.replace('status', 'ingest')} audit_log - <&-",
        shell=True,
        env=environment,
        capture_output=True,
    )
    assert nothing.returncode == 1 and nothing.stderr.startswith(b"error: standard input"), nothing.stderr


# What is given as data, and a part of the error.
REFUSED: dict[str, tuple[bytes, bytes]] = {
    "no JSON": (b"{", b"data is not JSON"),
    "two values": (b"{} {}", b"data is not JSON"),
    "a way out of the record": (b'{"agent_id":"a","event":"e"},"idempotency_key":"k"', b"data is not JSON"),
    "NaN": (b'{"agent_id":"a","event":"e","load":NaN}', b"NaN"),
    "too deep to be read": (b"[" * 100_000, b"data is not JSON"),
    "no UTF-8": (b'{"agent_id":"\xff","event":"e"}', b"data is not JSON"),
    "a list": (b"[]", b"object"),
    "text": (b'"x"', b"object"),
    "a key twice": (b'{"agent_id":"a","agent_id":"b","event":"e"}', b"agent_id"),
    "a number that would be rounded": (b'{"agent_id":"a","event":"e","n":9007199254740993.0001}', b"n "),
    "a number that is too large": (b'{"agent_id":"a","event":"e","n":1e999}', b"n "),
    "a number of 5,000 digits": (b'{"agent_id":"a","event":"e","n":' + b"9" * 5000 + b"}", b"n "),
    "half a surrogate pair": (b'{"agent_id":"a","event":"\\ud800"}', b"JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses_what_the_api_refuses(sidecar: Sidecar, name: str) -> None:
    data, words = REFUSED[name]
    done = run(sidecar, "ingest", "audit_log", "-", stdin=data)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1, done.stderr
    assert words in done.stderr
    with BoboykaSyncClient(sidecar.url) as client:
        assert client.status().total_events == 0


def test_an_address_that_is_none_and_a_sidecar_that_is_away_are_errors_in_one_line(sidecar: Sidecar) -> None:
    for url in ("localhost:7475", "http://127.0.0.1:1"):
        done = run(sidecar, "--url", url, "status")
        assert done.returncode == 1
        assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1, done.stderr
