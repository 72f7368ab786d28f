"""The same with plain dictionaries."""

import asyncio

from sapixdb_agent import SapixClient


async def main() -> None:
    async with SapixClient() as client:
        receipt = await client.boboyka_ingest("agent_health", {"agent_id": "builder", "status": "healthy"})
        status = await client.boboyka_status()
        page = await client.boboyka_events(limit=5, record_type="agent_health")
        print(receipt["seq"], status["total_events"], len(page["events"]))


asyncio.run(main())
