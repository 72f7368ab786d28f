"""Transparency logs in their public formats: RFC 6962's tree, C2SP's notes, checkpoints and proofs. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

_HASHES = 63
_SIGNATURES = 100
_SIZE = 2**63 - 1
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_LOG, _WITNESS = 1, 4


class VerificationError(Exception):
    """What was to be verified does not hold. The message says what is wrong with it."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry of a log."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node of the tree."""
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root of the tree over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(tree_root(leaves[:half]), tree_root(leaves[half:]))


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raises `VerificationError` unless the leaf is at this index, from 0, in the tree."""
    if not 0 <= index < size:
        raise VerificationError(f"the tree of size {size} has no entry at index {index}")
    sides: list[bool] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        sides.append(index >= middle)
        start, end = (middle, end) if index >= middle else (start, middle)
    _same_length(len(sides), proof)
    found = leaf
    for beside, is_right in zip(proof, reversed(sides), strict=True):
        found = node_hash(beside, found) if is_right else node_hash(found, beside)
    if found != root:
        raise VerificationError("the proof does not lead to the root of the checkpoint")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises `VerificationError` unless the newer tree begins with the older one."""
    if old > new:
        raise VerificationError(f"the size {old} of the older tree is above the size {new} of the newer one")
    if old in (0, new):
        _same_length(0, proof)
        if old_root != (tree_root([]) if old == 0 else new_root):
            raise VerificationError(f"two trees of size {old} have different roots: the log was forked")
        return
    ranges: list[int] = []
    start, end = 0, new
    while end != old:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        inside_left = old <= middle
        ranges.append(middle if inside_left else start)
        start, end = (start, middle) if inside_left else (middle, end)
    _same_length(len(ranges) + (start > 0), proof)
    hashes = list(proof)
    older = newer = hashes.pop(0) if start > 0 else old_root
    for beside, first in zip(hashes, reversed(ranges), strict=True):
        if first < old:
            older, newer = node_hash(beside, older), node_hash(beside, newer)
        else:
            newer = node_hash(newer, beside)
    if older != old_root:
        raise VerificationError("the newer tree does not begin with the older one: the log was forked")
    if newer != new_root:
        raise VerificationError("the proof does not lead to the root of the newer checkpoint")


def _same_length(expected: int, proof: Sequence[bytes]) -> None:
    if len(proof) != expected:
        raise VerificationError(f"the proof must have {expected} hashes, this one has {len(proof)}")


@dataclass(frozen=True)
class VerifierKey:
    """A public key of a log or a witness with the name under which it signs; `str()` gives its text."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The key of a text `NAME+ID+BASE64`; raises `VerificationError` if it is none."""
        name, _, rest = text.partition("+")
        identity, _, encoded = rest.partition("+")
        bytes_ = _base64(encoded, "a key is NAME+ID+BASE64")
        if not is_name(name) or not bytes_:
            raise VerificationError("a key is NAME+ID+BASE64")
        key = cls(name, bytes_[0], bytes_[1:])
        if key.kind not in (_LOG, _WITNESS):
            raise VerificationError(f"the key of {name} has the type {key.kind}: only 1 and 4 are known")
        if len(key.public) != 32:
            raise VerificationError(f"an Ed25519 key has 32 bytes, that of {name} has {len(key.public)}")
        if identity != key.id.hex():
            raise VerificationError(f"the id of the key of {name} is {identity}, it must be {key.id.hex()}")
        return key

    @property
    def id(self) -> bytes:
        """Four bytes that stand in front of its signatures."""
        kind = bytes([self.kind])
        return hashlib.sha256(self.name.encode() + b"\n" + kind + self.public).digest()[:4]

    @property
    def is_log(self) -> bool:
        """Whether it signs checkpoints; a witness cosigns them."""
        return self.kind == _LOG

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"


@dataclass(frozen=True)
class Signed:
    """A signature that holds."""

    key: VerifierKey
    #: When the witness cosigned; a log's own signature says no time.
    at: datetime | None


