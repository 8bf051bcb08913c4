"""The quickstart's corpus: the same bytes each time, a true WARC, hostile docstrings harmless, nothing imported."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import io
import itertools
import re
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.extract.html2text import extract_plain_text

from tokenladder.pipelines.quickstart import corpus as quickstart
from tokenladder.pipelines.quickstart import crawl as quickstart_crawl
from tokenladder.pipelines.quickstart import pages as quickstart_pages

HOSTILE = '''"""<script>alert(1)</script> & <img src=x onerror=alert(2)>

[click](javascript:alert(3)) [here](https://a.example/"onmouseover="alert(4)) ``<b>`` *x*\\ud800\\x00

Args:
    - "><svg onload=alert(5)>
"""
import pathlib
pathlib.Path(__file__).with_suffix(".imported").touch()
raise SystemExit("imported")
'''
TAGS = {"p", "h2", "h3", "ul", "li", "a", "code", "pre", "em", "strong", "section", "blockquote"}


class Tags(html.parser.HTMLParser):
    """Collects the tags of a page, with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def package(folder: Path, name: str, sources: dict[str, str]) -> quickstart.Package:
    for file, text in sources.items():
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    files = tuple((file, str(folder / name / file)) for file in sorted(sources))
    return quickstart.Package(name, "1.0", files, f"# {name}\n\n{module(2000)}")


def module(number: int) -> str:
    """A module that says something of its own in some 60 sentences."""
    lines = "\n\n".join(
        f"Sentence {n} of module {number} says {number * 7919 + n * 31} times what it means." for n in range(60)
    )
    return f'"""Module {number}.\n\n{lines}\n"""\n\n\ndef run(count: int = {number}) -> None:\n    """Run it."""\n'


@pytest.fixture
def packages(tmp_path: Path) -> list[quickstart.Package]:
    shop = {f"shop/m{number:03}.py": module(number) for number in range(240)}
    return [
        package(tmp_path / "site", "shop", {**shop, "LICENSE": module(1000), "shop/data.toml": "a = 1\n"}),
        package(
            tmp_path / "site", "trap", {"trap/hostile.py": HOSTILE, "trap/broken.py": "def (:\n", "trap/nul.py": "\0"}
        ),
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_same_bytes_with_any_number_of_workers(tmp_path: Path, packages: list[quickstart.Package]) -> None:
    limits = quickstart.Limits(crawl=400_000)
    one = quickstart.make_corpus(tmp_path / "one", packages=packages, limits=limits, workers=1)
    two = quickstart.make_corpus(tmp_path / "two", packages=packages, limits=limits, workers=2)
    assert len(one.crawls) == 3
    assert contents(one.folder) == contents(two.folder)
    assert (tmp_path / "one/code/shop/shop/m007.py").read_text() == module(7)
    assert one.files == 245
    assert one.crawl_bytes == sum(path.stat().st_size for path in one.crawls)
    assert one.packages == ("shop 1.0", "trap 1.0")


def test_a_finished_corpus_is_kept(tmp_path: Path, packages: list[quickstart.Package]) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / ".corpus.partial").mkdir()
    (tmp_path / ".corpus.partial" / "left over").touch()
    first = quickstart.make_corpus(tmp_path / "corpus", packages=packages, workers=1)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    assert quickstart.make_corpus(tmp_path / "corpus", packages=[], workers=1) == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "site"]


