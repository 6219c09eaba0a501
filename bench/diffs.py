"""Reading a diff of 5,000 lines in the browser, against a bare page with the same text, a plain element a line."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from playwright.sync_api import Page, sync_playwright

from bench.measure import Row, interleaved
from hyperhive.domain.approvals import Against
from tests.e2e.browser.conftest import CHROMIUM, PATIENCE
from tests.e2e.browser.proposals import at_once, huge
from tests.e2e.browser.serving import Served

LINES = 5_000
_ROUNDS = 5

_MEASURE = """async ([open, line, scroller, count]) => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const lines = () => document.querySelectorAll(line);
  const began = performance.now();
  document.querySelector(open).click();
  while (lines().length === 0) await painted();
  const first = performance.now() - began;
  for (let before = -1; before !== lines().length; await painted()) before = lines().length;
  while (lines().length < count) await painted();
  const box = document.querySelector(scroller);
  box.scrollTop = box.scrollHeight;
  lines()[lines().length - 1].scrollIntoView();
  await painted();
  return [first, performance.now() - began];
}"""

_BARE = """<!doctype html><title>bare</title><button>open</button>
<pre style="height: 600px; overflow: auto; white-space: pre-wrap"></pre>
<script>
document.querySelector("button").onclick = async () => {
  const text = await (await fetch("/text")).text();
  const all = document.createDocumentFragment();
  for (const line of text.split("\\n")) {
    const row = document.createElement("div");
    row.textContent = line;
    all.append(row);
  }
  document.querySelector("pre").append(all);
};
</script>"""


def rows() -> Iterator[Row]:
    """From the click to the first lines painted, and to the last line scrolled to."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        return
    hive = huge(LINES)
    (view,) = hive.snapshot().approvals
    text = at_once(hive.approval_diff(view.id, against=Against.RUNNING))
    with closing(Served(hive)) as served, _bare(text) as bare, sync_playwright() as playwright:
        served.start()
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        page.goto(served.entry())
        plain = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        for at, name in enumerate(("first lines painted", "last line painted")):
            ours, floor = interleaved(
                partial(_ours, page, served.url, at), partial(_plain, plain, bare, at), _ROUNDS
            )
            yield Row(f"a diff of {LINES} lines: {name}", ours, floor, "ms", "bare <pre> of <div>s")
        browser.close()


def _ours(page: Page, url: str, at: int) -> float:
    page.goto(url)
    page.locator(".card-toggle").wait_for()
    return _measured(page, at, ".card-toggle", ".diff .l", ".diff-files")


def _plain(page: Page, url: str, at: int) -> float:
    page.goto(url)
    return _measured(page, at, "button", "pre div", "pre")


def _measured(page: Page, at: int, *where: str) -> float:
    found: list[float] = page.evaluate(_MEASURE, [*where, LINES])
    return found[at]


@contextmanager
def _bare(text: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (text if self.path == "/text" else _BARE).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain" if self.path == "/text" else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
