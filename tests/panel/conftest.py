"""A real Chromium, and the sidecars that the panel is looked at on; the caller starts them and names them in the
environment:

PANEL_URL         a sidecar without Supabase that takes records
PANEL_BROKEN_URL  a sidecar with a damaged segment, and with a lane whose table rejects records
PANEL_KEYED_URL   a sidecar that asks for the API key in PANEL_KEY
PANEL_SHOTS       a folder for screenshots; none are made without it
"""

import itertools
import json
import os
import pathlib
import urllib.request

import pytest
from playwright.sync_api import expect, sync_playwright

GUARD_MS = 60_000
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
NUMBERS = itertools.count()

expect.set_options(timeout=GUARD_MS)


def rows(page):
    return page.locator(".list .row")


def row_of(page, seq):
    return page.locator(f"#row-{seq}")


def ready(page):
    """Waits until the page follows the strand."""
    expect(page.locator("#link")).to_have_text("live")
    return page


def unique():
    return f"panel_{next(NUMBERS)}"


class Sidecar:
    """The API of a sidecar, as a program uses it."""

    def __init__(self, url):
        self.url = url

    def get(self, path):
        with urllib.request.urlopen(self.url + path) as answer:
            return json.load(answer)

    def ingest(self, record_type, data):
        return self.post("/v1/boboyka/ingest", {"record_type": record_type, "data": data})

    def post(self, path, body):
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def sidecar():
    return Sidecar(os.environ["PANEL_URL"])


@pytest.fixture(scope="session")
def broken():
    return Sidecar(os.environ["PANEL_BROKEN_URL"])


@pytest.fixture(scope="session")
def keyed():
    return Sidecar(os.environ["PANEL_KEYED_URL"])


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    fonts = tmp_path_factory.mktemp("fonts") / "fonts.conf"
    fonts.write_text(
        f"<fontconfig><dir>{os.environ['CHROMIUM_FONTS']}</dir><cachedir>{fonts.parent}</cachedir></fontconfig>"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": os.environ["CHROMIUM_LIBS"], "FONTCONFIG_FILE": str(fonts)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"], env=environment, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Watched:
    """What a page asked for and complained about."""

    def __init__(self, page):
        self.requests, self.complaints = [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.console(message))

    def console(self, message):
        # Chromium reports refusals of the API, which the panel shows, and lost connections like this.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)


@pytest.fixture
def opened(chromium):
    """Opens the panel of a sidecar. At the end, a page must have complained of nothing and asked nobody else."""
    contexts, seen = [], []

    def open_panel(sidecar, viewport=DESKTOP, scheme="light", before=None):
        context = chromium.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        context.set_default_timeout(GUARD_MS)
        page = context.new_page()
        seen.append((sidecar.url, Watched(page)))
        if before:
            before(page)
        page.goto(sidecar.url + "/")
        return page

    yield open_panel
    for context in contexts:
        context.close()
    for url, watched in seen:
        assert watched.complaints == []
        assert [each for each in watched.requests if not each.startswith(url + "/")] == []


@pytest.fixture
def shot():
    def take(page, name):
        if folder := os.environ.get("PANEL_SHOTS"):
            page.screenshot(path=pathlib.Path(folder) / f"{name}.png", full_page=True)

    return take