@dataclass(frozen=True)
class Note:
    """A text with signatures that nobody has checked yet: name, id and bytes of each."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, note: str) -> Note:
        """A signed note; raises `VerificationError` if it is none."""
        if _CONTROL.search(note):
            raise VerificationError("the note has a control character")
        text, found, lines = note.rpartition("\n\n")
        if not found or not text or not lines.endswith("\n"):
            raise VerificationError("the note is not a text, an empty line and signature lines")
        signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
        if len(signatures) > _SIGNATURES:
            raise VerificationError(f"the note has more than {_SIGNATURES} signatures")
        return cls(text + "\n", signatures)

    def verify(self, keys: Iterable[VerifierKey]) -> tuple[Signed, ...]:
        """The signatures of these keys; a bad one raises `VerificationError`. Others are ignored."""
        known = list(keys)
        return tuple(
            Signed(key, _check(key, self.text, signature))
            for name, identity, signature in self.signatures
            for key in known
            if (key.name, key.id) == (name, identity)
        )


@dataclass(frozen=True)
class Checkpoint:
    """A tree of a log."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint of a note's text; raises `VerificationError` if it is none."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise VerificationError("a checkpoint has three lines")
        if not is_name(lines[0]):
            raise VerificationError(f"the origin {lines[0]!r} is no name")
        checkpoint = cls(lines[0], decimal(lines[1]), tree_hash(lines[2]))
        if checkpoint.size == 0 and checkpoint.root != tree_root([]):
            raise VerificationError("the tree of size 0 has another root than the empty tree's")
        return checkpoint


@dataclass(frozen=True)
class Bundle:
    """A `.tlog-proof`: that an entry is in the tree of a checkpoint. Nothing in it has been checked."""

    extra: bytes | None
    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Note

    @classmethod
    def parse(cls, text: str) -> Bundle:
        """The proof of a file; raises `VerificationError` if it is none."""
        head, found, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if lines.pop(0) != "c2sp.org/tlog-proof@v1":
            raise VerificationError("a proof begins with the line c2sp.org/tlog-proof@v1")
        if not found:
            raise VerificationError("the proof has no empty line with a checkpoint behind it")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = _base64(lines.pop(0)[6:], "the extra line is not padded base64")
        if not lines or not lines[0].startswith("index "):
            raise VerificationError("the proof has no line with the index")
        index = decimal(lines.pop(0)[6:])
        if len(lines) > _HASHES:
            raise VerificationError(f"the proof has more than {_HASHES} hashes")
        return cls(extra, index, tuple(map(tree_hash, lines)), Note.parse(checkpoint))


def is_name(text: str) -> bool:
    """Whether a key may have this name."""
    return bool(text) and "+" not in text and not any(c.isspace() or not c.isprintable() for c in text)


def decimal(text: str) -> int:
    """A size or an index; raises `VerificationError` for another spelling than the number's own."""
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text) or int(text) > _SIZE:
        raise VerificationError(f"{text!r} is no decimal number below 2^63 without leading zeros")
    return int(text)


def tree_hash(text: str) -> bytes:
    """A hash from its text."""
    found = _base64(text, "a tree hash is 32 bytes in padded base64")
    if len(found) != 32:
        raise VerificationError("a tree hash is 32 bytes in padded base64")
    return found


def _base64(text: str, why: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise VerificationError(why) from error
    if base64.b64encode(found).decode() != text:
        raise VerificationError(why)
    return found


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    why = "a signature line is an em dash, a space, a name, a space and base64"
    bytes_ = _base64(encoded, why)
    if dash != "\u2014" or not is_name(name) or len(bytes_) < 5:
        raise VerificationError(why)
    return name, bytes_[:4], bytes_[4:]


def _check(key: VerifierKey, text: str, signature: bytes) -> datetime | None:
    if key.is_log:
        _ed25519(key, text.encode(), signature)
        return None
    if len(signature) < 8:
        raise VerificationError(f"the cosignature of {key.name} is too short")
    (seconds,) = struct.unpack(">Q", signature[:8])
    _ed25519(key, f"cosignature/v1\ntime {seconds}\n{text}".encode(), signature[8:])
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError) as error:
        raise VerificationError(f"the cosignature of {key.name} has no time that is a date") from error


def _ed25519(key: VerifierKey, message: bytes, signature: bytes) -> None:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise ImportError("verifying needs more packages: pip install 'sapixdb-boboyka[verify]'") from error
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise VerificationError(
            f"the signature of the known key {key.name}+{key.id.hex()} does not hold"
        ) from error
