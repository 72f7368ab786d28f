"""Verifying without a sidecar: bytes that Go's libraries made, and proofs that the sidecar's own code made."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sapixdb_boboyka import _canonical
from sapixdb_boboyka._tlog import Bundle
from sapixdb_boboyka.verify import (
    Note,
    Policy,
    VerificationError,
    VerifierKey,
    leaf_hash,
    tree_root,
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
    verify_proof,
)

PROOFS = Path(__file__).parent / "proofs"
PROOF, RECORD, POLICY = (
    (PROOFS / name).read_text() for name in ("record.tlog-proof", "record.json", "policy.txt")
)

# Golden data of golang.org/x/mod/sumdb and transparency-dev/formats.
DIGITS = [leaf_hash(digit.encode()) for digit in "0123456"]
LOG = "strand.example/0196c150+30429e24+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
WITNESS = "witness.example/w1+24b5d9fe+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY"
CHECKPOINT = """\
strand.example/0196c150
2
5RUO6CMNBqMfTevB//E87zOSs6p9z6cP3ZlXQHWfCS0=

— strand.example/0196c150 MEKeJDqCg0L+EAOwUcmVLf8ZMVsO8CVUfPAOJvfy3odwoPVL/tERwvvYkqgZcj3kwAfDAAW4H/Nr0XJo4LZ4HqQ0Lwc=
— witness.example/w1 JLXZ/gAAAABrSdIA55DiQ+MbiaRHiQooQ8zAW4bp/6e2YMPFD0kTBrzv/h30v7a8siHc5tYd+EnjuBkW8fBr8/pudRknHzpAWmHjBQ==
"""


def refused(why: str, call: Callable[[], object]) -> None:
    with pytest.raises(VerificationError) as raised:
        call()
    assert why in str(raised.value)


def test_trees_and_proofs_are_those_of_go() -> None:
    roots = {
        1: "db3426e878068d28d269b6c87172322ce5372b65756d0789001d34835f601c03",
        3: "725d5230db68f557470dc35f1d8865813acd7ebb07ad152774141decbae71327",
        6: "32805cc5e94134743d0aa580ef2ee332687b687fc2e4e2f72fee1cc712e0ba0c",
        7: "a3e23b32ccb6bf96d092d165d8aa546e09829de8f03b0e8957581d1e16b92bdf",
    }
    assert {size: tree_root(DIGITS[:size]).hex() for size in roots} == roots
    two, three, pair, last = (
        bytes.fromhex(text)
        for text in (
            "fa61e3dec3439589f4784c893bf321d0084f04c572c7af2b68e3f3360a35b486",
            "906c5d2485cae722073a430f4d04fe1767507592cef226629aeadb85a2ec909d",
            "cb00989d94a569c0a678ae042b63dcd4625db96440517f37a6eb7976ea24ed4b",
            "973f083957c7359fb1943acf9e6689bca6ca5ea7197d808aad3c14498689efe0",
        )
    )
    root = tree_root(DIGITS)
    verify_inclusion(DIGITS[3], 3, 7, root, [two, pair, last])
    verify_consistency(3, tree_root(DIGITS[:3]), 7, root, [two, three, pair, last])


def test_a_checkpoint_and_a_cosignature_of_go_hold() -> None:
    policy = f"log {LOG}\nwitness w {WITNESS}\nquorum w\n"
    checkpoint, signed = verify_checkpoint(CHECKPOINT, policy=policy)
    assert (checkpoint.origin, checkpoint.size) == ("strand.example/0196c150", 2)
    assert [one.at and one.at.timestamp() for one in signed] == [None, 1_800_000_000]
    for key in (LOG, WITNESS):
        assert str(VerifierKey.parse(key)) == key
    refused("does not hold", lambda: verify_checkpoint(CHECKPOINT.replace("\n2\n", "\n3\n"), policy=policy))


def test_what_is_no_checkpoint_note_or_key_is_refused() -> None:
    def checkpoint(old: str, new: str) -> Callable[[], object]:
        return lambda: verify_checkpoint(CHECKPOINT.replace(old, new), vkey=LOG)

    refused("three lines", checkpoint("\n\n", "\nextension\n\n"))
    refused("decimal number", checkpoint("\n2\n", "\n02\n"))
    refused("padded base64", checkpoint("CS0=\n\n", "CS1=\n\n"))
    refused("control character", checkpoint("\n2\n", "\r\n2\n"))
    refused("signature line", checkpoint("— w", "- w"))
    refused("not a text", lambda: Note.parse(CHECKPOINT.rstrip()))
    refused(
        "no known key",
        lambda: verify_checkpoint(CHECKPOINT, policy=f"log {LOG[:0]}{other_log()}\nquorum none\n"),
    )
    refused("type 6", lambda: VerifierKey.parse("n+00000000+BgAA"))
    refused("has 2", lambda: VerifierKey.parse("n+00000000+AQAA"))
    refused("the id of the key", lambda: VerifierKey.parse(LOG.replace("strand", "other")))
    with pytest.raises(TypeError):
        verify_checkpoint(CHECKPOINT)


def other_log() -> str:
    public = bytes(32)
    identity = hashlib.sha256(b"other\n\x01" + public).digest()[:4].hex()
    return f"other+{identity}+{base64.b64encode(bytes([1]) + public).decode()}"


def test_policies_count_members_and_name_the_wrong_line() -> None:
    head = f"# whom we trust\nlog {LOG} https://log.example\nwitness w {WITNESS}\n"
    for lines in ("quorum none\n", "group g 1 w\ngroup h all g\n\tquorum h\n"):
        verify_checkpoint(CHECKPOINT, policy=head + lines)
    unsigned = "\n".join(CHECKPOINT.split("\n")[:5]) + "\n"
    refused("quorum is not reached", lambda: verify_checkpoint(unsigned, policy=head + "quorum w\n"))
    for lines, why in {
        "": "line 4: a policy has one quorum line",
        "quorum none\nquorum none": "line 5: a policy has one quorum line",
        "witnesses": "line 4: the line is none of",
        "quorum w\r": "line 4: the line has a control character",
        f"witness x {WITNESS}": "line 4: the key of witness.example/w1 is there already",
        f"witness x {LOG}": "line 4: the key has the type of a log",
        "group none any w": "line 4: the name 'none' is taken",
        "quorum x": "line 4: no line before defines 'x'",
        "group g any w w": "line 4: 'w' is a member already",
        "group g 2 w": "line 4: the threshold '2'",
        "group g 01 w": "line 4: the threshold '01'",
    }.items():
        refused(why, lambda text=head + lines: Policy.parse(text))  # type: ignore[misc]


def test_a_proof_of_the_sidecar_holds_with_its_record_and_says_what_it_can_not_prove() -> None:
    proven = verify_proof(PROOF, policy=POLICY, record=RECORD)
    record = json.loads(RECORD)
    assert proven.header.record_hash == record["record_hash"] and proven.header.seq == 42
    assert verify_proof(PROOF.encode(), policy=POLICY, record=record).has_content
    said = str(proven)
    assert said.startswith(f"ok: record {record['record_hash']} is seq 42 of 300 in the log strand.example/")
    assert "cosigned by witness.example/w1" in said and "2027-01-15T08:00:00" in said
    assert "not proven: that it is the newest of its key" in said
    alone = str(verify_proof(PROOF, vkey=LOG))
    assert "no witness has cosigned it" in alone and "not checked: its content" in alone


def test_another_record_is_told_by_the_field_that_differs() -> None:
    record: dict[str, Any] = json.loads(RECORD)
    for field, value, why in [
        ("seq", 43, "the record's seq is 43"),
        ("record_hash", "00", "the record's record_hash is 00"),
        ("record_id", "00", "the record's record_id is 00"),
        ("record_type", "agent_health", "the record's record_type is agent_health"),
        ("data", {"agent_id": "forged"}, "the content is not what was recorded"),
        ("data", [], "no data"),
    ]:
        refused(why, lambda other={**record, field: value}: verify_proof(PROOF, vkey=LOG, record=other))  # type: ignore[misc]
    refused(
        "a key is there twice", lambda: verify_proof(PROOF, vkey=LOG, record='{"data": {"a": 1, "a": 1}}')
    )
    refused("the content is not", lambda: verify_proof(PROOF, vkey=LOG, payload=b"forged"))


def test_no_altered_proof_holds() -> None:
    """Every bit of the proof, of the checkpoint and of the header; and hashes too few, too many, exchanged."""
    head, _, _ = PROOF.partition("— witness")
    verify_proof(head, vkey=LOG)
    text = head.encode()
    for bit in range(0, len(text) * 8, 3):
        other = bytearray(text)
        other[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VerificationError):
            verify_proof(bytes(other), vkey=LOG)
    lines = head.split("\n")
    first = 3
    for other_lines in (
        lines[:first] + lines[first + 1 :],
        lines[:first] + lines[first : first + 1] + lines[first:],
        [*lines[:first], lines[first + 1], lines[first], *lines[first + 2 :]],
        [line for line in lines if not line.startswith("extra ")],
        [*lines, "behind it"],
    ):
        with pytest.raises(VerificationError):
            verify_proof("\n".join(other_lines), vkey=LOG)


def test_consistency_proofs_of_the_sidecar_hold_and_altered_ones_do_not() -> None:
    head, _, tail = (PROOFS / "consistency.txt").read_text().partition("\n\n")
    leaves = [base64.b64decode(line) for line in head.split("\n")]
    for line in tail.splitlines():
        sizes, hashes = line.split()[:2], [base64.b64decode(text) for text in line.split()[2:]]
        old, new = map(int, sizes)
        roots = tree_root(leaves[:old]), tree_root(leaves[:new])
        verify_consistency(old, roots[0], new, roots[1], hashes)
        for at in range(len(hashes)):
            spoilt = [*hashes[:at], bytes(32), *hashes[at + 1 :]]
            for other in (spoilt, hashes[:at] + hashes[at + 1 :]):
                refused("", lambda: verify_consistency(old, roots[0], new, roots[1], other))  # noqa: B023
        refused("", lambda: verify_consistency(old, bytes(32), new, roots[1], hashes))  # noqa: B023
    refused("above the size", lambda: verify_consistency(2, bytes(32), 1, bytes(32), []))


def test_payloads_have_the_bytes_of_the_sidecar() -> None:
    lines = (PROOFS / "payloads.txt").read_text().splitlines()
    assert len(lines) == 8
    for line in lines:
        kind, expected, data = line.split(" ", 2)
        assert _canonical.payload(kind, _canonical.parse(data)).hex() == expected, data


def test_the_command_says_the_verdict_and_ends_with_1_when_nothing_holds(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sapixdb_boboyka", "verify", *arguments]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)

    proof = ["--proof", str(PROOFS / "record.tlog-proof")]
    done = run(*proof, "--policy", str(PROOFS / "policy.txt"), "--record", str(PROOFS / "record.json"))
    assert done.returncode == 0 and done.stdout.startswith("ok: record "), done.stderr
    forged = tmp_path / "forged"
    forged.write_text(PROOF.replace("index 41", "index 42"), encoding="utf-8")
    done = run("--proof", str(forged), "--vkey", LOG)
    assert done.returncode == 1 and done.stderr.startswith("error: does not hold: "), done.stderr
    assert run(*proof).returncode == 2
    missing = run("--proof", str(tmp_path / "missing"), "--vkey", LOG)
    assert missing.returncode == 1 and "can't be read" in missing.stderr


def test_a_proof_keeps_what_it_was_read_from() -> None:
    bundle = Bundle.parse(PROOF)
    assert bundle.index == 41 and len(bundle.hashes) == 9 and bundle.extra is not None
