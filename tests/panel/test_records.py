"""Records in the panel: as they come, in a long list, and one by one."""

import pathlib
import re

from conftest import ready, row_of, rows, unique
from playwright.sync_api import expect

HOSTILE = [
    '<img src=x onerror="window.hit = 1">',
    "<script>window.hit = 1</script>",
    '"><svg onload="window.hit = 1">',
    "javascript:window.hit=1",
    "{{constructor.constructor('window.hit = 1')()}}",
    "\u202egnp.exe\u0007",
]


def test_a_record_appears_as_it_comes_and_waits_while_a_person_pauses(sidecar, opened):
    page = ready(opened(sidecar))
    first = sidecar.ingest("audit_log", {"agent_id": unique(), "event": "first"})["seq"]
    expect(row_of(page, first)).to_contain_text("first")
    page.get_by_role("button", name="Pause").click()
    held = sidecar.ingest("audit_log", {"agent_id": unique(), "event": "held"})["seq"]
    expect(page.locator("#live-count")).to_contain_text("1 new record held back")
    expect(row_of(page, held)).to_have_count(0)
    page.get_by_role("button", name="Go on").click()
    expect(row_of(page, held)).to_contain_text("held")
    expect(rows(page).first).to_be_visible()


def test_records_are_filtered_by_type_and_key(sidecar, opened):
    page = ready(opened(sidecar))
    build, agent = unique(), unique()
    one = sidecar.ingest("project_build", {"project_id": "p", "build_id": build, "status": "queued"})["seq"]
    other = sidecar.ingest("agent_health", {"agent_id": agent, "status": "healthy"})["seq"]
    expect(row_of(page, other)).to_be_visible()
    page.get_by_label("Type").select_option("project_build")
    expect(row_of(page, other)).to_have_count(0)
    expect(row_of(page, one)).to_be_visible()
    page.get_by_label("Type").select_option("")
    page.get_by_label("Key contains").fill(agent)
    expect(row_of(page, one)).to_have_count(0)
    expect(row_of(page, other)).to_be_visible()
    later = sidecar.ingest("agent_health", {"agent_id": agent, "status": "degraded"})["seq"]
    expect(row_of(page, later)).to_contain_text("degraded")


def test_a_record_opens_with_all_that_its_hash_covers_and_leads_to_its_neighbours(sidecar, opened):
    page = ready(opened(sidecar))
    before = sidecar.ingest("audit_log", {"agent_id": unique(), "event": "before"})
    data = {"agent_id": unique(), "event": "here", "metadata": {"big": 2**64 - 1, "half": 0.5}}
    here = sidecar.ingest("audit_log", data)
    after = sidecar.ingest("audit_log", {"agent_id": unique(), "event": "after"})
    row_of(page, here["seq"]).click()
    dialog = page.locator("#record")
    expect(dialog.locator("h2")).to_have_text(f"Record {here['seq']}")
    record = sidecar.get(f"/v1/boboyka/records/{here['record_hash']}")
    for name in ["record_hash", "prev_hash", "record_id", "payload_hash", "timestamp_hlc_text", "header"]:
        expect(dialog).to_contain_text(record[name])
    # JavaScript has no such number.
    expect(dialog.locator("pre")).to_contain_text('"big": 18446744073709551615')
    expect(dialog).to_contain_text("not mirrored")
    page.get_by_role("button", name=f"Before: {before['seq']}").click()
    expect(dialog).to_contain_text(before["record_hash"])
    page.get_by_role("button", name=f"After: {here['seq']}").click()
    page.get_by_role("button", name=f"After: {after['seq']}").click()
    expect(dialog).to_contain_text(after["record_hash"])
    page.get_by_role("button", name=f"After: {after['seq'] + 1}").click()
    expect(dialog).to_contain_text("has no record with that seq")


def test_the_proof_of_a_record_is_saved_as_the_file_that_the_api_gives(sidecar, opened):
    page = ready(opened(sidecar))
    receipt = sidecar.ingest("audit_log", {"agent_id": unique(), "event": "proven"})
    row_of(page, receipt["seq"]).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the proof").click()
    assert download.value.suggested_filename == f"{receipt['record_hash']}.tlog-proof"
    saved = pathlib.Path(download.value.path()).read_text()
    assert saved.startswith("c2sp.org/tlog-proof@v1\n")
    assert f"\nindex {receipt['seq'] - 1}\n" in saved


