"""Everybody can use the panel: axe-core finds nothing, in any state, scheme or size."""

import os
import pathlib

import pytest
from conftest import DESKTOP, PHONE
from playwright.sync_api import expect

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def findings(page):
    page.evaluate(pathlib.Path(os.environ["AXE"]).read_text() + ";undefined")
    result = page.evaluate("(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", RULES)
    assert len(result["passes"]) > 15, "axe looked at little"
    return [
        (found["id"], [node["html"][:200] + " " + node["failureSummary"] for node in found["nodes"]])
        for found in result["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(sidecar, broken, opened, shot, scheme, size):
    name = f"{scheme}-{'phone' if size == PHONE else 'desktop'}"
    page = opened(sidecar, viewport=size, scheme=scheme)
    expect(page.locator(".list .row").first).to_be_visible()
    expect(page.locator("#charts svg")).to_have_count(3)
    assert findings(page) == []
    shot(page, name)
    page.locator("#try-project_id").fill("")
    page.get_by_role("button", name="Append the record").click()
    expect(page.locator("#try-project_id-error")).not_to_be_empty()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Check the chain").click()
    expect(page.locator("#check")).to_contain_text("The chain is intact")
    assert findings(page) == []
    page.locator(".list .row").nth(1).click()
    expect(page.locator("#record pre")).to_be_visible()
    assert findings(page) == []
    shot(page, f"{name}-record")
    page = opened(broken, viewport=size, scheme=scheme)
    expect(page.locator("#lanes summary").first).to_be_visible()
    for summary in page.locator("#lanes summary").all():
        summary.click()
    page.get_by_role("button", name="Check the chain").click()
    expect(page.locator("#check")).to_contain_text("The chain is broken")
    assert findings(page) == []
    shot(page, f"{name}-broken")
