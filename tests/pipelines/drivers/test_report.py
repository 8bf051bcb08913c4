"""The report as a page: hostile text stays text, nothing is asked for from the network, and its script works."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import http.server
import json
import re
import shutil
import subprocess
import threading

import little
import pytest

from tokenladder.data_cards.report import visible
from tokenladder.pipelines.drivers.report import NUMBERS, PAGE

PLANTED = (
    "</script><script>document.title='taken'</script>",
    "<img src=/planted onerror=\"document.title='taken'\">",
    "'\"><iframe src=/planted></iframe><link rel=stylesheet href=/planted>",
    "]]>--><style>@import url(/planted)</style>\u202e\u2028",
    "\x00\x1b[31m\u2066nul, escape and isolate",
    "W" * 3000,
    "\N{WOMAN}\u200d\N{PERSONAL COMPUTER} \N{ARABIC LETTER MEEM}\u200c\N{ARABIC LETTER ALEF}\u00a0{{ 7 * 7 }}",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A study whose documents' texts and names are all hostile."""
    folder = tmp_path_factory.mktemp("report")
    rows = little.corpus(9, 60, prefix="h", copies=4)
    for n, row in enumerate(rows):
        hostile = PLANTED[n % len(PLANTED)]
        row["id"] += f" {hostile}"
        row["text"] = f"{hostile}\n{row['text']}" if n < 60 else row["text"]
    study = little.write_study(
        folder,
        {"web": little.write_jsonl(folder / "web.jsonl", rows)},
        budgets=[5 * little.LENGTH, 15 * little.LENGTH],
        scores={"lengths": {"type": "lengths"}},
        recipes={"all": {}, "some": {"keep": [{"score": "lengths.words", "min": 30, "max": 80}]}},
        curricula={"easy": {"recipe": "all", "rung": 15 * little.LENGTH, "sort": "lengths.words"}},
    )
    return little.build(study, folder / "out")


@pytest.fixture(scope="module")
def page(built):
    return (built.out / PAGE).read_text()


class Reader(html.parser.HTMLParser):
    """Elements in their order, with what stands open at the end and what is closed wrongly."""

    EMPTY = frozenset(("meta", "link", "input", "br", "rect", "line", "polyline", "polygon"))

    def __init__(self):
        super().__init__()
        self.elements, self.open, self.wrong, self.texts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else None, data))


@pytest.fixture(scope="module")
def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def test_every_element_is_closed_and_ids_are_unique(read):
    assert (read.open, read.wrong) == ([], [])
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert sorted(ids) == sorted(set(ids))
    targets = {attributes["href"] for tag, attributes in read.elements if tag == "a"}
    assert targets <= {f"#{one}" for one in ids}


def test_nothing_is_fetched_and_only_our_own_code_may_run(read, page):
    for tag, attributes in read.elements:
        assert not {"src", "srcset", "style", "action", "data", "poster"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert [a["href"] for tag, a in read.elements if tag == "link"] == ["data:,"]
    assert [a.get("type") for tag, a in read.elements if tag == "script"] == ["application/json", None]
    policy = next(a["content"] for tag, a in read.elements if a.get("http-equiv") == "Content-Security-Policy")
    code = {tag: re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1] for tag in ("style", "script")}
    told = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert told.pop("default-src") == told.pop("base-uri") == told.pop("form-action") == "'none'"
    assert told.pop("img-src") == "data:"
    for tag, text in code.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert told.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert told == {}


def test_hostile_text_is_only_text(read, built):
    assert sum(tag in {"iframe", "img", "object", "embed"} for tag, _ in read.elements) == 0
    data = json.loads(next(text for tag, text in read.texts if tag == "script"))
    texts = [sample["text"] for sample in data["samples"]]
    assert all(any(visible(planted)[:200] in text for text in texts) for planted in PLANTED)
    assert not {"\u202e", "\u2066", "\x00", "\x1b"} & set().union(*texts, *(one["name"] for one in data["samples"]))
    assert "\u202e" in (built.out / NUMBERS).read_text()


