"""SapixDB's published client, unmodified, against a real sidecar: each of its methods, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import base64
import inspect
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
import sapixdb
from conftest import GUARD, Sidecar
from sapixdb.stream import stream_agent, stream_global

BUILD = {"project_id": "p", "build_id": "b1", "status": "running"}


class Driven:
    """An asynchronous client or a part of one, driven as if it were synchronous."""

    def __init__(self, part: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._part, self._loop = part, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not callable(found):
            return Driven(found, self._loop)

        def call(*arguments: Any, **named: Any) -> Any:
            answer = found(*arguments, **named)
            if inspect.iscoroutine(answer):
                return self._loop.run_until_complete(answer)
            return Driven(answer, self._loop) if type(answer).__name__.startswith("Async") else answer

        return call


@pytest.fixture(autouse=True)
def no_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The client connects anew for each call and reads all certificates of the machine then; none is needed here."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


@pytest.fixture(params=["synchronous", "asynchronous"])
def db(request: pytest.FixtureRequest, sidecar: Sidecar) -> Iterator[Any]:
    if request.param == "synchronous":
        yield sapixdb.SapixClient(url=sidecar.url, agent="my-app")
        return
    loop = asyncio.new_event_loop()
    yield Driven(sapixdb.AsyncSapixClient(url=sidecar.url, agent="my-app"), loop)
    loop.close()


def test_health_and_ping(db: Any) -> None:
    assert db.health().status == "ok"
    assert len(db.health().agent) == 36
    assert db.ping() is True


def test_nobody_there(db: Any, sidecar: Sidecar) -> None:
    sidecar.stop()
    assert db.ping() is False
    with pytest.raises(sapixdb.SapixNetworkError):
        db.collection("products").latest()


def test_what_was_written_is_got_as_it_was(db: Any) -> None:
    data = {"name": "Classic T-Shirt", "price": 29.99, "stock": 100, "tags": ["a", None], "deep": {"é": True}}
    written = db.collection("products").write(data)
    assert (written.codios_verified, written.codios_mode, written.codios_contract_id) == (None, "open", None)
    assert written.chain_head == written.content_hash
    record = db.collection("products").get(written.content_hash)
    assert record.data == record.payload == data
    assert (record.record_id, record.content_hash) == (written.record_id, written.content_hash)
    assert (record.parent_hash, record.flags, record.schema_version) == ("0" * 64, 1, 1)
    assert record.timestamp_hlc >> 16 == record.timestamp_ms
    # The stored bytes: the caller's map with the strand's own keys in it.
    stored = base64.b64decode(record.payload_b64)
    assert b"_boboyka_collection\xa8products" in stored and b"_boboyka_type\xa8document" in stored
    second = db.ingest("products", {"name": "second"})
    assert db.collection("products").get(second.content_hash).parent_hash == written.content_hash


def test_a_record_is_found_in_its_own_collection_alone(db: Any) -> None:
    written = db.collection("products").write({"n": 1})
    for collection, hash in [
        ("orders", written.content_hash),
        ("products", "0" * 64),
        ("products", "nuc_missing"),
    ]:
        with pytest.raises(sapixdb.SapixNotFoundError) as caught:
            db.collection(collection).get(hash)
        assert caught.value.record_id == hash


def test_write_batch(db: Any) -> None:
    written = db.collection("products").write_batch([{"n": n} for n in range(5)])
    got = [db.collection("products").get(one.content_hash).data["n"] for one in written]
    assert got == [0, 1, 2, 3, 4]


def test_latest_is_newest_first_and_history_oldest_first(db: Any) -> None:
    for n in range(30):
        db.collection("products").write({"n": n})
        db.collection("others").write({"n": -n})
    assert [r.data["n"] for r in db.collection("products").latest()] == list(range(29, 9, -1))
    assert [r.data["n"] for r in db.collection("products").latest(limit=2)] == [29, 28]
    assert [r.data["n"] for r in db.collection("products").history()] == list(range(30))
    assert [r.data["n"] for r in db.collection("products").history(limit=3, offset=28)] == [28, 29]
    assert db.collection("products").history(offset=30) == []
    assert db.collection("nothing").latest() == []
    seen: list[int] = []
    while page := db.collection("products").history(limit=7, offset=len(seen)):
        seen += [r.data["n"] for r in page]
    assert seen == list(range(30))


def test_find_and_find_one(db: Any) -> None:
    shelf = db.collection("products")
    for n in range(10):
        shelf.write({"n": n, "category": "apparel" if n % 2 else "food", "price": n, "new": n > 5})
    assert [r.data["n"] for r in shelf.find({"category": "apparel"})] == [9, 7, 5, 3, 1]
    assert [r.data["n"] for r in shelf.find({"category": "apparel"}, limit=2)] == [9, 7]
    assert shelf.find_one({"new": False}).data["n"] == 5
    assert shelf.find_one({"price": 4.0}).data["n"] == 4
    assert shelf.find_one({"category": "shoes"}) is None
    assert shelf.latest(filter={"n": 3})[0].data["n"] == 3


def test_as_of_is_what_was_there_then(db: Any) -> None:
    orders = db.collection("orders")
    written = [orders.write({"order": "o1", "status": s}) for s in ("placed", "paid", "shipped")]
    paid = orders.get(written[1].content_hash)
    # The newest records up to then, oldest first.
    assert [r.data["status"] for r in orders.as_of(paid.timestamp_hlc).latest()] == ["placed", "paid"]
    assert [r.data["status"] for r in orders.as_of(paid.timestamp_hlc).all(limit=1)] == ["paid"]
    assert orders.as_of(paid.timestamp_hlc - 2**32).latest() == []
    # The README's date, which the client passes on.
    now = datetime.now(timezone.utc).isoformat()
    assert len(orders.as_of(now).latest()) == 3
    # With a filter the client forgets the time: it sends a plain scan.
    assert orders.as_of(paid.timestamp_hlc).find_one({"order": "o1"}).data["status"] == "shipped"
    assert len(orders.as_of(paid.timestamp_hlc).find({"order": "o1"})) == 3


def test_current_is_the_newest_of_each_key(db: Any) -> None:
    orders = db.collection("orders")
    for order, status in [("o1", "placed"), ("o2", "placed"), ("o1", "shipped"), ("o3", "placed")]:
        orders.write({"order": order, "status": status})
    orders.write({"no": "key"})
    found = [(r.data["order"], r.data["status"]) for r in orders.current(key="order")]
    assert found == [("o3", "placed"), ("o1", "shipped"), ("o2", "placed")]
    assert [r.data["order"] for r in orders.current(key="order", limit=1)] == ["o3"]
    placed = orders.current(key="order", filter={"status": "placed"})
    assert [r.data["order"] for r in placed] == ["o3", "o2"]
    assert orders.count_current(key="order") == 3
    assert orders.count_current(key="order", filter={"status": "shipped"}) == 1
    assert orders.count_current(key="nothing") == 0


def test_delete_takes_a_record_back_and_restore_writes_it_anew(db: Any) -> None:
    orders = db.collection("orders")
    first = orders.write({"order": "o1", "status": "placed"})
    second = orders.write({"order": "o2", "status": "placed"})
    orders.delete(first.content_hash)
    orders.delete(first.content_hash)
    assert [r.data["order"] for r in orders.current(key="order")] == ["o2"]
    assert orders.count_current(key="order") == 1
    # The raw views go on showing it.
    assert len(orders.latest()) == len(orders.history()) == 2
    assert orders.find_one({"order": "o1"}) is not None
    (deleted,) = orders.list_deleted()
    assert (deleted.original_hash, deleted.original_record.data["order"]) == (first.content_hash, "o1")
    assert deleted.tombstone_ts_ms >= deleted.original_record.timestamp_ms
    restored = orders.restore(first.content_hash)
    assert (restored.restored, restored.original_hash) == (True, first.content_hash)
    assert orders.get(restored.new_content_hash).data == {"order": "o1", "status": "placed"}
    assert [r.data["order"] for r in orders.current(key="order")] == ["o1", "o2"]
    assert orders.list_deleted() == []
    for hash, message in [(first.content_hash, "restored before"), (second.content_hash, "not deleted")]:
        with pytest.raises(sapixdb.SapixError, match=message) as caught:
            orders.restore(hash)
        assert (caught.value.status, caught.value.code) == (409, "not_deleted")
    with pytest.raises(sapixdb.SapixError) as missing:
        orders.delete("0" * 64)
    assert missing.value.status == 404


def test_a_deleted_newest_record_does_not_bring_back_the_one_before(db: Any) -> None:
    orders = db.collection("orders")
    orders.write({"order": "o1", "status": "placed"})
    orders.delete(orders.write({"order": "o1", "status": "shipped"}).content_hash)
    assert orders.current(key="order") == []
    orders.write({"order": "o1", "status": "returned"})
    assert [r.data["status"] for r in orders.current(key="order")] == ["returned"]


def test_what_was_deleted_stays_so_after_a_restart(db: Any, sidecar: Sidecar) -> None:
    orders = db.collection("orders")
    orders.delete(orders.write({"order": "o1"}).content_hash)
    sidecar.kill_9()
    sidecar.start()
    assert orders.count_current(key="order") == 0
    assert len(orders.list_deleted()) == 1


@pytest.mark.parametrize("name", ["project_build", "project_builds"])
def test_the_names_of_record_types_and_tables_are_those_records(db: Any, name: str, sidecar: Sidecar) -> None:
    builds = db.collection(name)
    written = builds.write(BUILD)
    with pytest.raises(sapixdb.SapixError, match="build_id is required") as caught:
        builds.write({"project_id": "p", "status": "running"})
    assert (caught.value.status, caught.value.code) == (422, "missing_field")
    builds.write({**BUILD, "status": "succeeded"})
    (newest,) = builds.current(key="build_id")
    assert newest.data == {**BUILD, "status": "succeeded"}
    state_url = f"{sidecar.url}/v1/boboyka/state/project_build/b1"
    assert httpx.get(state_url).json()["tombstone"] is False
    builds.delete(newest.content_hash)
    assert httpx.get(state_url).json()["tombstone"] is True
    assert httpx.get(f"{state_url}?as_of={newest.content_hash}").json()["tombstone"] is False
    assert (builds.current(key="build_id"), len(builds.list_deleted())) == ([], 1)
    restored = builds.restore(newest.content_hash)
    assert httpx.get(state_url).json()["tombstone"] is False
    versions = httpx.get(state_url.replace("/state/", "/history/")).json()["versions"]
    assert [version["tombstone"] for version in versions] == [False, True, False]
    assert builds.current(key="build_id")[0].content_hash == restored.new_content_hash
    status = httpx.get(f"{sidecar.url}/v1/boboyka/status").json()
    assert status["event_counts"]["project_build"] == 3
    events = httpx.get(f"{sidecar.url}/v1/boboyka/events?record_type=project_build").json()["events"]
    assert events[-1]["record_hash"] == written.content_hash


def test_documents_are_no_records_of_a_type_and_are_never_mirrored(db: Any, sidecar: Sidecar) -> None:
    written = db.collection("products").write({"n": 1})
    status = httpx.get(f"{sidecar.url}/v1/boboyka/status").json()
    assert (status["event_counts"]["document"], status["total_events"]) == (1, 1)
    assert [lane["backlog"] for lane in status["mirror"]] == [0, 0, 0, 0]
    record = httpx.get(f"{sidecar.url}/v1/boboyka/records/{written.content_hash}").json()
    assert record["data"] == {"_boboyka_collection": "products", "n": 1}
    assert (record["record_type"], record["dual_write"]["enabled"]) == ("document", False)
    posted = {"record_type": "document", "data": {"n": 1}}
    refused = httpx.post(f"{sidecar.url}/v1/boboyka/ingest", json=posted)
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_record_type")


@pytest.mark.parametrize(
    ("collection", "data", "status", "code", "field"),
    [
        ("products", {"_boboyka_x": 1}, 422, "reserved_field", "_boboyka_x"),
        ("products", {"a\0": 1}, 422, "nul_in_text", "a\u2400"),
        ("_boboyka_own", {}, 400, "bad_parameter", "collection"),
        ("x" * 129, {}, 400, "bad_parameter", "collection"),
        ("audit_log", {"agent_id": "boboyka_sidecar", "event": "e"}, 422, "reserved_field", "agent_id"),
        ("agent_health", {"agent_id": "a", "status": "ill"}, 422, "invalid_field", "status"),
    ],
)
def test_what_is_refused_is_named(
    sidecar: Sidecar, collection: str, data: dict[str, Any], status: int, code: str, field: str
) -> None:
    url = f"{sidecar.url}/v1/agents/{collection}/records/json"
    refused = httpx.post(url, json={"data": data})
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (status, code, field)
    client = sapixdb.SapixClient(url=sidecar.url, agent="a")
    with pytest.raises(sapixdb.SapixError) as caught:
        client.collection(collection).write(data)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert str(caught.value) == refused.json()["message"]


def test_bad_queries_are_named(sidecar: Sidecar) -> None:
    def ask(body: Any) -> tuple[int, str, str]:
        answer = httpx.post(f"{sidecar.url}/v1/agents/products/query", json=body)
        return answer.status_code, answer.json()["code"], answer.json()["message"]

    for body, part in [
        ({"type": "latest", "limit": 0}, "limit must be 1 to 1000"),
        ({"type": "latest", "limit": 1001}, "limit must be 1 to 1000"),
        ({"type": "sideways"}, "sideways"),
        ({"type": "latest", "limt": 3}, "limt"),
        ({"type": "current"}, "key"),
        ({"type": "scan", "filter": {"field": "a", "op": "gt", "value": 1}}, "gt"),
        ({"type": "as_of", "timestamp_hlc": "yesterday"}, "yesterday"),
        ([], "query"),
    ]:
        status, _, message = ask(body)
        assert status == 400 and part in message, message
    for path in ["limit=0", "limit=x", "offset=-1", "after=3", "limit=1&limit=2"]:
        answer = httpx.get(f"{sidecar.url}/v1/agents/products/strand/records?{path}")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_parameter"), path


def test_what_a_sidecar_does_not_have_is_refused_clearly(db: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: db.put_blob(b"x"),
        lambda: db.get_blob("0" * 64),
        lambda: db.checkpoint(),
        lambda: db.graph.relate("a", "b", "c"),
        lambda: db.graph.add_edge("a", "b", "c", 2.0),
        lambda: db.graph.remove_edge("a", "b", "c"),
        lambda: db.graph.traverse("a", depth=2),
        lambda: db.graph.neighbors("a"),
        lambda: db.graph.edges("a"),
        lambda: db.admin.list_keys(),
        lambda: db.admin.get_key("a"),
        lambda: db.admin.create_key(label="a", scopes=["read:*"]),
        lambda: db.admin.update_key("a", label="b"),
        lambda: db.admin.revoke_key("a"),
        lambda: db.admin.key_usage("a"),
    ]
    for call in calls:
        with pytest.raises(sapixdb.SapixError, match="the sidecar has no") as caught:
            call()
        assert (caught.value.status, caught.value.code) == (501, "not_supported")


async def _some(events: AsyncIterator[Any], count: int) -> list[Any]:
    found = []
    async for event in events:
        found.append(event)
        if len(found) == count:
            break
    return found


def _in_time(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, GUARD))


def test_a_stream_goes_on_where_the_reader_was(sidecar: Sidecar) -> None:
    writer = sapixdb.SapixClient(url=sidecar.url, agent="a")
    orders = writer.collection("orders")
    with httpx.Client(base_url=sidecar.url) as client:
        for n in range(300):
            client.post("/v1/agents/orders/records/json", json={"data": {"n": n}}).raise_for_status()
    db = sapixdb.AsyncSapixClient(url=sidecar.url, agent="a")
    events = _in_time(_some(db.subscribe_agent("orders", since=0), 300))
    assert [event.payload["n"] for event in events] == list(range(300))
    assert {(event.agent_id, event.event_type) for event in events} == {("orders", "record")}
    at_100 = orders.get(events[100].content_hash)
    assert (at_100.record_id, at_100.timestamp_ms) == (events[100].record_id, events[100].timestamp_ms)
    rest = _in_time(_some(db.subscribe_agent("orders", since=at_100.timestamp_hlc), 199))
    assert [event.payload["n"] for event in rest] == list(range(101, 300))
    # The same by the header that readers of such streams send by themselves.
    resumed = stream_agent(sidecar.url, "orders", {"Last-Event-ID": str(at_100.timestamp_hlc)}, since=0)
    assert next(iter(resumed)).payload == {"n": 101}


def test_a_stream_brings_what_is_written_while_it_is_open(sidecar: Sidecar) -> None:
    db = sapixdb.AsyncSapixClient(url=sidecar.url, agent="a")

    async def run() -> tuple[list[Any], list[Any]]:
        orders = db.collection("orders")
        await orders.write({"n": "before"})
        # What comes is told by the first event that was written after the stream stood.
        streams = [
            asyncio.create_task(_some(db.subscribe_agent("orders", filter_field="risk"), 2)),
            asyncio.create_task(_some(db.subscribe_global(agents=["payments", "project_builds"]), 2)),
        ]
        while not all(stream.done() for stream in streams):
            await orders.write({"n": 1})
            await orders.write({"risk": 2})
            await db.collection("payments").write({"sum": 3})
            await db.collection("project_builds").write(BUILD)
        return streams[0].result(), streams[1].result()

    risky, others = _in_time(run())
    assert [event.payload for event in risky] == [{"risk": 2}, {"risk": 2}]
    assert {event.agent_id for event in others} <= {"payments", "project_build"}


def test_a_stream_tells_of_deletions(sidecar: Sidecar) -> None:
    writer = sapixdb.SapixClient(url=sidecar.url, agent="a")
    builds = writer.collection("project_build")
    hash = builds.write(BUILD).content_hash
    builds.delete(hash)
    again = builds.restore(hash)
    events = iter(stream_global(sidecar.url, {}, agents=["project_build"]))
    del events
    found = stream_agent(sidecar.url, "project_build", {}, since=0)
    kinds = [next(found) for _ in range(3)]
    assert [event.event_type for event in kinds] == ["record", "tombstone", "record"]
    assert kinds[1].payload is None
    assert kinds[2].content_hash == again.new_content_hash


def test_a_stream_ends_with_the_sidecar(sidecar: Sidecar) -> None:
    sapixdb.SapixClient(url=sidecar.url, agent="a").collection("orders").write({"n": 1})
    events = stream_agent(sidecar.url, "orders", {}, since=0)
    assert next(events).payload == {"n": 1}
    sidecar.stop()
    assert list(events) == []


def test_too_many_streams_are_refused(sidecar: Sidecar) -> None:
    client = httpx.Client(timeout=GUARD, limits=httpx.Limits(max_connections=None))
    with client:
        opened = []
        for _ in range(64):
            request = client.build_request("GET", f"{sidecar.url}/v1/stream")
            opened.append(client.send(request, stream=True))
            assert opened[-1].status_code == 200
        refused = client.get(f"{sidecar.url}/v1/stream")
        assert (refused.status_code, refused.json()["code"]) == (429, "stream_busy")
        for stream in opened:
            stream.close()


def test_the_whole_strand_by_the_flat_paths(sidecar: Sidecar) -> None:
    db = sapixdb.SapixClient(url=sidecar.url, agent="a")
    first = db.collection("orders").write({"n": 1})
    db.collection("project_build").write(BUILD)
    db.collection("orders").delete(first.content_hash)
    walk = httpx.get(f"{sidecar.url}/v1/strand/records").json()["records"]
    assert [record["seq"] for record in walk] == [1, 2, 3]
    assert [record["agent_id"] for record in walk] == ["orders", "project_build", "orders"]
    assert [record["flags"] for record in walk] == [1, 0, 2]
    for before, record in itertools.pairwise(walk):
        assert record["parent_hash"] == before["content_hash"]
    assert walk[2]["payload"] is None
    one = httpx.get(f"{sidecar.url}/v1/records/{first.content_hash}").json()
    assert one["payload"] == {"n": 1}

    def ask(**body: Any) -> list[int]:
        answer = httpx.post(f"{sidecar.url}/v1/query", json=body).json()
        return [record["seq"] for record in answer["records"]]

    assert ask(type="chain_head") == [3]
    assert ask(type="hash", content_hash=first.content_hash) == [1]
    assert ask(type="hash", content_hash="0" * 64) == []
    assert ask(type="latest") == [2, 1]
    times = [record["timestamp_hlc"] for record in walk]
    assert ask(type="time_range", from_ts=times[0], to_ts=times[1]) == [1, 2]
    assert ask(type="time_range", from_ts=times[1], to_ts=times[2]) == [2]


def test_what_0_1_and_go_call(sidecar: Sidecar) -> None:
    def post(path: str, body: dict[str, Any]) -> Any:
        return httpx.post(f"{sidecar.url}/v1/my-app/{path}", json=body).raise_for_status().json()

    first = post("strand/write", {"collection": "products", "data": {"sku": "S1", "price": 1}})
    assert set(first) == {"id", "hash", "prev_hash", "timestamp", "collection"}
    second = post("ingest", {"collection": "products", "data": {"sku": "S1", "price": 2}})
    assert second["prev_hash"] == first["hash"]
    got = httpx.get(f"{sidecar.url}/v1/my-app/strand/{first['id']}").json()
    assert (got["data"], got["collection"]) == ({"sku": "S1", "price": 1}, "products")
    assert httpx.get(f"{sidecar.url}/v1/my-app/strand/nuc_1").status_code == 404

    def prices(**query: Any) -> list[Any]:
        results = post("strand/query", {"collection": "products", **query})["results"]
        return [result["data"]["price"] for result in results]

    assert prices(latest=False) == [2, 1]
    assert prices(latest=True, filter={"sku": "S1", "price": 1}) == [1]
    assert prices(latest=True, limit=1) == [2]
    assert prices(latest=False, as_of=first["timestamp"])[-1:] == [1]
    for status in ["running", "failed"]:
        post("strand/write", {"collection": "project_builds", "data": {**BUILD, "status": status}})
    newest = post("strand/query", {"collection": "project_builds", "latest": True})["results"]
    assert [result["data"]["status"] for result in newest] == ["failed"]


def test_the_readme_s_store_as_far_as_it_is_true(db: Any) -> None:
    """The README's last example with the names that 0.5.0 has: `content_hash` for `hash`, `record_id` for `id`, and no
    graph. Its `as_of(…).find_one(…)` finds what is newest now: the client sends no time with a filter."""
    shirt = db.collection("products").write({"sku": "SHIRT-001", "price": 29.99, "category": "apparel"})
    customer = db.collection("customers").write({"name": "Alice Johnson", "email": "alice@example.com"})
    order = db.collection("orders").write(
        {
            "customer_id": customer.record_id,
            "items": [{"product_id": shirt.record_id, "qty": 2, "unit_price": 29.99}],
            "status": "placed",
        }
    )
    db.collection("orders").write({"customer_id": customer.record_id, "status": "shipped"})
    placed_at = db.collection("orders").get(order.content_hash).timestamp_hlc
    original = db.collection("orders").as_of(placed_at).latest(limit=1)[0]
    assert original.data["status"] == "placed"
    assert not hasattr(shirt, "id") and not hasattr(shirt, "hash") and not hasattr(original, "timestamp")
    found = db.collection("orders").as_of(placed_at).find_one({"customer_id": customer.record_id})
    assert found.data["status"] == "shipped"
    assert json.loads(json.dumps(found.data))["customer_id"] == customer.record_id
