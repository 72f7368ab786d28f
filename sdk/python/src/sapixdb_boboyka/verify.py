"""Checks a proof of a record without a sidecar: `pip install 'sapixdb-boboyka[verify]'`.

    from sapixdb_boboyka.verify import verify_proof

    proven = verify_proof(proof, policy=policy, record=record)
    print(proven)

A proof is a `.tlog-proof` with the record's header in its `extra` line. The policy names the logs and
witnesses that you trust; `vkey` is the key of a log that you trust without witnesses. All formats are public
(c2sp.org, RFC 6962).
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from . import _canonical
from ._policy import Policy
from ._tlog import (
    Bundle,
    Checkpoint,
    Note,
    Signed,
    VerificationError,
    VerifierKey,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

__all__ = [
    "Checkpoint",
    "Header",
    "Note",
    "Policy",
    "Proven",
    "Signed",
    "VerificationError",
    "VerifierKey",
    "leaf_hash",
    "node_hash",
    "tree_root",
    "verify_checkpoint",
    "verify_consistency",
    "verify_inclusion",
    "verify_proof",
]

_HEADER = struct.Struct(">BBHBQ16sQ32sI32s")
_HEADER_CONTEXT = "boboyka.sapixdb.com 2026-11 strand block header v1"
_PAYLOAD_CONTEXT = "boboyka.sapixdb.com 2026-11 strand payload v1"
_TYPES = {1: "project_build", 2: "build_queue_item", 3: "agent_health", 4: "audit_log", 5: "document"}


@dataclass(frozen=True)
class Header:
    """What a record's hash covers."""

    record_hash: str
    #: `None` for a type that this version does not know.
    record_type: str | None
    seq: int
    record_id: str
    ingested_at_ms: int
    prev_hash: str
    payload_hash: str

    @classmethod
    def parse(cls, header: bytes) -> Header:
        """The header of its 105 bytes; raises `VerificationError` if they are none."""
        if len(header) != _HEADER.size or header[0] != 1:
            raise VerificationError(
                f"the extra line has no header: {_HEADER.size} bytes, the first of them 1"
            )
        _, _, _, kind, seq, identity, hlc, parent, _, payload = _HEADER.unpack(header)
        name = str(uuid.UUID(bytes=identity))
        hash_ = _blake3(_HEADER_CONTEXT, header)
        return cls(hash_, _TYPES.get(kind), seq, name, hlc >> 16, parent.hex(), payload.hex())


@dataclass(frozen=True)
class Proven:
    """What a proof shows. `str()` says it, and what the proof can't show."""

    header: Header
    checkpoint: Checkpoint
    signed: tuple[Signed, ...]
    #: Whether the record itself was given and is the proven one.
    has_content: bool

    def __str__(self) -> str:
        header, checkpoint = self.header, self.checkpoint
        place = f"seq {header.seq} of {checkpoint.size} in the log {checkpoint.origin}"
        lines = [f"ok: record {header.record_hash} is {place}"]
        for one in self.signed:
            by = f"signed by the log's key {one.key}"
            lines.append(by if one.at is None else f"cosigned by {one.key} at {one.at.isoformat()}")
        lines.append("proven: a record has this hash, place, parent and time in the signed log")
        lines.append(
            "proven: its content is the one given here, unaltered"
            if self.has_content
            else "not checked: its content; give the record or its payload"
        )
        lines.append("not proven: that it is the newest of its key, or that what it says is true")
        lines.append(
            "not proven: its time, but for the upper bound that the cosignatures give"
            if any(one.at for one in self.signed)
            else "not proven: its time, and that nobody is shown another log: no witness has cosigned it"
        )
        return "\n".join(lines)


def verify_proof(
    proof: str | bytes,
    *,
    policy: Policy | str | None = None,
    vkey: str | None = None,
    record: str | bytes | Mapping[str, Any] | None = None,
    payload: bytes | None = None,
) -> Proven:
    """What a `.tlog-proof` shows, by a policy or by the key of one log.

    `record` is the record with `record_type` and `data`, as JSON or a mapping. Fields of a receipt that are
    there are compared too: `record_hash`, `seq`, `prev_hash`, `record_id`, `ingested_at_ms`. `payload` is the
    record as the strand keeps it. Raises `VerificationError` if anything does not hold.
    """
    bundle = Bundle.parse(_text(proof))
    if bundle.extra is None:
        raise VerificationError("the proof has no extra line with the record's header")
    checkpoint, signed = _trusted(policy, vkey).verify(bundle.checkpoint)
    leaf = leaf_hash(bundle.extra)
    verify_inclusion(leaf, bundle.index, checkpoint.size, checkpoint.root, bundle.hashes)
    header = Header.parse(bundle.extra)
    if header.seq != bundle.index + 1:
        raise VerificationError(f"the header has seq {header.seq}, but the index is {bundle.index}")
    if record is not None:
        payload = _payload_of(record, header)
    if payload is not None and _blake3(_PAYLOAD_CONTEXT, payload) != header.payload_hash:
        raise VerificationError("the payload's hash is another one: the content is not what was recorded")
    return Proven(header, checkpoint, signed, payload is not None)


def verify_checkpoint(
    note: str | bytes, *, policy: Policy | str | None = None, vkey: str | None = None
) -> tuple[Checkpoint, tuple[Signed, ...]]:
    """A signed checkpoint, and who signed it. Raises `VerificationError` if the policy does not accept it."""
    return _trusted(policy, vkey).verify(Note.parse(_text(note)))


def _trusted(policy: Policy | str | None, vkey: str | None) -> Policy:
    if (policy is None) == (vkey is None):
        raise TypeError("give either a policy or the vkey of a log: without one, anybody could have signed")
    if isinstance(policy, Policy):
        return policy
    return Policy.parse(policy) if policy is not None else Policy((VerifierKey.parse(cast(str, vkey)),))


def _payload_of(record: str | bytes | Mapping[str, Any], header: Header) -> bytes:
    if isinstance(record, Mapping):
        record = json.dumps(dict(record), ensure_ascii=False)
    found = _canonical.parse(record)
    if not isinstance(found, dict):
        raise VerificationError("the record is no JSON object")
    fields = cast("dict[str, Any]", found)
    kind, data = fields.get("record_type"), fields.get("data")
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise VerificationError("the record has no record_type or no data")
    for name in ("record_type", "record_hash", "seq", "prev_hash", "record_id", "ingested_at_ms"):
        proven = getattr(header, name)
        if name in fields and proven is not None and fields[name] != proven:
            raise VerificationError(f"the record's {name} is {fields[name]}, the proven header says {proven}")
    return _canonical.payload(kind, cast("dict[str, Any]", data))


def _text(given: str | bytes) -> str:
    try:
        return given if isinstance(given, str) else given.decode()
    except UnicodeDecodeError as error:
        raise VerificationError("the file is not UTF-8") from error


def _blake3(context: str, data: bytes) -> str:
    try:
        from blake3 import blake3
    except ImportError as error:
        raise ImportError("verifying needs more packages: pip install 'sapixdb-boboyka[verify]'") from error
    return blake3(data, derive_key_context=context).hexdigest()
