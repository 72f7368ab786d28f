"""The panel in a browser: how the sidecar is, and each thing that a person does beside reading records."""

import os
import re

from conftest import PHONE, ready, rows, unique
from playwright.sync_api import expect


def test_a_well_sidecar_says_so_with_its_figures(sidecar, opened):
    page = ready(opened(sidecar))
    expect(page.locator("#verdict")).to_have_text("All is well.")
    tiles = page.locator("#tiles")
    for name in ["Phase", "Head", "Lag", "Dead letters", "Chain", "Disk"]:
        expect(tiles).to_contain_text(name)
    head = sidecar.get("/v1/boboyka/status")["strand"]["head"]["seq"]
    expect(tiles).to_contain_text(f"{head:,}")
    expect(page.locator("#foot")).to_contain_text(sidecar.get("/v1/boboyka/status")["strand"]["id"])


def test_each_type_is_appended_from_its_example(sidecar, opened):
    page = ready(opened(sidecar))
    for each in sidecar.get("/v1/boboyka/record-types")["record_types"]:
        page.get_by_label(each["record_type"], exact=True).check()
        page.get_by_role("button", name="Append the record").click()
        expect(page.locator("#try .answer")).to_contain_text("Appended as record")
        seq = sidecar.get("/v1/boboyka/status")["strand"]["head"]["seq"]
        record = sidecar.get(f"/v1/boboyka/records/{seq}")
        assert record["record_type"] == each["record_type"]
        assert record["data"] == {name: value for name, value in each["example"].items() if value is not None}
        page.get_by_role("button", name="Open the record").click()
        expect(page.locator("#record h2")).to_have_text(f"Record {seq}")
        page.keyboard.press("Escape")


def test_what_is_wrong_is_said_at_the_field(sidecar, opened, shot):
    page = ready(opened(sidecar))
    head = sidecar.get("/v1/boboyka/status")["strand"]["head"]["seq"]
    page.get_by_label("agent_health", exact=True).check()
    for name, text, said in [
        ("cpu_pct", "much", "cpu_pct must be a number"),
        ("checked_at_ms", "1.5", "checked_at_ms must be"),
        ("agent_id", "", "agent_id"),
    ]:
        field = page.locator(f"#try-{name}")
        field.fill(text)
        page.get_by_role("button", name="Append the record").click()
        expect(page.locator(f"#try-{name}-error")).to_contain_text(said)
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
        shot(page, f"field-{name}")
        page.get_by_role("button", name="Fill in the example").click()
    page.get_by_label("as raw JSON").check()
    raw = page.locator("#try-json")
    raw.fill('{"agent_id": "a", "status": "fine"}')
    page.get_by_role("button", name="Append the record").click()
    expect(page.locator("#try-json-error")).to_contain_text("status must be one of")
    assert raw.evaluate("(area) => area.value.slice(area.selectionStart, area.selectionEnd)") == '"status"'
    raw.fill('{"agent_id": ')
    page.get_by_role("button", name="Append the record").click()
    expect(page.locator("#try-json-error")).to_contain_text("This is not JSON")
    assert sidecar.get("/v1/boboyka/status")["strand"]["head"]["seq"] == head


def test_a_rejected_record_is_shown_beside_the_answer_of_supabase_and_sent_again(broken, opened, shot):
    page = opened(broken)
    letter = next(lane for lane in broken.get("/v1/boboyka/mirror")["lanes"] if lane["dead_letters"])["dead_letters"][0]
    expect(page.locator("#verdict")).to_contain_text("Supabase rejected")
    card = page.get_by_role("article", name=letter["record_type"])
    card.locator("summary").click()
    expect(card).to_contain_text(letter["message"])
    # What the page learns every two seconds must not close what a person opened.
    card.get_by_role("button", name=f"Open record {letter['seq']}").click()
    dialog = page.locator("#record")
    expect(dialog).to_contain_text(f"Supabase's answer ({letter['code']})")
    expect(dialog).to_contain_text(letter["record_hash"])
    shot(page, "dead-letter")
    page.keyboard.press("Escape")
    card.get_by_role("button", name="again").click()
    expect(card).to_contain_text("rejected again.")


def test_the_migration_names_the_gates_that_are_closed(sidecar, broken, opened):
    page = opened(broken)
    gates = page.locator(".gates li")
    expect(gates.filter(has_text="No dead letters")).to_contain_text("closed")
    expect(gates.filter(has_text="Supabase is configured")).to_contain_text("open")
    expect(page.locator(".steps li[aria-current]")).to_contain_text("Dual write")
    page = opened(sidecar)
    expect(page.locator(".gates li").filter(has_text="Supabase is configured")).to_contain_text("closed")


