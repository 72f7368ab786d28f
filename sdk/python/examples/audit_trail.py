"""Writes down a deployment, then walks the whole trail, newest first."""

from sapixdb_boboyka import BoboykaSyncClient

with BoboykaSyncClient() as boboyka:
    boboyka.ingest_audit(
        agent_id="deployer", event="deploy_completed", actor="ci", metadata={"env": "production"}
    )
    for event in boboyka.iter_events("audit_log", include_data=True):
        print(event.ingested_at.isoformat(), event.record_hash[:12], (event.data or {}).get("event"))