def test_every_chart_has_words_or_a_table(read):
    for tag, attributes in read.elements:
        if tag == "svg":
            assert ("aria-label" in attributes) != ("aria-hidden" in attributes)
    for tag, attributes in read.elements:
        if tag == "th":
            assert attributes["scope"] in {"col", "row"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium on PATH")
def test_in_a_browser(built, tmp_path):
    asked: list[str] = []
    handler = type("Handler", (Quiet,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: handler(*a, directory=str(built.out))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        flags += ["--disable-component-update", "--enable-logging=stderr", f"--user-data-dir={tmp_path}"]
        address = f"http://127.0.0.1:{server.server_port}/{PAGE}"
        shown = subprocess.run(
            ["chromium", *flags, "--window-size=320,900", "--virtual-time-budget=2000", "--dump-dom", address],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        server.shutdown()
    assert asked == [f"/{PAGE}"]
    assert "CONSOLE" not in shown.stderr
    reader = Reader()
    reader.feed(shown.stdout)
    titles = [text for tag, text in reader.texts if tag == "title"]
    assert titles == ["little: report"]
    told = [text for tag, text in reader.texts if tag == "output"]
    kept = re.fullmatch(r"At least 30: (\d+) documents pass all rules \(as it is now\), .* tokens\.", told[0])
    ledger = built.ledger("some")
    assert int(kept[1]) == sum(row["outcome"] in {"kept", "over_budget", "duplicate"} for row in ledger)
    assert told[1].startswith(f"At most 80: {kept[1]} documents")
    names = [text for tag, text in reader.texts if tag == "h3"]
    assert any(PLANTED[0] in name for name in names)
    counted = next(text for _, text in reader.texts if "samples;" in text)
    assert re.fullmatch(r"\d+ of \d+ samples; 20 shown", counted)


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium on PATH")
def test_an_audit_finds_nothing(built, root, monkeypatch):
    for name in ("playwright", "axe_playwright_python"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'tokenladder[pages]'")
    monkeypatch.syspath_prepend(root / "bench")
    import report_page

    with report_page.browser(shutil.which("chromium")) as running:
        with report_page.opened(running, built.out / PAGE, "dark", 320) as (view, said):
            assert report_page.audit(view) == []
            assert said == []
        with report_page.opened(running, built.out / PAGE, "light", 1600) as (view, said):
            met = report_page.stops(view)
            assert report_page.keyboard(met) == []
            assert {"a", "summary", "input", "button", "select"} <= {stop["tag"] for stop in met}
            # What is wrong is found: a button that says nothing, and a picture too wide, with no words.
            view.evaluate(
                "() => { document.querySelector('.more').insertAdjacentHTML('afterend', "
                "'<button></button><svg role=img width=3000 height=9></svg>'); }"
            )
            names = {one.split()[1] for one in report_page.audit(view)}
    assert {"button-name", "page", "svg-img-alt"} <= names <= {"button-name", "page", "svg-img-alt", "target-size"}


def test_weights_that_change_are_drawn_as_they_change():
    from tokenladder.data_cards.report_views import mixture

    rung = {"name": "1", "tokens": 40, "sequences": 4, "strata": {}}
    rung["strata"] = {name: {"tokens": 20, "sequences": 2} for name in ("a", "b")}
    half = {"weight": 1 << 31, "of": 1 << 32}
    bends = [(1, 1.0), (2, 0.5)]
    course = [{"sequences": n, "weights": {"a": share * 2**32, "b": (1 - share) * 2**32}} for n, share in bends]
    recipe = {"strata": {"a": half, "b": half}, "rungs": [rung], "checkpoints": [[1, 1]], "course": course}
    told = mixture(recipe, ["a", "b"], 12)
    assert (told["places"], told["along"]) == ([0, 0.25, 0.5, 1], [[1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5]])
    steady = mixture({**recipe, "course": []}, ["a", "b"], 12)
    assert (steady["places"], steady["along"]) == ([0, 0.5, 1], [[0.5, 0.5]] * 3)
    shown = mixture(recipe, ["a", "b"], 1)
    assert (shown["strata"], shown["weights"]) == (["a", "1 smaller ones"], [0.5, 0.5])


def test_a_stratum_has_the_same_colour_in_every_recipe():
    from tokenladder.data_cards.report_views import mixture, strata

    def recipe(**weights):
        tokens = {name: {"tokens": 10 * weight, "sequences": weight} for name, weight in weights.items()}
        total = sum(weights.values())
        rung = {"name": "1", "tokens": 10 * total, "sequences": total, "strata": tokens}
        return {"strata": {name: {"weight": n, "of": total} for name, n in weights.items()}, "rungs": [rung]}

    recipes = {"most-code": recipe(a=1, b=3), "most-web": recipe(a=2, b=2), "other": recipe(c=4)}
    names = strata({"recipes": recipes})
    assert names == ["c", "b", "a"]
    told = {name: mixture(one, names, 2) for name, one in recipes.items()}
    assert {tuple(one["strata"]) for one in told.values()} == {("c", "b", "1 smaller ones")}
    assert [one["rungs"][0]["shares"] for one in told.values()] == [[0, 0.75, 0.25], [0, 0.5, 0.5], [1, 0, 0]]