def test_records_are_whole_and_digests_right(tmp_path: Path, packages: list[quickstart.Package]) -> None:
    corpus = quickstart.make_corpus(tmp_path / "corpus", packages=packages, workers=1)
    kinds, identities, last, fetched = [], set(), "", 0
    for path in corpus.crawls:
        for record in ArchiveIterator(io.BytesIO(path.read_bytes()), parse_http=False):
            kind = record.headers["WARC-Type"]
            kinds.append(kind)
            identities.add(record.headers["WARC-Record-ID"])
            assert record.verify_block_digest()
            if kind == "request":
                assert record.headers["WARC-Concurrent-To"] == last
            if kind in ("response", "revisit"):
                last = record.headers["WARC-Record-ID"]
                fetched += 1
            if kind != "response":
                continue
            assert record.headers["Content-Type"] == "application/http;msgtype=response"
            record.parse_http()
            body = record.reader.read()
            digest = base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()
            assert record.headers["WARC-Payload-Digest"] == f"sha1:{digest}"
            assert int(record.http_headers["Content-Length"]) == len(body)
            assert record.headers["WARC-Identified-Payload-Type"] == record.http_content_type
    assert len(identities) == len(kinds)
    assert fetched == corpus.pages == kinds.count("request")
    assert set(kinds) == {"warcinfo", "response", "request", "revisit", "metadata"}
    assert kinds[0] == "warcinfo"


def test_a_revisit_names_what_it_repeats() -> None:
    fetches = [
        quickstart_crawl.Fetch("https://a.example/", b"<p>one"),
        quickstart_crawl.Fetch("https://a.example/", b"<p>one", revisit_of=0),
    ]
    records = ArchiveIterator(io.BytesIO(quickstart_crawl.warc("a", fetches)), parse_http=False)
    response, revisit = (record.headers for record in records if record.headers["WARC-Type"] in ("response", "revisit"))
    assert revisit["WARC-Refers-To"] == response["WARC-Record-ID"]
    assert revisit["WARC-Refers-To-Date"] == response["WARC-Date"]
    assert revisit["WARC-Payload-Digest"] == response["WARC-Payload-Digest"]
    assert revisit["WARC-Profile"] == "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"


def test_near_duplicates_copies_redirects_and_errors_occur(tmp_path: Path, packages: list[quickstart.Package]) -> None:
    corpus = quickstart.make_corpus(tmp_path / "corpus", packages=packages, workers=1)
    texts: dict[str, str] = {}
    statuses = set()
    for path in corpus.crawls:
        for record in ArchiveIterator(io.BytesIO(path.read_bytes())):
            if record.headers["WARC-Type"] == "response":
                statuses.add((record.http_headers.status_code, record.http_content_type))
                if record.http_headers.status_code == 200 and record.http_content_type == "text/html":
                    texts[record.headers["WARC-Target-URI"]] = extract_plain_text(
                        record.reader.read().decode(), main_content=True
                    )
    assert statuses >= {(200, "text/html"), (200, "application/pdf"), (302, "text/html")}
    assert all(extracted for extracted in texts.values())
    assert not any("cookies" in extracted for extracted in texts.values())  # furniture is for the extractor to remove
    forms = {
        "print": r"\?print=1$",
        "mirror": r"^https://mirror\.",
        "archive": r"^https://archive\.",
        "copy": "^http://",
    }
    for form, pattern in forms.items():
        found = [address for address in texts if re.search(pattern, address)]
        assert found, form
        for address in found:
            original = re.sub(r"^https://(mirror|archive)\.example/", "https://", address.removesuffix("?print=1"))
            original = original.replace("http://", "https://")
            assert jaccard(texts[address], texts[original]) > 0.8
            assert form != "copy" or texts[address] == texts[original]
            assert form != "mirror" or texts[address] != texts[original]


def jaccard(one: str, other: str) -> float:
    """Similarity of two texts' sets of five words."""
    a, b = (set(zip(*(text.split()[n:] for n in range(5)), strict=False)) for text in (one, other))
    return len(a & b) / len(a | b)


def test_nothing_is_imported(tmp_path: Path, packages: list[quickstart.Package]) -> None:
    library = next(found for found in quickstart.installed_packages() if found.name == "python")
    jokes = tuple(
        (name, path) for name, path in library.files if name in ("antigravity.py", "this.py", "json/__init__.py")
    )
    assert jokes
    packages.append(quickstart.Package("python", library.version, jokes))
    quickstart.make_corpus(tmp_path / "first", packages=packages, workers=1)
    before = set(sys.modules)
    quickstart.make_corpus(tmp_path / "corpus", packages=packages, workers=1)
    assert set(sys.modules) == before
    assert not {"antigravity", "this", "shop", "trap"} & before
    assert not list(tmp_path.rglob("*.imported"))


