"""What a project with strict types does with the package."""

from datetime import datetime

from sapixdb_agent import SapixClient
from sapixdb_boboyka import BoboykaClient, BoboykaError, BoboykaSyncClient, IngestResponse


async def newest(client: BoboykaClient) -> datetime | None:
    async for event in client.iter_events(page_size=1):
        return event.ingested_at
    return None


def refused(client: BoboykaSyncClient) -> list[str]:
    results: list[IngestResponse | BoboykaError] = client.ingest_many([("audit_log", {"event": "e"})])
    return [str(result) for result in results if isinstance(result, BoboykaError)]


async def total(client: SapixClient) -> int:
    return int((await client.boboyka_status())["total_events"])
