"""A real sidecar for every test, and both clients behind one face."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sapixdb_boboyka import BoboykaClient, BoboykaSyncClient, Retry

ROOT = Path(__file__).parents[3]
BINARIES = ROOT / "target" / "debug"
# How long anything may take before a test gives up, also on a machine that is ten times slower.
GUARD = 300.0


# schemathesis runs on Python 3.11 and newer; `tests/python.sh` also tests the newest Python of the machine.
collect_ignore = [] if sys.version_info >= (3, 11) else ["test_generated_requests.py"]

# The signs of the ports that this process has drawn.
_DRAWN: list[socket.socket] = []


def pytest_report_header() -> list[str]:
    return [f"not on this Python: {', '.join(collect_ignore)}"] if collect_ignore else []


def free_port() -> int:
    """A port on which nobody listens, and which no other test draws as long as this process lives.

    The tests in Rust draw by the same names. It is below the ports of outgoing connections, so that none of these takes it
    while a sidecar restarts.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        sign = socket.socket(socket.AF_UNIX)
        try:
            sign.bind(f"\0boboyka-port-{port}")
            with socket.socket() as found:
                found.bind(("127.0.0.1", port))
        except OSError:
            sign.close()
            continue
        _DRAWN.append(sign)
        return port


def wait_until(ready: Callable[[], bool], what: str, limit: float = GUARD) -> None:
    deadline = time.monotonic() + limit
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.03)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Sidecar:
    """The real sidecar, with a data folder of its own."""

    BINARY = BINARIES / "boboyka-sidecar"

    def __init__(self, folder: Path, port: int | None = None, more: list[str] | None = None) -> None:
        self._folder = folder
        self._more = more or []
        self._ports = (port or free_port(), free_port())
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._ports[0]}"
        self.start()

    def start(self) -> None:
        binary = self.BINARY
        assert binary.exists(), "the sidecar is not built: run `make build`, or `make test`"
        listen, observe = (f"127.0.0.1:{port}" for port in self._ports)
        command = [
            binary,
            "--data-dir",
            self._folder / "data",
            "--listen",
            listen,
            "--observe",
            observe,
            *self._more,
        ]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BOBOYKA_")}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=kept, stdout=log, stderr=log)
        wait_until(lambda: answers(f"http://{observe}/ready"), "the sidecar")

    def log(self) -> str:
        return (self._folder / "log").read_text()

    def kill_9(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def terminate(self) -> None:
        assert self._process is not None
        self._process.terminate()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(GUARD)


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    running = Sidecar(tmp_path)
    yield running
    running.stop()


class Driven:
    """An asynchronous client, driven as if it were the synchronous one."""

    def __init__(self, client: BoboykaClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._loop = client, loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **named: Any) -> Any:
            found = method(*arguments, **named)
            if inspect.isasyncgen(found):
                return self._loop.run_until_complete(self._all(found))
            return self._loop.run_until_complete(found)

        return call

    @staticmethod
    async def _all(found: Any) -> list[Any]:
        return [one async for one in found]


@pytest.fixture(params=["asynchronous", "synchronous"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes clients of one kind; closed at the end."""
    loop = asyncio.new_event_loop()
    opened: list[Any] = []

    def make(url: str, retry: Retry = Retry()) -> Any:
        if request.param == "synchronous":
            opened.append(client := BoboykaSyncClient(url, retry=retry))
            return client
        driven = Driven(BoboykaClient(url, retry=retry), loop)
        opened.append(driven)
        return driven

    yield make
    for client in opened:
        client.close() if isinstance(client, BoboykaSyncClient) else client.aclose()
    loop.close()


@pytest.fixture
def client(sidecar: Sidecar, connect: Callable[..., Any]) -> Any:
    return connect(sidecar.url)


def start(
    command: list[str | Path], environment: dict[str, str], cwd: Path | None = None
) -> subprocess.Popen[str]:
    """Starts a program in processes of its own, which say where they are when `finish` gives them up."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **environment, "PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], limit: float = GUARD) -> tuple[str, str]:
    """Waits for the end of a program; what it wrote to standard output and standard error."""
    try:
        return process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGABRT)
        try:
            output, errors = process.communicate(timeout=GUARD)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(
            f"{process.args} does not end. It wrote:\n{output}\nand the stacks of its processes:\n{errors}"
        )


def run_script(path: Path | list[str], environment: dict[str, str]) -> str:
    """Runs a script, or a command of ours, as a user does; what it printed."""
    process = start([sys.executable, *([path] if isinstance(path, Path) else path)], environment)
    output, errors = finish(process)
    assert process.returncode == 0, errors
    return output
