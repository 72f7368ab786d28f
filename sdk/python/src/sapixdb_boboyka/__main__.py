"""A small command: `python -m sapixdb_boboyka status|events|ingest|verify`."""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
from dataclasses import asdict
from typing import Any, cast

from ._core import Retry
from ._sync_client import BoboykaSyncClient
from .errors import BoboykaError

TYPES = ("project_build", "build_queue_item", "agent_health", "audit_log")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sapixdb-boboyka",
        description="Sends records to the sidecar on this machine and reads them.",
        epilog="A sidecar may ask for a key: it is in BOBOYKA_API_KEY, or in the file BOBOYKA_API_KEY_FILE.",
    )
    parser.add_argument("--url", help="the sidecar (default: BOBOYKA_URL, or http://localhost:7475)")
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="show phase, Supabase and number of records by type")
    events = commands.add_parser("events", help="list the newest records")
    events.add_argument("--limit", type=int, default=20)
    events.add_argument("--type", choices=TYPES, dest="record_type")
    events.add_argument("--data", action="store_true", help="include the data of the records")
    ingest = commands.add_parser("ingest", help="write one record")
    ingest.add_argument("record_type", choices=TYPES)
    ingest.add_argument("data", help="a JSON object, or - to read it from standard input")
    verify = commands.add_parser("verify", help="check the proof of a record, without a sidecar")
    verify.add_argument("--proof", required=True, metavar="FILE", help="a .tlog-proof")
    trust = verify.add_mutually_exclusive_group(required=True)
    trust.add_argument("--policy", metavar="FILE", help="logs, witnesses and quorum (c2sp.org/tlog-policy)")
    trust.add_argument("--vkey", help="the key of the log, when no witness is asked for")
    content = verify.add_mutually_exclusive_group()
    content.add_argument("--record", metavar="FILE", help="the record as JSON, as posted or as answered")
    content.add_argument("--payload", metavar="FILE", help="the record as the strand keeps it")
    for command in (status, events, ingest):
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
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
    receipt = client._ingest_json(arguments.record_type, _record(arguments.data))
    rows: list[tuple[str, ...]] = [("hash", receipt.record_hash), ("seq", str(receipt.seq))]
    if receipt.dual_write.enabled:
        rows.append(("mirrored", "yes" if receipt.dual_write.ok else str(receipt.dual_write.error)))
    return asdict(receipt), _table(rows)


def _record(argument: str) -> bytes:
    """The record as it was written: reading it into Python would round its numbers and drop what is there
    twice, and the sidecar is to see both."""
    try:
        text = (_standard_input() if argument == "-" else os.fsencode(argument)).decode("utf-8-sig")
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except OSError as error:
        raise BoboykaError(f"standard input can't be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise BoboykaError(f"data is not JSON: {error}") from error
    return text.encode()


def _standard_input() -> bytes:
    # As bytes, for JSON is UTF-8 whatever the terminal is.
    with open(0, "rb", closefd=False) as stdin:
        return stdin.read()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _verify(arguments: argparse.Namespace) -> str:
    # Its packages are an extra, which other commands do without.
    from .verify import VerificationError, verify_proof

    try:
        proven = verify_proof(
            _file(arguments.proof),
            policy=arguments.policy and _file(arguments.policy).decode(),
            vkey=arguments.vkey,
            record=arguments.record and _file(arguments.record),
            payload=arguments.payload and _file(arguments.payload),
        )
    except (VerificationError, UnicodeDecodeError) as error:
        raise BoboykaError(f"does not hold: {error}") from error
    except ImportError as error:
        raise BoboykaError(str(error)) from error
    return str(proven)


def _file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BoboykaError(f"{path} can't be read: {error}") from error


def _run(arguments: argparse.Namespace) -> str:
    """What the command prints."""
    if arguments.command == "verify":
        return _verify(arguments)
    # A person waits less patiently than an agent.
    with BoboykaSyncClient(arguments.url, retry=Retry(attempts=3)) as client:
        if arguments.command == "status":
            answer, table = _status(client)
        elif arguments.command == "events":
            answer, table = _events(client, arguments)
        else:
            answer, table = _ingest(client, arguments)
    return json.dumps(answer, ensure_ascii=not _is_unicode()) if arguments.json else table


def _is_unicode() -> bool:
    return str(getattr(sys.stdout, "encoding", "")).lower().startswith("utf")


def _print(text: str) -> None:
    output = cast(Any, sys.stdout)
    if isinstance(output, io.TextIOWrapper):
        # A terminal that can't show a character gets its escape instead of an error.
        output.reconfigure(errors="backslashreplace")
    print(text, flush=True)


def main() -> int:
    """Runs the command; its exit status: 1 for an error, 128 and more where a signal would have ended it."""
    arguments = _parser().parse_args()
    try:
        _print(_run(arguments))
    except BoboykaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        # Python flushes the output once more at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            return 128 + signal.SIGPIPE
        print(f"error: the output can't be written: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
