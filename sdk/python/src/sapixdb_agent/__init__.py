"""The three Boboyka calls of a SapixDB client, with plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sapixdb_boboyka import BoboykaClient, Retry, _core

__all__ = ["SapixClient"]


class SapixClient:
    """A client of the sidecar that returns its JSON unchanged. It raises the errors of `sapixdb_boboyka`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout: float = 10.0,
        retry: Retry = Retry(),
        api_key: str | None = None,
    ) -> None:
        self._client = BoboykaClient(url, timeout=timeout, retry=retry, api_key=api_key)

    async def __aenter__(self) -> SapixClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def boboyka_ingest(self, record_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Writes a record and returns its receipt when the record is durable."""
        return await self._json(_core.ingest(record_type, data, None))

    async def boboyka_status(self) -> dict[str, Any]:
        """Returns phase, Supabase URL, and records by type."""
        return await self._json(_core.STATUS)

    async def boboyka_events(
        self, limit: int = 50, record_type: str | None = None, cursor: str | None = None
    ) -> dict[str, Any]:
        """Returns a page of records, newest first."""
        return await self._json(_core.events(limit, record_type, cursor, None, None, False))

    async def _json(self, call: _core.Call) -> dict[str, Any]:
        return _core.decode(await self._client._send(call))
