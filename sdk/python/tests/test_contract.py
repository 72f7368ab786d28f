"""The client against the contract of the sidecar, `docs/openapi.json`: neither has what the other does not know."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

import pytest
from conftest import ROOT

from sapixdb_boboyka import BoboykaSyncClient, _core, models

CONTRACT = json.loads((ROOT / "docs" / "openapi.json").read_text())
SCHEMAS = CONTRACT["components"]["schemas"]

# Each model, and the schemas of what it is read from: a state is told by an answer, and by its versions in a list.
MODELS: dict[type, list[str]] = {
    models.DualWriteResult: ["DualWrite"],
    models.IngestResponse: ["Receipt"],
    models.BoboykaStatusResponse: ["Status"],
    models.BoboykaEvent: ["Event"],
    models.EventsResponse: ["Events"],
    models.Head: ["Head"],
    models.Missing: ["Missing"],
    models.State: ["State"],
    models.HistoryResponse: ["History"],
    models.StatesResponse: ["States"],
    models.CountsResponse: ["Counts"],
}
# The schema of the fields that each of the client's methods takes.
WRITERS: dict[str, str] = {
    "ingest_build": "ProjectBuild",
    "ingest_queue_item": "BuildQueueItem",
    "ingest_health": "AgentHealth",
    "ingest_audit": "AuditLog",
}
TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "null": types.NoneType}
# How to make a value of a named text.
TEXTS = {"Hash": "0" * 64, "Id": "01a21400-0000-7000-8000-000000000000"}


def resolved(schema: Any) -> dict[str, Any]:
    """A schema without its reference."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return resolved(SCHEMAS[name]) if name else schema


def python_types(schema: Any) -> set[Any]:
    """The Python types of a schema's values."""
    found = resolved(schema)
    if "anyOf" in found:
        return set().union(*(python_types(each) for each in found["anyOf"]))
    kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
    return {TYPES.get(kind, kind) for kind in kinds}


def expected_types(hint: Any) -> set[Any]:
    """The same of an annotation; whatever is made of an object or an array is that."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return set().union(*(expected_types(each) for each in typing.get_args(hint)))
    origin = typing.get_origin(hint) or hint
    if origin in (list, tuple):
        return {"array"}
    if origin in (dict, Mapping) or dataclasses.is_dataclass(origin):
        return {"object"}
    return {origin}


def value(schema: Any, full: bool) -> Any:
    """A value of a schema: with everything in it, or with as little as is allowed."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name in TEXTS:
        return TEXTS[name]
    found = resolved(schema)
    for choice in ("anyOf", "oneOf"):
        if choice in found:
            return value(found[choice][0 if full else -1], full)
    if "const" in found:
        return found["const"]
    if "enum" in found:
        return found["enum"][0 if full else -1]
    kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
    kind = "null" if "null" in kinds and not full else kinds[0]
    if kind == "object":
        properties = found.get("properties", {})
        chosen = properties if full else found.get("required", [])
        return {name: value(properties[name], full) for name in chosen}
    if kind == "array":
        return [value(found["items"], full)]
    return {"string": "text", "integer": 7, "number": 0.5, "boolean": True, "null": None}[kind]


def test_every_model_is_held_to_a_schema() -> None:
    found = {each for _, each in inspect.getmembers(models, dataclasses.is_dataclass)}
    assert found == set(MODELS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_fields_of_a_model_are_in_the_contract_with_their_types(model: type) -> None:
    hints = typing.get_type_hints(model)
    for name in MODELS[model]:
        schema = SCHEMAS[name]
        for field in dataclasses.fields(model):
            assert field.name in schema["properties"], f"{name} has no {field.name}"
            told = python_types(schema["properties"][field.name])
            if field.name not in schema["required"]:
                told.add(types.NoneType)
            allowed = expected_types(hints[field.name])
            # A model that is also made of parts of a list may lack what the answer by itself has.
            assert told <= allowed, f"{name}.{field.name}: {told} and not {allowed}"


@pytest.mark.parametrize("full", [False, True], ids=["least", "most"])
@pytest.mark.parametrize(
    "model", [each for each in MODELS if hasattr(each, "from_json")], ids=lambda model: model.__name__
)
def test_every_answer_of_the_contract_is_read_with_nothing_lost(model: Any, full: bool) -> None:
    for name in MODELS[model]:
        answer = value({"$ref": f"#/components/schemas/{name}"}, full)
        read = model.from_json(answer)
        assert_same(read, answer)


def assert_same(read: Any, answer: Any) -> None:
    """What was read is what the answer says, field by field."""
    for field in dataclasses.fields(read):
        if field.name in ("record_type", "head", "key", "missing") and field.name not in answer:
            # An element of a list has these from the list.
            continue
        told, got = answer.get(field.name), getattr(read, field.name)
        if dataclasses.is_dataclass(got):
            assert_same(got, told)
        elif isinstance(got, (list, tuple)):
            assert len(got) == len(told), field.name
            for one, other in zip(got, told, strict=True):
                assert_same(one, other)
        else:
            assert got == told, field.name


@pytest.mark.parametrize("method", WRITERS)
def test_a_method_that_writes_takes_the_fields_of_the_record_table(method: str) -> None:
    schema = SCHEMAS[WRITERS[method]]
    signature = inspect.signature(getattr(BoboykaSyncClient, method))
    hints = typing.get_type_hints(getattr(BoboykaSyncClient, method))
    own = ("self", "idempotency_key", "more")
    taken = {name: it for name, it in signature.parameters.items() if name not in own}
    assert set(taken) == set(schema["properties"])
    for name, parameter in taken.items():
        is_required = parameter.default is inspect.Parameter.empty
        assert is_required == (name in schema["required"]), name
        assert expected_types(hints[name]) == python_types(schema["properties"][name]), name


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/boboyka/ingest", _core.ingest("audit_log", {"agent_id": "a", "event": "e"}, None)),
        ("/v1/boboyka/ingest/batch", _core.batch([])),
        ("/v1/boboyka/events", _core.events(10, "audit_log", "c", 0, 1, True, 5)),
        ("/v1/boboyka/state/{record_type}/{key}", _core.state("project_build", "k", 5)),
        ("/v1/boboyka/history/{record_type}/{key}", _core.history("project_build", "k", 10, 5, "c", True)),
        ("/v1/boboyka/state/{record_type}", _core.states("project_build", 10, 5, "c", True)),
        ("/v1/boboyka/counts", _core.counts(5)),
        ("/v1/boboyka/status", _core.STATUS),
    ],
)
def test_every_call_is_an_operation_with_these_parameters(path: str, call: Any) -> None:
    operation = CONTRACT["paths"][path][call.method.lower()]
    wanted = [part if part.startswith("{") else None for part in path.split("/")]
    parts = call.path.split("/")
    assert len(parts) == len(wanted)
    assert all(
        name or part == known for part, known, name in zip(parts, path.split("/"), wanted, strict=True)
    )
    known = {it["name"] for it in operation["parameters"] if it["in"] == "query"}
    assert set(call.params or {}) <= known
    if call.content is not None:
        assert call.headers["content-type"] in operation["requestBody"]["content"]
