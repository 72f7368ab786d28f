"""Errors: of one family, whatever went wrong below, and whole after a pickle."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from sapixdb_boboyka import (
    AnswerError,
    BoboykaClient,
    BoboykaError,
    BoboykaSyncClient,
    IdempotencyConflict,
    InvalidRecord,
    NotFlushed,
    NotReachable,
    Recorder,
    RecorderFull,
    Retry,
    TooBusy,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)

ONCE = Retry(attempts=1)

ERRORS: list[BoboykaError] = [
    BoboykaError("why"),
    NotReachable("http://localhost:7475", "ConnectError"),
    AnswerError(403, "forbidden_host", "no"),
    InvalidRecord(422, "missing_field", "event is required", "event"),
    IdempotencyConflict(409, "idempotency_conflict", "no"),
    Unauthorized(401, "unauthorized", "no", "Authorization"),
    TooBusy(429, "queue_full", "later", retry_after=2.5),
    Unavailable(503, "shutting_down", "no"),
    UnexpectedAnswer("hello"),
    RecorderFull("10 records wait already"),
    NotFlushed([("audit_log", {"event": "e"}, "k")]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_whole_after_a_pickle_and_a_copy(error: BoboykaError) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        found = pickle.loads(pickle.dumps(error, protocol))
        assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))
    assert vars(copy.deepcopy(error)) == vars(error)


def test_every_error_of_the_package_is_among_these() -> None:
    def family(kind: type[BoboykaError]) -> set[type[BoboykaError]]:
        return {kind}.union(*(family(below) for below in kind.__subclasses__()))

    assert family(BoboykaError) == {type(error) for error in ERRORS}


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], str]]:
    """Answers every connection with the same bytes; the address."""
    servers: list[socket.socket] = []

    def begin(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller, contextlib.suppress(OSError):
                    caller.recv(65536)
                    caller.sendall(answer)
                    # Closing with bytes unread would take back the answer.
                    caller.shutdown(socket.SHUT_WR)
                    while caller.recv(65536):
                        pass

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield begin
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


# What answers, and the error that it means.
ANSWERS: dict[str, tuple[bytes, type[BoboykaError]]] = {
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", NotReachable),
    "nothing": (b"", NotReachable),
    "half an answer": (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", NotReachable),
    "a length that is none": (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{", NotReachable),
    "gzip that is none": (answer(b"hello", "content-encoding: gzip"), UnexpectedAnswer),
    "text": (answer(b"hello"), UnexpectedAnswer),
    "no UTF-8": (answer(b"\xff\xfe\xfd"), UnexpectedAnswer),
    "a list": (answer(b"[]"), UnexpectedAnswer),
    "an object of another kind": (answer(b'{"record_hash": 1}'), UnexpectedAnswer),
    "events of another kind": (answer(b'{"events": [[]], "next_cursor": null}'), UnexpectedAnswer),
    "brackets without end": (answer(b"[" * 200_000), UnexpectedAnswer),
    "a redirect": (answer(b"", "location: http://example.org/", status="302 Found"), UnexpectedAnswer),
    "HTML": (answer(b"<html>", status="502 Bad Gateway"), UnexpectedAnswer),
    "an error without text": (answer(b"{}", status="500 No"), UnexpectedAnswer),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_answers_is_an_error_of_ours(
    serve: Callable[[bytes], str], connect: Callable[..., Any], name: str
) -> None:
    body, kind = ANSWERS[name]
    client = connect(serve(body), ONCE)
    for call in (
        lambda: client.ingest("audit_log", {"agent_id": "a", "event": "e"}),
        lambda: client.status(),
        lambda: client.events(),
    ):
        with pytest.raises(kind):
            call()
    results = client.ingest_many([("audit_log", {}), ("audit_log", {})])
    assert [type(result) for result in results] == [kind, kind]


URLS = [
    "localhost:7475",
    "http://",
    "http://[::1",
    "http://localhost:port",
    "ftp://localhost",
    "://",
    "7475",
    "a b",
]


@pytest.mark.parametrize("url", URLS)
def test_an_address_that_is_none_is_refused_with_an_example(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for make in (BoboykaClient, BoboykaSyncClient, Recorder):
        with pytest.raises(BoboykaError, match=r"the client's argument .*http://localhost:7475"):
            make(url)
    monkeypatch.setenv("BOBOYKA_URL", url)
    with pytest.raises(BoboykaError, match="BOBOYKA_URL is"):
        BoboykaSyncClient()


@pytest.mark.parametrize(
    "url", ["http://localhost:99999", f"http://{'a' * 64}.example", "http://x_.invalid", "http://ä.invalid"]
)
def test_an_address_that_can_not_be_connected_to_is_an_error_of_ours(
    url: str, connect: Callable[..., Any]
) -> None:
    with pytest.raises(BoboykaError):
        connect(url, ONCE).status()


def test_an_odd_argument_is_an_error_of_ours(client: Any) -> None:
    for arguments in (
        {"cursor": "\ud800"},
        {"limit": "x"},
        {"limit": 0},
        {"record_type": "x"},
        {"cursor": "x"},
    ):
        with pytest.raises(BoboykaError):
            client.events(**arguments)


def test_the_password_of_an_address_is_in_no_error(connect: Callable[..., Any]) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        client = connect(f"http://user:secret@127.0.0.1:{reserved.getsockname()[1]}", ONCE)
        with pytest.raises(NotReachable) as error:
            client.status()
    assert "secret" not in str(error.value) + str(vars(error.value))
    with pytest.raises(BoboykaError) as refused:
        connect("http://user:secret@localhost:secret", ONCE)
    assert "secret" not in "".join(traceback.format_exception_only(refused.type, refused.value))
    assert refused.value.__cause__ is None


def test_a_wait_is_bounded_after_any_number_of_tries() -> None:
    assert all(0.1 <= Retry(attempts=10_000).wait(tried) <= 2.0 for tried in (2, 100, 10_000))


@pytest.mark.parametrize("asked", ["inf", "nan", "-5", "soon", "Wed, 21 Oct 2065 07:28:00 GMT"])
def test_a_retry_after_that_makes_no_sense_makes_nobody_wait(
    serve: Callable[[bytes], str], connect: Callable[..., Any], asked: str
) -> None:
    body = json.dumps({"error": "busy", "code": "queue_full", "message": "later"}).encode()
    url = serve(answer(body, f"retry-after: {asked}", status="429 Too Many Requests"))
    begun = time.monotonic()
    with pytest.raises(TooBusy):
        connect(url, Retry(attempts=2, first_wait=0.01)).status()
    assert time.monotonic() - begun < 20


def test_plain_http_loads_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *given, **named: loaded.append(given))
    monkeypatch.setattr(ssl, "create_default_context", lambda *given, **named: loaded.append(given))
    monkeypatch.setattr(httpx, "create_ssl_context", lambda *given, **named: loaded.append(given))
    for _ in range(10):
        BoboykaClient("http://localhost:7475")
        client = BoboykaSyncClient("http://localhost:1", retry=ONCE)
        with pytest.raises(NotReachable):
            client.status()
    assert loaded == []


def test_clients_for_https_share_their_certificates() -> None:
    made = [BoboykaSyncClient("https://localhost:7475")._connections._arguments["verify"] for _ in range(2)]
    assert made[0] is made[1]
    assert made[0].verify_mode is ssl.CERT_REQUIRED and made[0].get_ca_certs()
