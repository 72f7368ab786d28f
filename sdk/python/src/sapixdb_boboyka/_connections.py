"""Connections to the sidecar: separate ones for each process and each event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import ssl
import sys
import time
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import httpx

from ._process import PerProcess
from .errors import BoboykaError


def _preload(*modules: str) -> None:
    """Imports what would be imported by the first request. That may run in a thread while another one forks,
    and the child could neither finish the import nor begin it anew."""
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


_preload("httpcore", "encodings.idna")


# For plain http: httpx can't do without a context, and would make one for each client, which blocks for up
# to 150 ms while it loads certificate authorities. This one is empty and never used.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


class _Settings:
    """How to connect."""

    def __init__(self, url: httpx.URL, timeout: float, api_key: str | None) -> None:
        self._arguments: dict[str, Any] = {
            "base_url": url,
            "headers": {} if api_key is None else {"authorization": f"Bearer {api_key}"},
            # A wait for a free connection of this process says nothing about the sidecar.
            "timeout": httpx.Timeout(timeout, pool=None),
            "verify": _tls() if url.scheme == "https" else _NO_TLS,
            # A proxy of the environment is for the world outside; the sidecar is on this machine.
            "trust_env": False,
        }
        self._closed = False

    def _check_open(self) -> None:
        if self._closed:
            raise BoboykaError("the client is closed; make another one")


class Connections(_Settings):
    """The synchronous client's connections; threads share them, processes do not."""

    def __init__(self, url: httpx.URL, timeout: float, api_key: str | None) -> None:
        super().__init__(url, timeout, api_key)
        self._client = PerProcess(lambda: httpx.Client(**self._arguments))

    def here(self) -> httpx.Client:
        """This process's connections."""
        self._check_open()
        return self._client.get()

    def close(self) -> None:
        self._closed = True
        if client := self._client.peek():
            client.close()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class AsyncConnections(_Settings):
    """The asynchronous client's connections. A socket belongs to the event loop that opened it, so each loop
    of each process has connections of its own."""

    def __init__(self, url: httpx.URL, timeout: float, api_key: str | None) -> None:
        super().__init__(url, timeout, api_key)
        _preload("anyio._backends._asyncio")
        self._clients = PerProcess(WeakKeyDictionary[Any, httpx.AsyncClient])

    def here(self) -> httpx.AsyncClient:
        """The connections of the running event loop."""
        self._check_open()
        loop = _running_loop()
        clients = self._clients.get()
        found = clients.get(loop)
        if found is None:
            _drop_ended(clients)
            found = clients[loop] = httpx.AsyncClient(**self._arguments)
        return found

    async def aclose(self) -> None:
        """Closes the running loop's connections, and has every other running loop close its own."""
        self._closed = True
        here, clients = _running_loop(), self._clients.get()
        for loop, client in list(clients.items()):
            if loop is here:
                await client.aclose()
            elif isinstance(loop, asyncio.AbstractEventLoop) and loop.is_running():
                asyncio.run_coroutine_threadsafe(client.aclose(), loop)
        clients.clear()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def _running_loop() -> Any:
    """The running asyncio loop, or the token of the running trio."""
    trio: Any = sys.modules.get("trio")
    if trio is not None:
        try:
            return trio.lowlevel.current_trio_token()
        except RuntimeError:
            pass
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise BoboykaError(
            "no event loop runs here; await BoboykaClient within asyncio or trio, or use BoboykaSyncClient"
        ) from error


def _drop_ended(clients: WeakKeyDictionary[Any, httpx.AsyncClient]) -> None:
    """Forgets the connections of loops that were closed: nothing can close them any more, and they would
    keep their loop in memory."""
    for loop in list(clients):
        if isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed():
            clients.pop(loop, None)
