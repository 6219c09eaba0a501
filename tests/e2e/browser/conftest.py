"""Fixtures for the browser: one Chromium for all tests, a fresh context each, a server for whatever hive they give.

The browser lives as long as the package, not the session: Playwright's loop stays in the thread for so long, and
tests elsewhere want theirs.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from hyperhive.hive import Hive
from tests.e2e.browser.serving import Served

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE = 30_000
"""Milliseconds for what is there at once on a machine that does nothing else."""
expect.set_options(timeout=PATIENCE)

HERE = Path(__file__).parent
AXE = HERE / "node_modules/axe-core/axe.min.js"


class Site(Protocol):
    """Where a hive is served. ``entry``: a link that logs in."""

    @property
    def url(self) -> str: ...
    def entry(self) -> str: ...


Serve = Callable[[Hive], Served]
Open = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on PATH")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        yield started
        started.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a hive: ``serve(hive)``; all of it ends with the test."""
    running: list[Served] = []

    def start(hive: Hive) -> Served:
        served = Served(hive)
        running.append(served)
        served.start()
        return served

    yield start
    for served in running:
        served.close()


@pytest.fixture(scope="package")
def axe() -> str:
    """The source of axe-core, as the lock file names it."""
    if not AXE.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("axe-core needs npm to be installed")
        done = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund"], cwd=HERE, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr[-2000:]
    return AXE.read_text()


class Watch:
    """What must not happen on a page: errors on the console, requests to elsewhere."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.allowed: tuple[str, ...] = ()

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def request(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.foreign.append(request.url)

    def check(self) -> None:
        """Raises when something did, besides what the test said it provokes."""
        left = [text for text in self.errors if not any(part in text for part in self.allowed)]
        assert left == [], left
        assert self.foreign == [], self.foreign


@pytest.fixture
def watch() -> Watch:
    """What the pages of this test did; say in ``allowed`` what the test provokes."""
    return Watch()


@pytest.fixture
def open_page(browser: Browser, watch: Watch) -> Iterator[Open]:
    """Logs in and opens a path: ``open_page(served, "/", width=1440, height=900, scheme="light")``."""
    contexts: list[BrowserContext] = []

    def open(
        served: Site, path: str = "/", *, width: int = 1440, height: int = 900, scheme: str = "light"
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            has_touch=width < 700,
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", watch.console)
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.on("request", watch.request)
        page.goto(served.entry())
        page.goto(served.url + path)
        return page

    yield open
    for context in contexts:
        context.close()
    watch.check()
