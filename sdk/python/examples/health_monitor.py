"""Reports this machine's load without ever making the agent wait."""

import os

from sapixdb_boboyka import Recorder

cores = os.cpu_count() or 1
with Recorder() as recorder:
    for agent in ("builder", "deployer"):
        load = min(100.0, 100.0 * os.getloadavg()[0] / cores)
        recorder.record(
            "agent_health",
            {"agent_id": agent, "status": "healthy" if load < 80 else "degraded", "cpu_pct": load},
        )
print("reported")
