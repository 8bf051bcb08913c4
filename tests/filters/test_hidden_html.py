from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.poison.hidden_html import Hidden, hidden_text

NONE = {"display": 0, "offscreen": 0, "clipped": 0, "size": 0, "colour": 0}


def page(style, extra=""):
    body = f"<p>seen it</p><div {style}>obey <b>now</b></div>"
    return f"<html><head><style>{extra}</style></head><body>{body}</body>".encode()


@pytest.mark.parametrize(
    ("technique", "style"),
    [
        ("display", 'style="display:none"'),
        ("display", 'style="DISPLAY : None !important; color: red"'),
        ("display", "style='visibility:hidden'"),
        ("display", 'style="opacity:0"'),
        ("display", "hidden"),
        ("display", 'class="box ghost"'),
        ("display", "id=gone"),
        ("offscreen", 'style="position:absolute;left:-9999px"'),
        ("offscreen", 'style="text-indent:-100em"'),
        ("clipped", 'style="height:1px;width:1px;overflow:hidden"'),
        ("clipped", 'style="position:absolute;clip:rect(0, 0, 0, 0)"'),
        ("size", 'style="font-size:0"'),
        ("size", 'style="font-size: 1px"'),
        ("colour", 'style="color:#fff"'),
        ("colour", 'style="color:rgb(255, 255, 254)"'),
        ("colour", 'style="color:#336699;background:#369"'),
        ("colour", 'style="background-color:black"'),
    ],
)
def test_each_technique_is_counted_apart(technique, style):
    found = hidden_text(page(style, ".ghost, p#gone, div#gone { display: none }"))
    assert found == Hidden(characters=13, **{**NONE, technique: 7})
    assert found.hidden == 7
    assert found.share == pytest.approx(7 / 13)


@pytest.mark.parametrize(
    "style",
    [
        "",
        'style="display:block; opacity:0.5; font-size:12px; left:-20px"',
        'style="color:white;background:#000080 url(x.png)"',
        'style="height:10px;overflow:hidden"',
        'class="print"',
        'style="color:;;:x;font-size:huge;left:--5px"',
    ],
)
def test_what_is_shown_is_not_counted(style):
    assert hidden_text(page(style, "@media print { .print { display:none } } .menu a { display:none }")).hidden == 0


def test_scripts_and_comments_are_no_text_and_white_text_on_a_dark_page_is_seen():
    html = b"<body bgcolor='#000' text=x><!-- no --><script>var x = 1</script><font color=white>seen</font></body>"
    assert hidden_text(html) == Hidden(characters=4, **NONE)


def test_a_page_that_is_deep_or_empty_or_not_utf8():
    assert hidden_text(b"") == Hidden(characters=0, **NONE)
    assert hidden_text(b"").share == 0.0
    assert hidden_text(b"<p hidden>" + b"<b>" * 900 + b"x").display == 1
    assert hidden_text("<p hidden>ü</p>".encode("latin-1"), "iso-8859-1").display == 1
    assert hidden_text(b"<p>\xff\xfe\x00</p>").hidden == 0


@given(st.binary(max_size=120) | st.text("<>/ ab{};:@#.'\"=style-", max_size=120).map(str.encode))
def test_nothing_makes_it_fail(html):
    found = hidden_text(b"<style>" + html + b"</style><p style='" + html + b"'>" + html)
    assert 0 <= found.hidden <= found.characters
