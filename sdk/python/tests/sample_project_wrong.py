"""What a type checker must find in a project that uses the package wrongly."""

from sapixdb_boboyka import BoboykaSyncClient

BoboykaSyncClient().ingest_build(project_id=1, build_id="b", status="running")
