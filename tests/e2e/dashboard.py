"""The operator's browser for tests outside its package: one page of the dashboard, open as long as the block."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.e2e.browser.conftest import CHROMIUM, PATIENCE, Watch
from tests.e2e.hive import RealHive


@contextmanager
def dashboard(real: RealHive, *, allowed: tuple[str, ...] = ()) -> Iterator[Page]:
    """The dashboard in real Chromium, logged in. Errors on its console, but those allowed, fail whoever opened it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on PATH")
    watch = Watch()
    watch.allowed = allowed
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        page.on("console", watch.console)
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.on("request", watch.request)
        page.goto(real.cli("open").strip())
        expect(page.locator("#link-text")).to_have_text("Connected", timeout=PATIENCE)
        yield page
        browser.close()
    watch.check()


def write(page: Page, text: str) -> None:
    """Write to the manager, as the operator does."""
    page.keyboard.press("m")
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Control+Enter")


def approval(page: Page) -> Locator:
    """The cards of approvals."""
    return page.locator('.card[data-kind="approval"]')