def test_a_proof_that_can_t_be_had_says_why(sidecar, opened):
    page = ready(opened(sidecar))
    receipt = sidecar.ingest("audit_log", {"agent_id": unique(), "event": "not proven"})
    why = {"error": "log unavailable", "code": "log_unavailable", "message": "the log has not begun"}
    page.route("**/v1/boboyka/proof/*", lambda route: route.fulfill(status=503, json=why))
    row_of(page, receipt["seq"]).click()
    page.get_by_role("button", name="Save the proof").click()
    expect(page.locator("#record").get_by_role("alert")).to_have_text("the log has not begun")


def test_the_keyboard_alone_reaches_and_opens_a_record(sidecar, opened):
    page = ready(opened(sidecar))
    newest = sidecar.ingest("audit_log", {"agent_id": unique(), "event": "keys"})["seq"]
    expect(row_of(page, newest)).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "listbox":
            break
    for key, chosen in [("ArrowDown", newest), ("ArrowDown", newest - 1), ("End", 0), ("Home", newest)]:
        page.keyboard.press(key)
        if chosen:
            expect(row_of(page, chosen)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.locator("#record h2")).to_have_text(f"Record {newest}")
    page.keyboard.press("Escape")
    expect(page.locator("#record")).not_to_be_visible()
    assert page.evaluate("document.activeElement.getAttribute('role')") == "listbox"


def test_nothing_in_a_record_becomes_part_of_the_page(sidecar, opened):
    page = ready(opened(sidecar))
    for text in HOSTILE:
        data = {"agent_id": text, "event": text, text: text, "metadata": {text: [text]}}
        seq = sidecar.ingest("audit_log", data)["seq"]
        # Marks that could disguise a text are shown as what they are.
        shown = text.replace("\u202e", "\\u202e").replace("\u0007", "\\u0007")
        expect(row_of(page, seq)).to_contain_text(shown)
        row_of(page, seq).click()
        expect(page.locator("#record h2")).to_have_text(f"Record {seq}")
        expect(page.locator("#record pre")).to_contain_text(shown.replace('"', '\\"'))
        page.keyboard.press("Escape")
        expect(page.locator("#record")).not_to_be_visible()
    assert page.evaluate("window.hit") is None
    assert page.locator("img, main script, main svg[onload], iframe, object, embed").count() == 0


def test_ten_thousand_records_need_a_screenful_of_rows(sidecar, opened):
    page = ready(opened(sidecar))
    older = page.get_by_role("button", name="Load older records")
    while older.is_visible():
        before = page.locator("#live-count").inner_text()
        older.click()
        expect(page.locator("#live-count")).not_to_have_text(before)
    expect(page.locator("#live-count")).to_contain_text(re.compile(r"^10,000 records"))
    measure = """async () => {
      const box = document.querySelector('.list');
      let [most, longest, before] = [0, 0, performance.now()];
      for (let step = 0; step <= 120; step += 1) {
        box.scrollTop = (box.scrollHeight - box.clientHeight) * step / 120;
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        longest = Math.max(longest, now - before);
        before = now;
        most = Math.max(most, document.querySelectorAll('.row').length);
      }
      return {most, longest, nodes: document.querySelectorAll('*').length};
    }"""
    seen = page.evaluate(measure)
    print("ten thousand records:", seen)
    assert seen["most"] <= 40
    assert seen["nodes"] <= 1_000
    page.locator(".list").focus()
    page.keyboard.press("Home")
    newest = sidecar.ingest("audit_log", {"agent_id": unique(), "event": "still live"})["seq"]
    expect(row_of(page, newest)).to_be_visible()


def test_what_a_person_looks_at_stays_in_place_while_records_come(sidecar, opened):
    page = ready(opened(sidecar))
    box = page.locator(".list")
    box.evaluate("(box) => { box.scrollTop = 44 * 50 }")
    newest = sidecar.get("/v1/boboyka/status")["strand"]["head"]["seq"]
    looked_at = row_of(page, newest - 52)
    place = looked_at.bounding_box()["y"]
    last = [sidecar.ingest("audit_log", {"agent_id": unique(), "event": "e"})["seq"] for _ in range(5)][-1]
    expect(page.locator(f".row[aria-posinset='{last - (newest - 52) + 1}']")).to_have_attribute(
        "id", f"row-{newest - 52}"
    )
    assert abs(looked_at.bounding_box()["y"] - place) <= 1


def test_after_a_break_of_the_line_nothing_is_missed(sidecar, opened):
    page = ready(opened(sidecar))
    page.context.set_offline(True)
    cut = "fetch('/v1/boboyka/status').then(() => false, () => true)"
    assert page.evaluate(cut)
    missed = [sidecar.ingest("audit_log", {"agent_id": unique(), "event": "missed"})["seq"] for _ in range(3)]
    page.context.set_offline(False)
    for seq in missed:
        expect(row_of(page, seq)).to_be_visible()
    ready(page)
