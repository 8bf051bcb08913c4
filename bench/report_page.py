"""The report in a browser: time to its first view, and what an accessibility audit finds.

    python bench/report_page.py built/report.html                    a page that is there
    python bench/report_page.py --documents 1000000 --out bench-report    builds a study of so many first

Needs `pip install 'tokenladder[pages]'` (Playwright, which drives the browser, and axe-core, the audit) and Chromium on
PATH; nothing is fetched from anywhere. The page is opened from a file, in light and dark, 320 to 1,600 px wide, each
time in a fresh profile. It is printed

- how large it is, and the median time until something is seen (first contentful paint) and until all is loaded,
  as the browser's performance API tells them;
- what axe-core finds against WCAG 2.2 A and AA and its own best practices, errors on the console, requests, and
  whether the page is wider than the screen;
- what the keyboard meets: each stop of the Tab key must be visible, have a name, and show that it has the focus.

Exit status 1 if anything is found, or the page is over 5 MB, or its first view takes over 2 s.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import report_study

MOST_BYTES = 5_000_000
MOST_SECONDS = 2.0

WIDTHS = (320, 800, 1600)
SCHEMES = ("light", "dark")
STOPS = 400
"""Stops of the Tab key that are looked at."""

TIMES = """() => new Promise((resolve) => {
  const told = (list) => {
    const paint = list.getEntriesByName("first-contentful-paint")[0];
    const load = performance.getEntriesByType("navigation")[0].loadEventEnd;
    if (paint && load) resolve([paint.startTime / 1000, load / 1000]);
  };
  new PerformanceObserver(told).observe({ type: "paint", buffered: true });
})"""

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

STOP = """() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const box = node.getBoundingClientRect(), style = getComputedStyle(node);
  const labels = [...(node.labels || [])].map((label) => label.textContent);
  const name = [node.getAttribute("aria-label"), ...labels, node.textContent].find((text) => text && text.trim());
  return {
    tag: node.tagName.toLowerCase(),
    name: (name || "").trim().slice(0, 60),
    seen: box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0 && box.top < innerHeight,
    shown: node.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}"""


@contextmanager
def browser(chromium: str) -> Iterator[Any]:
    """Chromium without a window, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield running
        finally:
            running.close()


@contextmanager
def opened(running: Any, page: Path, scheme: str, width: int) -> Iterator[tuple[Any, list[str]]]:
    """A page in a fresh profile, and what it says on the console or asks for."""
    # The page's own policy forbids scripts from elsewhere; the audit is one.
    context = running.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    )
    said: list[str] = []
    view = context.new_page()
    view.on("console", lambda message: said.append(f"console: {message.text}"))
    view.on("pageerror", lambda error: said.append(f"error: {error}"))
    address = page.resolve().as_uri()
    view.on("request", lambda request: said.append(f"request: {request.url}") if asks(request.url, address) else None)
    try:
        view.goto(address)
        yield view, said
    finally:
        context.close()


def asks(url: str, address: str) -> bool:
    """Whether a request is for something else than the page itself."""
    return url != address and not url.startswith("data:")


def audit(view: Any) -> list[str]:
    """What axe-core finds on a page, and whether it is wider than the screen."""
    view.evaluate((resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    options = {"runOnly": RULES, "resultTypes": ["violations"]}
    found = view.evaluate("(options) => axe.run(document, options)", options)
    told = [
        f"axe {one['id']} ({one['impact']}), {len(one['nodes'])} times: {one['help']}: {one['nodes'][0]['html'][:100]}"
        for one in found["violations"]
    ]
    wider = view.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    return told + ([f"the page is {wider} px wider than the screen"] if wider > 0 else [])


def stops(view: Any) -> list[dict[str, Any]]:
    """Where the Tab key stops, from the beginning of the page."""
    found = []
    for _ in range(STOPS):
        view.keyboard.press("Tab")
        stop = view.evaluate(STOP)
        if stop is None:
            break
        found.append(stop)
    return found


def keyboard(found: list[dict[str, Any]]) -> list[str]:
    """What is wrong with stops of the Tab key."""
    told = []
    for n, stop in enumerate(found):
        wrong = [words for key, words in (("name", "has no name"), ("seen", "is not on the screen"),
                                          ("shown", "does not show the focus")) if not stop[key]]  # fmt: skip
        told += [f"stop {n} of the Tab key, {stop['tag']} {stop['name']!r}: {words}" for words in wrong]
    if not found or found[0]["tag"] != "a":
        told.append("the first stop of the Tab key is no link to the content")
    return told


def look(page: Path, chromium: str, rounds: int, pictures: Path | None = None) -> int:
    """Time and audit a page, and print what is found; how much is wrong."""
    wrong: list[str] = []
    times: list[list[float]] = []
    with browser(chromium) as running:
        for _ in range(rounds):
            with opened(running, page, "light", 1600) as (view, _said):
                times.append(view.evaluate(TIMES))
        for scheme in SCHEMES:
            for width in WIDTHS:
                with opened(running, page, scheme, width) as (view, said):
                    if pictures:
                        pictures.mkdir(parents=True, exist_ok=True)
                        view.screenshot(path=pictures / f"{scheme}-{width}.png", full_page=True, timeout=300_000)
                    found = audit(view)
                    wrong += [f"{scheme}, {width} px: {one}" for one in [*said, *found]]
        with opened(running, page, "light", 800) as (view, _said):
            found = stops(view)
            wrong += keyboard(found)
    size = page.stat().st_size
    first, load = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{page}: {size / 1e6:.2f} MB; first view {first:.2f} s, loaded {load:.2f} s (medians of {rounds})")
    print(f"{len(SCHEMES) * len(WIDTHS)} audits; {len(found)} stops of the Tab key; {len(wrong)} findings")
    if size > MOST_BYTES or first > MOST_SECONDS:
        wrong.append(f"over {MOST_BYTES / 1e6:.0f} MB or {MOST_SECONDS:.0f} s to the first view")
    print("".join(f"  {one}\n" for one in wrong), end="")
    return len(wrong)


def main() -> int:
    """Read the arguments, build if asked to, and look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, nargs="?", help="report.html of a result")
    parser.add_argument("--documents", type=int, default=1_000_000, help="documents of the study that is built")
    parser.add_argument("--out", type=Path, help="its folder; a temporary one by default")
    parser.add_argument("--rounds", type=int, default=5, help="views of which the median is told")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each view")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        parser.error("there is no chromium on PATH")
    if arguments.page:
        return 1 if look(arguments.page, chromium, arguments.rounds, arguments.pictures) else 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        study = report_study.write_study(folder / "input", arguments.documents)
        command = [sys.executable, "-m", "tokenladder", "build", str(study), "--out", str(folder / "built"), "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return 1 if look(folder / "built" / "report.html", chromium, arguments.rounds, arguments.pictures) else 0


if __name__ == "__main__":
    sys.exit(main())