def test_hostile_docstrings_are_text(tmp_path: Path, packages: list[quickstart.Package]) -> None:
    corpus = quickstart.make_corpus(tmp_path / "corpus", packages=packages[1:], workers=1)
    records = ArchiveIterator(io.BytesIO(corpus.crawls[0].read_bytes()))
    bodies = [record.reader.read() for record in records if record.headers["WARC-Type"] == "response"]
    pages = [body.decode() for body in bodies if not body.startswith(b"%PDF")]
    page = Tags(next(page for page in pages if "trap.hostile" in page))
    assert [tag for tag, _ in page.tags if tag in ("script", "img", "svg")] == ["script"]  # the site's own
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [href for _, attributes in page.tags if (href := attributes.get("href")) and "javascript" in href]
    assert "<script>alert(1)</script> & <img src=x onerror=alert(2)>" in page.text


MARKUP = ["*", "**", "`", "``", "[a](https://b.example/", ")", "-", ">>>", "::", "```", "====", "<script>", "Args:"]
MARKUP += ["&lt;", "'", '"', "\n", "\n\n", "    ", ".. note::", "# ", " on=x "]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(MARKUP), st.text(max_size=8)), max_size=30).map("".join))
def test_rendered_text_holds_only_our_tags(text: str) -> None:
    page = Tags(quickstart_pages.render(text))
    assert {tag for tag, _ in page.tags} <= TAGS
    for tag, attributes in page.tags:
        assert set(attributes) <= ({"href"} if tag == "a" else set())
        assert all(value and value.startswith("https://b.example/") for value in attributes.values())


def test_rendering_of_the_usual_styles() -> None:
    text = (
        "Sum things.\n\nSee `json` and :func:`math.fsum`::\n\n    total = 1 < 2\n\n"
        "Parameters\n----------\nx : int\n    The *first*.\n\nReturns:\n    Something.\n\n"
        "* one\n  more\n* two\n\n.. note:: Slow."
    )
    assert quickstart_pages.render(text) == (
        "<p>Sum things.</p>\n<p>See <code>json</code> and <code>math.fsum</code></p>\n"
        "<pre><code>total = 1 &lt; 2</code></pre>\n<h3>Parameters</h3>\n<p>x : int</p>\n"
        "<blockquote><p>The <em>first</em>.</p></blockquote>\n<h3>Returns</h3>\n"
        "<blockquote><p>Something.</p></blockquote>\n"
        "<ul><li>one\nmore</li>\n<li>two</li></ul>\n<p>Note: Slow.</p>"
    )


def test_pages_of_a_module() -> None:
    source = (
        '"Top."\nclass A(B):\n    "A class."\n    def f(self, x=1):\n        "A method."\n'
        '    def _g(self):\n        "Hidden."\n'
        'if True:\n    def long():\n        """' + "word " * 300 + '"""\n'
        "add_newdoc('numpy', 'array', (\"copy\", \"Copy it.\"))\n"
    )
    first, second = quickstart_pages.module_pages("m", source.encode())
    assert first.sections[1:4] == (
        '<section id="A"><h2>m.A<code>(B)</code></h2>\n<p>A class.</p></section>',
        '<section id="A.f"><h2>m.A.f<code>(self, x=1)</code></h2>\n<p>A method.</p></section>',
        f'<section><h2><a href="m.long.html">m.long</a></h2>\n<p>{("word " * 300).strip()}</p></section>',
    )
    assert first.sections[4] == '<section id="array.copy"><h2>m.array.copy</h2>\n<p>Copy it.</p></section>'
    assert (second.path, second.title) == ("m.long.html", "function m.long")


def test_the_topics_of_the_language_reference_are_pages() -> None:
    pages = quickstart_pages.module_pages(
        "pydoc_data.topics", b"topics = {'lambda': 'Lambdas\\n*******\\n\\nAre *small*.'}"
    )
    topic = quickstart_pages.Page(
        "topic-lambda.html", "topic lambda", ("<h3>Lambdas</h3>\n<p>Are <em>small</em>.</p>",)
    )
    assert pages == [topic]


