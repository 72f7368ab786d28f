"""Whatever a caller gives as a record: it is written as it is, or refused with the field's name."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import math
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Sidecar

from sapixdb_boboyka import BoboykaError, IngestResponse, InvalidRecord, NotReachable, Retry


def audit(**more: Any) -> dict[str, Any]:
    return {"agent_id": "a", "event": "e"} | more


class Broken(Mapping[str, Any]):
    """A mapping that fails when it is read."""

    def __getitem__(self, key: str) -> Any:
        raise LookupError("the backend is away")

    def __iter__(self) -> Iterator[str]:
        return iter(["agent_id"])

    def __len__(self) -> int:
        return 1


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Deploy:
    env: str


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = wrap(found)
    return found


def circular() -> dict[str, Any]:
    found = audit()
    found["metadata"] = {"back": [found]}
    return found


# What is given, the field that the error names, and a part of the error.
BAD: dict[str, tuple[Any, str, str]] = {
    "NaN": (audit(load=math.nan), "load", "nan"),
    "infinity in a list": (audit(loads=[1.0, -math.inf]), "loads[1]", "-inf"),
    "NaN as a key": (audit(loads={math.nan: 1}), "loads", "nan"),
    "bytes": (audit(metadata={"log": [b"x"]}), "metadata.log[0]", "bytes"),
    "datetime": (audit(at=datetime.datetime.now()), "at", "isoformat"),
    "date": (audit(at=datetime.date.today()), "at", "isoformat"),
    "Decimal": (audit(cost=decimal.Decimal("1.1")), "cost", "str()"),
    "UUID": (audit(id=uuid.uuid4()), "id", "str()"),
    "path": (audit(path=Path("/")), "path", "str()"),
    "enumeration": (audit(color=Color.RED), "color", "its value"),
    "set": (audit(tags={"a"}), "tags", "list()"),
    "generator": (audit(tags=(tag for tag in "ab")), "tags", "list()"),
    "dataclass": (audit(metadata=Deploy("prod")), "metadata", "asdict"),
    "complex number": (audit(z=1j), "z", "complex"),
    "surrogate": (audit(text="\ud800"), "text", "surrogate"),
    "surrogate in a key": (audit(texts={"\udc80": 1}), "texts", "surrogate"),
    "tuple as a key": (audit(grid={(1, 2): 3}), "grid", "tuple"),
    "keys that become one": (audit(codes={1: "a", "1": "b"}), "codes.1", "more than once"),
    "huge whole number": (audit(n=10**30), "n", "64"),
    "whole number of 5,000 digits": (audit(n=10**5000), "n", "64"),
    "circle": (circular(), "metadata.back[0]", "contains itself"),
    "5,000 objects deep": (audit(deep=nested(5_000, lambda x: {"in": x})), "deep.in", "deeper than 64"),
    "5,000 lists deep": (audit(deep=nested(5_000, lambda x: [x])), "deep[0]", "deeper than 64"),
    "5,000 mappings deep": (audit(deep=nested(5_000, lambda x: types.MappingProxyType({"in": x}))), "deep.in", "deeper"),
    "100 lists deep": (audit(deep=nested(100, lambda x: [x])), "deep[0]", "deeper than 64"),
    "17 MiB": (audit(text="x" * (17 << 20)), "data", "bytes"),
    "5 MiB": (audit(text="x" * (5 << 20)), "data", "bytes"),
    "2 MiB": (audit(text="x" * (2 << 20)), "", "bytes"),
    "NUL": (audit(text="a\0b"), "text", "U+0000"),
    "broken mapping": (audit(metadata=Broken()), "data", "the backend is away"),
    "a list of pairs": ([("agent_id", "a"), ("event", "e")], "data", "must be a mapping, not list"),
    "a generator of pairs": ((pair for pair in [("agent_id", "a")]), "data", "must be a mapping, not generator"),
    "nothing": (None, "data", "must be a mapping, not NoneType"),
    "a required field that is None": ({"agent_id": "a", "event": None}, "event", "required"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_record_that_can_not_be_kept_is_refused_with_the_fields_name(client: Any, name: str) -> None:
    data, field, words = BAD[name]
    with pytest.raises(InvalidRecord) as refused:
        client.ingest("audit_log", data)
    assert str(refused.value.field or "").startswith(field), refused.value.field
    assert words in str(refused.value)
    assert client.status().total_events == 0


# What is given and what is written.
GOOD: dict[str, tuple[Any, Any]] = {
    "mapping proxy": (types.MappingProxyType(audit(n=1)), audit(n=1)),
    "UserDict": (collections.UserDict(audit(n=1)), audit(n=1)),
    "ChainMap": (collections.ChainMap({"n": 1}, audit(n=2)), audit(n=1)),
    "OrderedDict": (collections.OrderedDict(audit(n=1)), audit(n=1)),
    "defaultdict": (collections.defaultdict(int, audit(n=1)), audit(n=1)),
    "mappings within": (
        audit(metadata=types.MappingProxyType({"in": [collections.UserDict({"env": "prod"})]})),
        audit(metadata={"in": [{"env": "prod"}]}),
    ),
    "tuple": (audit(steps=("a", "b")), audit(steps=["a", "b"])),
    "whole numbers and None as keys": (audit(codes={200: 1, None: 2}), audit(codes={"200": 1, "null": 2})),
    "None of one's own": (audit(mine=None), audit(mine=None)),
    "all of Unicode": (audit(text='ä€😀\u2028\x1f\\"'), audit(text='ä€😀\u2028\x1f\\"')),
    "brackets in text": (audit(text="[{" * 1_000), audit(text="[{" * 1_000)),
    "wide": (audit(rows=[{"n": n} for n in range(500)]), audit(rows=[{"n": n} for n in range(500)])),
    "60 deep": (audit(deep=nested(60, lambda x: [x])), audit(deep=nested(60, lambda x: [x]))),
    "the ends of numbers": (
        audit(numbers=[2**63 - 1, -(2**63), 5e-324, 1.7976931348623157e308, -0.5, True]),
        audit(numbers=[2**63 - 1, -(2**63), 5e-324, 1.7976931348623157e308, -0.5, True]),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_record_that_can_be_kept_comes_back_as_it_was(client: Any, name: str) -> None:
    given, expected = GOOD[name]
    client.ingest("audit_log", given)
    assert client.events(include_data=True).events[0].data == expected


def test_a_field_of_ones_own_is_kept_although_it_is_none(client: Any) -> None:
    client.ingest_build(project_id="p", build_id="b", status="running", mine=None)
    client.ingest_queue_item(queue_id="q", project_id="p", status="done", mine=None)
    client.ingest_health(agent_id="a", status="healthy", mine=None)
    client.ingest_audit(agent_id="a", event="e", mine=None)
    written = [event.data for event in client.events(include_data=True).events]
    assert [data["mine"] for data in written] == [None] * 4
    assert "output_url" not in written[3]


@pytest.mark.parametrize("key", ["", "x" * 256, 7, "\ud800"])
def test_an_idempotency_key_that_is_none_is_refused_by_name(client: Any, key: Any) -> None:
    with pytest.raises(InvalidRecord) as refused:
        client.ingest("audit_log", audit(), idempotency_key=key)
    assert refused.value.field == "idempotency_key"
    assert client.status().total_events == 0


def test_any_text_is_an_idempotency_key(client: Any) -> None:
    for key in ("schlüssel €", "two\nlines", " "):
        first = client.ingest("audit_log", audit(), idempotency_key=key)
        assert client.ingest("audit_log", audit(), idempotency_key=key) == first
    assert client.status().total_events == 3


@pytest.mark.parametrize("record_type", [None, 5, "", "nonsense", "\ud800"])
def test_a_record_type_that_is_none_is_refused_by_name(client: Any, record_type: Any) -> None:
    with pytest.raises(InvalidRecord) as refused:
        client.ingest(record_type, audit())
    assert refused.value.field == "record_type"


# No record, and the field that its error names.
ODD: list[tuple[Any, str | None]] = [
    (None, None),
    (7, None),
    ("audit_log", None),
    (("audit_log",), None),
    (("audit_log", audit(), "k", 4), None),
    (("audit_log", None), "data"),
    ((None, audit()), "record_type"),
    ({"data": audit()}, "record_type"),
    ({"record_type": "audit_log"}, "data"),
    ({"record_type": "audit_log", "data": audit(), "id": 1}, "id"),
    ({"record_type": "audit_log", "data": audit(), "idempotency_key": 1}, "idempotency_key"),
    (Broken(), None),
    *((("audit_log", data), field) for data, field, _ in BAD.values() if not isinstance(data, types.GeneratorType)),
]  # fmt: skip


def test_ingest_many_answers_each_record_whatever_another_one_is(client: Any) -> None:
    records: list[Any] = []
    for n, (odd, _) in enumerate(ODD):
        records += [("audit_log", audit(n=n)), odd]
    results = client.ingest_many(iter(records))
    assert len(results) == len(records)
    for n, (_, field) in enumerate(ODD):
        good, bad = results[2 * n : 2 * n + 2]
        assert isinstance(good, IngestResponse), good
        assert isinstance(bad, InvalidRecord), bad
        if field:
            assert str(bad.field).startswith(field), bad
    written = [event.data["n"] for event in client.iter_events(include_data=True)]
    assert written == list(reversed(range(len(ODD))))


def test_ingest_many_takes_pairs_triples_and_mappings(client: Any) -> None:
    data = types.MappingProxyType(audit())
    results = client.ingest_many(
        [
            ("audit_log", data),
            ["audit_log", data],
            ("audit_log", data, "k"),
            ("audit_log", data, None),
            collections.UserDict({"record_type": "audit_log", "data": data, "idempotency_key": "k"}),
            {"record_type": "audit_log", "data": data, "idempotency_key": None},
        ]
    )
    assert [result.seq for result in results] == [1, 2, 3, 4, 3, 5]


def test_records_of_a_megabyte_go_in_batches_that_the_sidecar_takes(client: Any) -> None:
    results = client.ingest_many(("audit_log", audit(n=n, text="x" * 1_000_000)) for n in range(20))
    assert [result.seq for result in results] == list(range(1, 21))


def test_an_error_of_the_callers_own_generator_is_the_callers(client: Any) -> None:
    def records() -> Iterator[Any]:
        yield "audit_log", audit()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        client.ingest_many(records())


def test_a_record_that_is_none_keeps_its_own_error_although_no_sidecar_answers(
    sidecar: Sidecar, connect: Callable[..., Any]
) -> None:
    sidecar.kill_9()
    client = connect(sidecar.url, Retry(attempts=1))
    results: list[BoboykaError] = client.ingest_many([("audit_log", audit()), None, ("audit_log", audit())])
    assert [type(result) for result in results] == [NotReachable, InvalidRecord, NotReachable]
