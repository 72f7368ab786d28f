"""A real sidecar against its contract: requests that schemathesis generates, and the answers that it can't read to their end.

Each request is made of the committed document. What is generated is the same in every run, as long as the document is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from conftest import GUARD, ROOT, Sidecar

FOLDER = Path(__file__).parent / "contract"
CONTRACT = ROOT / "docs" / "openapi.json"
# The two that follow the strand never end: what they answer is looked at below.
STREAMS = "/stream$"

RECORDS: list[tuple[str, dict[str, Any]]] = [
    (
        "project_build",
        {"project_id": "p", "build_id": "b", "status": "running", "started_at_ms": 1, "own": [1.5]},
    ),
    ("build_queue_item", {"queue_id": "q", "project_id": "p", "status": "waiting", "priority": 1}),
    ("agent_health", {"agent_id": "a", "status": "healthy", "cpu_pct": 1.5}),
    ("audit_log", {"agent_id": "a", "event": "e", "metadata": {"deep": [{}]}}),
]


def written(client: httpx.Client) -> list[str]:
    """The hashes of records of every kind; one of the documents is deleted."""
    hashes = []
    for record_type, data in RECORDS:
        answer = client.post("/v1/boboyka/ingest", json={"record_type": record_type, "data": data})
        hashes.append(answer.raise_for_status().json()["record_hash"])
    for number in range(2):
        answer = client.post("/v1/agents/notes/records/json", json={"data": {"number": number}})
        hashes.append(answer.raise_for_status().json()["content_hash"])
    client.delete(f"/v1/agents/notes/records/{hashes[-1]}").raise_for_status()
    return hashes


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sidecar.url, timeout=GUARD) as client:
        yield client


def configuration(folder: Path, hashes: list[str]) -> Path:
    """The configuration with names of what is there, so that half of the requests find something."""
    names = {
        "hash": hashes,
        "collection": ["notes"],
        "document": hashes[len(RECORDS) :],
        "name": ["notes", "project_build", "agent_audit_log"],
        "key": ["a", "b", "q"],
        "tile": ["0/000.p/2", "entries/000.p/2"],
        "file": ["main.js", "icon.svg"],
    }
    text = (FOLDER / "schemathesis.toml").read_text().replace("HOOKS", str(FOLDER / "hooks.py"))
    text += "\n[parameters]\n"
    for name in ("hash", "name", "key", "tile", "file"):
        text += f'"path.{name}" = {{ dictionary = "{name}", probability = 0.5 }}\n'
    for name, values in names.items():
        text += f"\n[dictionaries.{name}]\nvalues = {json.dumps(values)}\n"
    file = folder / "schemathesis.toml"
    file.write_text(text)
    return file


def run(folder: Path, url: str, hashes: list[str], *more: str) -> str:
    """Runs schemathesis; what it printed."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration(folder, hashes))]
    command += ["run", str(CONTRACT), "--url", url, "--no-color", "--workers", "1", *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=GUARD * 2)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_is_found_in_the_answers_to_generated_requests(
    tmp_path: Path, sidecar: Sidecar, client: httpx.Client
) -> None:
    hashes = written(client)
    phases = "coverage,fuzzing,stateful"
    told = run(tmp_path, sidecar.url, hashes, "--phases", phases, "--exclude-path-regex", STREAMS)
    document = json.loads(CONTRACT.read_text())
    operations = [name for name in document["paths"] if not name.endswith("/stream")]
    count = sum(len(document["paths"][name]) for name in operations)
    assert f"Tested: {count}" in told, told
    verdict = client.get("/v1/boboyka/verify").text.splitlines()[-1]
    assert json.loads(verdict)["ok"], verdict


def test_nothing_is_found_in_the_refusals_of_streams(
    tmp_path: Path, sidecar: Sidecar, client: httpx.Client
) -> None:
    more = ["--phases", "coverage", "--mode", "negative", "--include-path-regex", STREAMS]
    assert "Tested: 3" in run(tmp_path, sidecar.url, written(client), *more)