def test_legacy_projects_and_a_legal_hold_are_told(sidecar, opened):
    status = sidecar.get("/v1/boboyka/status")
    told = "Phase 3 — cut over (SapixDB, and legacy projects on Supabase too)"
    status |= {"integration_phase": told, "dual_write_enabled": False, "legacy_projects": 2}
    status["retention"]["hold"] = True
    for lane in status["mirror"]:
        lane["backlog"] = 0

    def tell(route):
        route.fulfill(json=status)

    page = opened(sidecar, before=lambda page: page.route("**/v1/boboyka/status", tell))
    migration = page.locator("#migration-body")
    expect(migration).to_contain_text("New records of 2 legacy projects are still mirrored to Supabase.")
    expect(page.locator(".steps li[aria-current]")).to_contain_text("Cut over")
    expect(page.locator("#tiles")).to_contain_text("everything is mirrored")
    expect(page.locator("#verdict")).to_contain_text("A legal hold keeps every record")
    status["legacy_projects"] = 0
    expect(page.locator("#tiles")).to_contain_text("new records are not mirrored")
    expect(migration).not_to_contain_text("legacy projects are still mirrored")


def test_a_check_of_the_chain_ends_with_its_verdict(sidecar, broken, opened, shot):
    page = opened(sidecar)
    page.get_by_role("button", name="Check the chain").click()
    expect(page.locator("#check")).to_contain_text("The chain is intact")
    page = opened(broken)
    page.get_by_role("button", name="Check the chain").click()
    expect(page.locator("#check")).to_contain_text("The chain is broken")
    expect(page.get_by_role("button", name="Check the chain")).to_be_visible()
    expect(page.locator("#verdict")).to_contain_text("The chain is broken")
    expect(page.locator(".gates li").filter(has_text="The strand is intact")).to_contain_text("closed")
    shot(page, "broken-strand")


def test_the_charts_say_their_figures_in_words(sidecar, opened):
    page = opened(sidecar)
    sidecar.ingest("audit_log", {"agent_id": unique(), "event": "chart"})
    charts = page.locator("#charts svg")
    expect(charts).to_have_count(3)
    expect(charts.first).to_have_attribute(
        "aria-label", re.compile(r"Records per second in the last hour: now [0-9.,]+, at most")
    )
    expect(charts.nth(1)).to_have_attribute("aria-label", re.compile("ms"))
    assert len(charts.first.locator(".line").get_attribute("d")) > 20


def test_a_sidecar_that_wants_a_key_gets_it_and_the_page_keeps_it_in_memory_only(keyed, opened, shot):
    page = opened(keyed)
    dialog = page.locator("#key")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("#verdict")).to_contain_text("the request has no key")
    expect(dialog).not_to_be_visible()
    page.get_by_role("button", name="Enter the API key").click()
    dialog.get_by_label("Key").fill("a-wrong-key")
    shot(page, "key")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("The sidecar rejected this key.")
    dialog.get_by_label("Key").fill(os.environ["PANEL_KEY"])
    page.keyboard.press("Enter")
    expect(page.locator("#verdict")).to_have_text("All is well.")
    ready(page)
    page.get_by_role("button", name="Append the record").click()
    expect(page.locator("#try .answer")).to_contain_text("Appended as record")
    expect(rows(page).first).to_be_visible()
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert os.environ["PANEL_KEY"] not in page.content() + page.url


def test_a_late_refusal_of_a_request_without_the_key_does_not_ask_for_it_again(keyed, opened):
    held = []

    def hold(route):
        held.append(route) if not held else route.continue_()

    page = opened(keyed, before=lambda page: page.route("**/v1/boboyka/last-hour", hold))
    dialog = page.locator("#key")
    dialog.get_by_label("Key").fill(os.environ["PANEL_KEY"])
    page.keyboard.press("Enter")
    ready(page)
    # Its answer is a refusal, because it was sent without the key; the page sends it again with the key.
    with page.expect_response(lambda it: it.url.endswith("/last-hour") and it.status == 200):
        held[0].continue_()
    expect(dialog).not_to_be_visible()


def test_a_phone_shows_everything_without_sideways_scrolling(sidecar, broken, opened):
    for each in [sidecar, broken]:
        page = opened(each, viewport=PHONE)
        expect(rows(page).first).to_be_visible()
        wide = "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll')).map((e) => e.outerHTML.slice(0, 80))"
        assert page.evaluate(wide) == []
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
