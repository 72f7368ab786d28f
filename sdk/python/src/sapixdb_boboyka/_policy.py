"""Policies (c2sp.org/tlog-policy): which logs and witnesses are trusted, and how many must have signed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ._tlog import Checkpoint, Note, Signed, VerificationError, VerifierKey

_Rule = Callable[[Collection[VerifierKey]], bool]


def _nobody(_: Collection[VerifierKey]) -> bool:
    return True


@dataclass(frozen=True)
class Policy:
    """Logs, witnesses, and the quorum of witnesses that must have cosigned."""

    logs: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    _quorum: _Rule = _nobody

    @classmethod
    def parse(cls, text: str) -> Policy:
        """The policy of a file; raises `VerificationError` that names the line if it is none."""
        reader = _Reader()
        number = 0
        for number, line in enumerate(text.split("\n"), 1):
            try:
                reader.line(line)
            except VerificationError as error:
                raise VerificationError(f"policy, line {number}: {error}") from error
        if reader.quorum is None:
            raise VerificationError(f"policy, line {number}: a policy has one quorum line")
        return cls(tuple(reader.logs), tuple(reader.witnesses), reader.quorum)

    def verify(self, note: Note) -> tuple[Checkpoint, tuple[Signed, ...]]:
        """The checkpoint of a note that a log signed and the quorum cosigned, with all known signatures.

        Raises `VerificationError` if the policy does not accept it.
        """
        checkpoint = Checkpoint.parse(note.text)
        signed = note.verify((*self.logs, *self.witnesses))
        keys = {one.key for one in signed}
        if not any(key.is_log and key.name == checkpoint.origin for key in keys):
            raise VerificationError(f"no known key of the log {checkpoint.origin} has signed the checkpoint")
        if not self._quorum(keys):
            names = sorted(key.name for key in keys if not key.is_log)
            raise VerificationError(f"the quorum is not reached: cosigned by {names} only")
        return checkpoint, signed


class _Reader:
    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: list[VerifierKey] = []
        # A group's member is taken out, so that it counts once.
        self._rules: dict[str, _Rule | None] = {}
        self.quorum: _Rule | None = None

    def line(self, line: str) -> None:
        if any((c < " " and c != "\t") or c == "\x7f" for c in line):
            raise VerificationError("the line has a control character other than a tab")
        items = [item for item in line.replace("\t", " ").split(" ") if item]
        if not items or items[0].startswith("#"):
            return
        kind, count = items[0], len(items)
        if kind == "log" and count in (2, 3):
            self.logs.append(_key(items[1], True, self.logs))
        elif kind == "witness" and count in (3, 4):
            self._witness(items[1], items[2])
        elif kind == "group" and count > 2:
            self._group(items[1], items[2], items[3:])
        elif kind == "quorum" and count == 2:
            self._set_quorum(items[1])
        else:
            raise VerificationError("the line is none of log, witness, group and quorum with their parts")

    def _witness(self, name: str, text: str) -> None:
        key = _key(text, False, self.witnesses)
        self._name(name, lambda keys: key in keys)
        self.witnesses.append(key)

    def _group(self, name: str, least: str, members: list[str]) -> None:
        words = {"any": "1", "all": str(len(members))}
        number = words.get(least, least)
        if number not in map(str, range(1, len(members) + 1)):
            raise VerificationError(
                f"the threshold {least!r} is not any, all or a number from 1 to {len(members)}"
            )
        rules = [self._take(member) for member in members]
        self._name(name, lambda keys: sum(rule(keys) for rule in rules) >= int(number))

    def _set_quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise VerificationError("a policy has one quorum line")
        self.quorum = _nobody if name == "none" else self._take(name)

    def _name(self, name: str, rule: _Rule) -> None:
        if name == "none" or name in self._rules:
            raise VerificationError(f"the name {name!r} is taken")
        self._rules[name] = rule

    def _take(self, name: str) -> _Rule:
        if name not in self._rules:
            raise VerificationError(f"no line before defines {name!r}")
        rule, self._rules[name] = self._rules[name], None
        if rule is None:
            raise VerificationError(f"{name!r} is a member already")
        return rule


def _key(text: str, is_log: bool, known: list[VerifierKey]) -> VerifierKey:
    key = VerifierKey.parse(text)
    if key.is_log != is_log:
        raise VerificationError(f"the key has the type of a {'witness' if is_log else 'log'}")
    if any(other.public == key.public for other in known):
        raise VerificationError(f"the key of {key.name} is there already")
    return key