def closed(schema: Any) -> Any:
    """A schema in which objects have no other members than those that it names."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: closed(each) for name, each in schema.items()}
    if isinstance(strict.get("properties"), dict) and strict.get("type") == "object":
        strict.setdefault("additionalProperties", False)
    return strict


DOCUMENT = json.loads(CONTRACT.read_text())
COMPONENTS = {"schemas": closed(DOCUMENT["components"]["schemas"])}


def check(schema: dict[str, Any], value: Any) -> None:
    """Whether a value is of a schema, with nothing in it that the schema does not name."""
    jsonschema_rs.validator_for({**closed(schema), "components": COMPONENTS}).validate(value)


def described(path: str, media: str, method: str = "get", status: str = "200") -> dict[str, Any]:
    """What the contract says of an answer."""
    found = DOCUMENT["paths"][path][method]["responses"][status]["content"][media]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/", "/"),
        ("/v1/boboyka/status", "/v1/boboyka/status"),
        ("/v1/boboyka/mirror", "/v1/boboyka/mirror"),
        ("/v1/boboyka/last-hour", "/v1/boboyka/last-hour"),
        ("/v1/boboyka/record-types", "/v1/boboyka/record-types"),
        ("/v1/boboyka/events", "/v1/boboyka/events?include=data&limit=2"),
        ("/v1/boboyka/records/{hash}", "/v1/boboyka/records/1"),
        ("/v1/boboyka/counts", "/v1/boboyka/counts"),
        ("/v1/boboyka/state/{record_type}", "/v1/boboyka/state/project_build?include=data&proof=true"),
        ("/v1/boboyka/state/{record_type}/{key}", "/v1/boboyka/state/project_build/b?proof=true"),
        ("/v1/boboyka/history/{record_type}/{key}", "/v1/boboyka/history/agent_health/a?include=data"),
        ("/v1/health", "/v1/health"),
        ("/v1/agents/{name}/records/deleted", "/v1/agents/notes/records/deleted"),
        ("/v1/agents/{name}/strand/records", "/v1/agents/notes/strand/records"),
        ("/v1/strand/records", "/v1/strand/records"),
    ],
)
def test_an_answer_has_what_the_contract_says_and_nothing_else(
    client: httpx.Client, path: str, asked: str
) -> None:
    written(client)
    answer = client.get(asked)
    assert answer.status_code == 200, answer.text
    check(described(path, "application/json")["schema"], answer.json())


def test_lines_are_what_the_contract_says(client: httpx.Client) -> None:
    written(client)
    lines = client.get("/v1/boboyka/verify").text.splitlines()
    for line in lines:
        check(described("/v1/boboyka/verify", "application/x-ndjson")["x-item-schema"], json.loads(line))
    record_type, data = RECORDS[0]
    posted = [{"record_type": record_type, "data": each} for each in (data, {})]
    answer = client.post(
        "/v1/boboyka/ingest/batch",
        content="\n".join(map(json.dumps, posted)),
        headers={"content-type": "application/x-ndjson"},
    )
    assert answer.status_code == 207
    item = described("/v1/boboyka/ingest/batch", "application/x-ndjson", "post", "207")["x-item-schema"]
    first, second = map(json.loads, answer.text.splitlines())
    for each in (first, second):
        check(item, each)
    assert "record_hash" in first and second["code"] == "missing_field"


@pytest.mark.parametrize(
    ("path", "asked", "count"),
    [
        ("/v1/boboyka/stream", "/v1/boboyka/stream?after=0&include=data", 7),
        ("/v1/stream", "/v1/stream?since=1", 7),
        ("/v1/agents/{name}/stream", "/v1/agents/notes/stream?since=1", 3),
    ],
)
def test_events_of_a_stream_are_what_the_contract_says(
    client: httpx.Client, sidecar: Sidecar, path: str, asked: str, count: int
) -> None:
    written(client)
    item = described(path, "text/event-stream")["x-item-schema"]
    names, events = [], []
    with client.stream("GET", asked) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for line in answer.iter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
            if len(events) == count:
                # The stream says why it ends, where it knows an event for that.
                sidecar.terminate()
                count = -1
    for event in events:
        check(item, event)
    assert "record" in names
    assert ("end" in names) == (path == "/v1/boboyka/stream")


def test_a_key_is_asked_for_where_the_contract_says_so(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    locked = Sidecar(tmp_path, more=["--api-key-file", str(tmp_path / "key")])
    try:
        for path, operations in DOCUMENT["paths"].items():
            for method, operation in operations.items():
                answer = httpx.request(
                    method, locked.url + path.replace("{", "").replace("}", ""), timeout=GUARD
                )
                is_open = operation.get("security", DOCUMENT["security"]) == []
                assert (answer.status_code == 401) == (not is_open), f"{method} {path}: {answer.text}"
                assert ("401" in operation["responses"]) == (not is_open), f"{method} {path}"
    finally:
        locked.stop()


def test_the_sidecar_serves_the_committed_document(client: httpx.Client) -> None:
    answer = client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == CONTRACT.read_text()
