"""A small command: `python -m sapixdb_boboyka status|events|ingest`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from ._core import Retry
from ._sync_client import BoboykaSyncClient
from .errors import BoboykaError

TYPES = ("project_build", "build_queue_item", "agent_health", "audit_log")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sapixdb-boboyka", description="Asks the sidecar beside this machine's agents."
    )
    parser.add_argument("--url", help="the sidecar (BOBOYKA_URL, http://localhost:7475)")
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="phase, Supabase, records by type")
    events = commands.add_parser("events", help="the newest records")
    events.add_argument("--limit", type=int, default=20)
    events.add_argument("--type", choices=TYPES, dest="record_type")
    events.add_argument("--data", action="store_true", help="with the records themselves")
    ingest = commands.add_parser("ingest", help="takes one record")
    ingest.add_argument("record_type", choices=TYPES)
    ingest.add_argument("data", help="a JSON object, or - to read it from standard input")
    for command in (status, events, ingest):
        command.add_argument("--json", action="store_true", help="JSON instead of a table")
    return parser


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _status(client: BoboykaSyncClient) -> tuple[Any, str]:
    status = client.status()
    rows: list[tuple[str, ...]] = [
        ("phase", status.integration_phase),
        ("supabase", status.supabase_url or "-"),
    ]
    rows += [(name, str(count)) for name, count in status.event_counts.items()]
    return asdict(status), _table([*rows, ("total", str(status.total_events))])


def _events(client: BoboykaSyncClient, arguments: argparse.Namespace) -> tuple[Any, str]:
    page = client.events(arguments.limit, arguments.record_type, include_data=arguments.data)
    rows: list[tuple[str, ...]] = [("SEQ", "TYPE", "INGESTED", "HASH", "MIRRORED", "DATA" * arguments.data)]
    for event in page.events:
        when = event.ingested_at.isoformat(timespec="milliseconds")
        mirrored = {True: "yes", False: event.dual_write_error or "no", None: "-"}[event.dual_write_ok]
        data = "" if event.data is None else json.dumps(event.data, ensure_ascii=False)
        rows.append((str(event.seq), event.record_type, when, event.record_hash[:16], mirrored, data))
    return asdict(page), _table(rows)


def _ingest(client: BoboykaSyncClient, arguments: argparse.Namespace) -> tuple[Any, str]:
    text = sys.stdin.read() if arguments.data == "-" else arguments.data
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BoboykaError(f"data is not JSON: {error}") from error
    receipt = client.ingest(arguments.record_type, data)
    rows: list[tuple[str, ...]] = [("hash", receipt.record_hash), ("seq", str(receipt.seq))]
    if receipt.dual_write.enabled:
        rows.append(("mirrored", "yes" if receipt.dual_write.ok else str(receipt.dual_write.error)))
    return asdict(receipt), _table(rows)


def main() -> int:
    """Runs the command; its exit status."""
    arguments = _parser().parse_args()
    try:
        # A person waits less patiently than an agent.
        with BoboykaSyncClient(arguments.url, retry=Retry(attempts=3)) as client:
            if arguments.command == "status":
                answer, table = _status(client)
            elif arguments.command == "events":
                answer, table = _events(client, arguments)
            else:
                answer, table = _ingest(client, arguments)
    except BoboykaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer, ensure_ascii=False) if arguments.json else table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
