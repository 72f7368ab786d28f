"""Records a finished build and says whether its copy is in Supabase."""

import asyncio
import sys
import time

from sapixdb_boboyka import BoboykaClient


async def main(build_id: str) -> None:
    began = int(time.time() * 1000)
    async with BoboykaClient() as boboyka:
        await boboyka.ingest_build(
            project_id="shop", build_id=build_id, status="running", agent_id="builder", started_at_ms=began
        )
        receipt = await boboyka.ingest_build(
            project_id="shop",
            build_id=build_id,
            status="succeeded",
            agent_id="builder",
            started_at_ms=began,
            completed_at_ms=int(time.time() * 1000),
        )
    print(f"build {build_id} is record {receipt.seq}, {receipt.record_hash[:16]}")
    if receipt.dual_write.enabled and not receipt.dual_write.ok:
        print(f"not in Supabase yet: {receipt.dual_write.error}")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "b1"))