@pytest.mark.parametrize(
    "source", [b"def (:", b"\0", b"\xff", b"x = " + b"(" * 5000, b"def f(a=" + b"-" * 100_000 + b"1): 'f'"]
)
def test_sources_that_do_not_parse_give_no_page(source: bytes) -> None:
    assert quickstart_pages.module_pages("m", source) == []


def test_limits_hold_and_every_package_is_there(tmp_path: Path) -> None:
    many = [package(tmp_path, name, {f"{name}{n}.py": module(n) for n in range(40)}) for name in ("large", "other")]
    small = package(tmp_path, "small", {f"small{n}.py": module(n) for n in range(10)})
    limits = quickstart.Limits(package=100_000, total=120_000)
    corpus = quickstart.make_corpus(tmp_path / "corpus", packages=[*many, small], limits=limits, workers=1)
    sizes = {folder.name: sum(map(len, contents(folder).values())) for folder in corpus.code.iterdir()}
    assert sizes.keys() == {"large", "other", "small"}
    assert max(sizes.values()) <= 100_000
    assert 100_000 < corpus.code_bytes == sum(sizes.values()) <= 120_000


def test_what_is_installed() -> None:
    found = {package.name: package for package in quickstart.installed_packages()}
    assert {"python", "numpy", "pyarrow", "click", "pydantic"} <= found.keys()
    assert "tokenladder" not in found
    assert "json/decoder.py" in dict(found["python"].files)
    assert "Copyright" in Path(dict(found["click"].files)["LICENSE.txt"]).read_text(encoding="utf-8")
    names = [name for package in found.values() for name, _ in package.files]
    assert not [
        name for name in names if "__pycache__" in name or "/tests/" in name or name.startswith("site-packages")
    ]


def test_a_package_cannot_name_files_outside_its_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "site" / "evil-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Name: evil\nVersion: 1.0\nRequires-Dist: click>=8; extra == 'x'\nRequires-Dist: six\n\nHi."
    )
    for name in ("site/good.py", "up.py", "absolute.py"):
        (tmp_path / name).write_text('"Doc."\n')
    (info / "RECORD").write_text(f"good.py,,\n../up.py,,\n{tmp_path}/absolute.py,,\nmissing.py,,\n")
    (tmp_path / "site" / "front-1.0.dist-info").mkdir()
    (tmp_path / "site" / "front-1.0.dist-info" / "METADATA").write_text(
        "Name: front\nVersion: 1.0\nRequires-Dist: Evil>0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = {package.name: package for package in quickstart.installed_packages("front")}
    assert found["evil"].files == (("good.py", str(tmp_path / "site" / "good.py")),)
    assert found["evil"].description == "Hi."
    assert "click" not in found


def test_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").touch()
    with pytest.raises(FileExistsError, match=r"taken is not empty and holds no quickstart corpus: name a new folder"):
        quickstart.make_corpus(tmp_path / "taken", packages=[])
    with pytest.raises(ValueError, match=r"no source files with docstrings: nothing to make a corpus from"):
        quickstart.make_corpus(tmp_path / "new", packages=[], workers=1)
    with pytest.raises(ValueError, match=r"limit 'total' is 0: give at least 1 byte"):
        quickstart.Limits(total=0)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "nowhere"))
    with pytest.raises(OSError, match=r"No source files in .*nowhere: the quickstart reads Python's standard library"):
        quickstart.installed_packages()


def test_the_study_says_what_the_corpus_holds() -> None:
    study = tomllib.loads(quickstart.study_text())
    assert len(study["budgets"]) >= 4
    assert {name: source["path"] for name, source in study["sources"].items()} == {
        "web": "corpus/web/*.warc.gz",
        "code": "corpus/code",
    }
    assert list(study["recipes"]) == ["everything", "clean"]
    known = {*study["scores"], "kind", "bytes"}
    rules = itertools.chain.from_iterable(recipe.get("keep", []) for recipe in study["recipes"].values())
    assert {rule["score"].split(".")[0] for rule in rules} <= known
