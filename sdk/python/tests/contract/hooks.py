"""What schemathesis does and checks besides its own."""

from __future__ import annotations

from typing import Any

import schemathesis

# The names of types with fields of their own; every other name is a collection's.
TYPES = {
    *("project_build", "build_queue_item", "agent_health", "audit_log"),
    *("project_builds", "build_queue", "agent_audit_log"),
}
FORM = {"error", "code", "message", "field"}


def is_valid(case: Any) -> bool:
    return case.meta is not None and bool(case.meta.generation.mode.is_positive)


@schemathesis.hook
def before_call(_: Any, case: Any, **__: Any) -> None:
    """Two keys in one valid request are the same key, else nearly all requests would be refused for that."""
    if is_valid(case) and case.path.startswith("/v1/boboyka/ingest"):
        items = case.body if isinstance(case.body, list) else [case.body]
        if any(isinstance(item, dict) and item.get("idempotency_key") is not None for item in items):
            (case.headers or {}).pop("Idempotency-Key", None)


def is_dependent(case: Any, error: dict[str, Any]) -> bool:
    """Whether what is wrong depends on what the strand holds, or on another parameter, so that no schema can say it."""
    if error["code"] == "bad_parameter":
        with_proofs = error.get("field") == "limit" and "proof" in (case.query or {})
        return with_proofs or error.get("field") in ("as_of", "cursor", "from")
    body = case.body if isinstance(case.body, dict) else {}
    name = (case.path_parameters or {}).get("name", body.get("collection"))
    return name in TYPES and error["code"] in ("missing_field", "invalid_field", "reserved_field")


@schemathesis.check
def valid_data_is_refused_for_what_no_schema_can_say(_: Any, response: Any, case: Any) -> None:
    if response.status_code in (400, 422) and is_valid(case):
        assert is_dependent(case, response.json()), f"valid data is refused: {response.text}"


@schemathesis.check
def errors_have_their_form(_: Any, response: Any, case: Any) -> None:
    if response.status_code < 400 or case.method == "HEAD":
        return
    error = response.json()
    assert FORM - {"field"} <= set(error) <= FORM, f"not the form of an error: {response.text}"
