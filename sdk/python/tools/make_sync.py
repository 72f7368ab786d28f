"""Writes the synchronous client from the asynchronous one, so that there is one source of both."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src" / "sapixdb_boboyka"
SOURCE, TARGET = PACKAGE / "_async_client.py", PACKAGE / "_sync_client.py"

REPLACEMENTS = (
    (
        '"""The asynchronous client."""',
        '"""The synchronous client. Made of the asynchronous one by tools/make_sync.py."""',
    ),
    (
        "import AsyncIterator, Awaitable, Callable, Iterable, Mapping",
        "import Callable, Iterable, Iterator, Mapping",
    ),
    ("Awaitable[Page]", "Page"),
    ("AsyncIterator", "Iterator"),
    ("AsyncConnections", "Connections"),
    ("BoboykaClient", "BoboykaSyncClient"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclose", "close"),
    ("async def", "def"),
    ("async for", "for"),
    ("await ", ""),
)


def made() -> str:
    """What the synchronous client must be."""
    text = SOURCE.read_text()
    for old, new in REPLACEMENTS:
        text = text.replace(old, new)
    return text


if __name__ == "__main__":
    TARGET.write_text(made())
