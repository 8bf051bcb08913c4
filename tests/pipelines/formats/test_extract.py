"""HTML to text: character encodings, depth, extractors."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.formats import extract as module
from tokenladder.pipelines.formats.extract import MAX_DEPTH, ExtractionError, check_depth, decode, extract

PAGE = (
    "<html><head><title>T</title><style>p{}</style></head><body><nav><a href='/'>Home</a></nav><main><h1>Title</h1>"
    "<p>First paragraph, long enough to count.</p><p>Second one.</p><img alt='no words of the page'>"
    "<script>var x = '<div>';</script></main><footer>Imprint</footer></body></html>"
)


def test_main_content_in_paragraphs():
    assert extract(PAGE.encode()) == "Title\n\nFirst paragraph, long enough to count.\n\nSecond one."


def test_none_gives_the_page_itself():
    assert extract(PAGE.encode(), extractor="none") == PAGE


def test_trafilatura():
    text = extract(PAGE.encode(), extractor="trafilatura")
    assert "First paragraph, long enough to count." in text
    assert "Imprint" not in text


def test_trafilatura_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    message = r"trafilatura is not installed\. Run: pip install 'tokenladder\[trafilatura\]'"
    with pytest.raises(UserError, match=message):
        extract(PAGE.encode(), extractor="trafilatura")


def test_trafilatura_is_not_imported_without_need():
    code = "import sys, tokenladder.pipelines.formats.extract; sys.exit('trafilatura' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("Grüße, Ωμέγα".encode(), None),
        ("Grüße, Ωμέγα".encode(), "iso-8859-1"),  # a wrong declaration
        ("Grüße, Ωμέγα".encode("utf-16"), None),
        (b"\xef\xbb\xbf" + "Grüße, Ωμέγα".encode(), "windows-1251"),
        ("Grüße, Ωμέγα".encode("utf-16-le"), "utf-16le"),
    ],
)
def test_utf_encodings(data, charset):
    assert decode(data, charset) == "Grüße, Ωμέγα"


def test_header_then_meta_then_detection():
    russian = "<meta charset=windows-1251><p>Привет, мир. Это русский текст, и его довольно много.</p>"  # noqa: RUF001 Cyrillic
    assert decode(russian.encode("koi8-r"), "koi8-r") == russian
    assert decode(russian.encode("cp1251")) == russian
    bare = "Привет, мир. Это русский текст, и его довольно много, чтобы узнать кодировку. " * 5  # noqa: RUF001 Cyrillic
    assert decode(bare.encode("koi8-r")) == bare
    assert decode("日本語のテキスト".encode("iso2022_jp"), "iso-2022-jp") == "日本語のテキスト"
    assert decode(bare.encode("cp1251"), "no such charset") == bare


def test_broken_bytes_in_utf8_do_not_change_the_encoding():
    text = "Grüße " * 200
    assert decode(text.encode() + b"\xff", "utf-8") == text + "\N{REPLACEMENT CHARACTER}"


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "utf-16", "latin1", "shift_jis", "hex", "", "\0"]))
def test_decoding_never_fails(data, charset):
    decode(data, charset).encode()


@given(st.lists(st.sampled_from(["<p>", "<div>", "</div>", "text ", "<b", "<!--", "&#0;", "<script>", "\0", "é"])))
def test_extraction_gives_valid_text(pieces):
    extract("".join(pieces).encode()).encode()


@pytest.mark.parametrize("tag", [b"<div>", b"<span class=x>", b"<DIV/>", b"<table><tr><td>", b"<ul><li>", b"<x-y>"])
@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_deep_pages_are_refused_at_once(tag, extractor):
    began = time.process_time()
    with pytest.raises(ExtractionError, match=f"^nested deeper than {MAX_DEPTH}$"):
        extract(tag * 100_000 + b"deep", extractor=extractor)
    assert time.process_time() - began < 2


def test_deep_pages_in_utf16_are_refused():
    with pytest.raises(ExtractionError):
        extract(("<div>" * 5000).encode("utf-16"))


@pytest.mark.parametrize(
    "flat",
    [
        b"<p>x<br>" * 5000,
        b"<div>x</div>" * 5000,
        b"<table>" + b"<tr><td>x" * 5000 + b"</table>",
        b"<svg>" + b"<path d='M0'/>" * 5000 + b"</svg>",
        b"<script>" + b"if (a<b) x('<div>');" * 5000 + b"</script>",
        b"<!--" + b"<div>" * 5000 + b"-->",
        b"<ul>" + b"<li>x" * 5000 + b"</ul>",
        b"<div>" * 900 + b"</div>" * 900,
    ],
)
def test_flat_pages_are_not_deep(flat):
    check_depth(flat)


@pytest.mark.parametrize("piece", [b"<!--", b"<script>", b"<", b"<a ", b"</", b"<script", b"<textarea x"])
def test_the_depth_check_is_linear(piece):
    began = time.process_time()
    with contextlib.suppress(ExtractionError):
        check_depth(piece * (4_000_000 // len(piece)))
    assert time.process_time() - began < 5


@given(st.lists(st.sampled_from([b"<a>", b"</a>", b"text", b"<"]), max_size=40))
def test_the_bound_is_never_under_the_depth(pieces):
    html = b"".join(pieces)
    depth = deepest = 0
    for piece in pieces:
        depth = max(0, depth + (piece == b"<a>") - (piece == b"</a>"))
        deepest = max(deepest, depth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_DEPTH", 0)
        assert deepest <= module._bound(html) <= html.count(b"<")
