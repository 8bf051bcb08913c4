from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenladder.filters.source_code.comments import SYNTAX, comment_characters
from tokenladder.filters.source_code.starcoder import MARKUP, SourceCode
from tokenladder.filters.text.buffers import optional_column, text_buffers

import naive

SIGNS = sorted({text for signs in SYNTAX.values() for sign in signs for text in (sign.opens, sign.closes) if text})
PIECES = [*SIGNS, "a", "é", "\U0001f642", "\\", "'a'", "\\n", "\n", "\r", "\r\n", " ", "\t", "(", ")", "r", "U", "x\n"]
SOURCE = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
MARKS = ["<", ">", "<!--", "-->", "<script", "</script", "<STYLE>", "</style>", "/", " ", "a", "é", "!", "--", "</"]
PAGE = st.lists(st.sampled_from(MARKS), max_size=20).map("".join)
BYTES = [
    "0x1f",
    "\\x1F",
    "ab",
    "12",
    "0x",
    ",",
    " ",
    "\u00a0",
    "\n",
    "_",
    "é",
    "g",
    "\\u12ab",
    "\\u12a",
    "\\",
    "x",
    "-",
]
RUNS = st.lists(
    st.sampled_from(BYTES) | st.sampled_from(["12 " * 7, "0xab," * 8, "\\xff" * 8, "\\u0041" * 8, "Ab+/=9\n" * 9]),
    max_size=12,
).map("".join)
EVERY_CATEGORY = st.text(max_size=80)
TEXT = SOURCE | PAGE | RUNS | EVERY_CATEGORY | st.just(" " * 40 + '<?xml version="1.0"?>')
LANGUAGE = st.none() | st.sampled_from([*SYNTAX, "JSON", "CSV", "Nonesuch"])
FAMILIES = st.builds(
    SourceCode,
    kinds=st.sampled_from([(), ("generated", "vendored")]),
    max_lines=st.integers(1, 4),
    max_line_length=st.integers(1, 40),
    max_mean_line_length=st.sampled_from([4.5, 20]),
    max_wide_line_length=st.integers(20, 60),
    min_alphabetic=st.sampled_from([0, 0.25]),
    max_encoded_run=st.integers(0, 70),
    max_encoded=st.sampled_from([0, 0.5, 1]),
    max_data_lines=st.integers(0, 3),
    min_visible=st.sampled_from([0, 0.2]),
    min_visible_characters=st.integers(0, 3),
    min_comments=st.sampled_from([0, 0.1]),
    max_comments=st.sampled_from([0.5, 1]),
    comment_languages=st.sampled_from([("Python", "Rust", "HTML"), ()]),
)


def rounded(row):
    return {name: float(np.float32(value)) if isinstance(value, float) else value for name, value in row.items()}


def batch(texts, languages=None, kinds=None):
    columns = {"text": texts, "file_type": languages, "kind": kinds}
    return pa.record_batch({name: pa.array(rows, pa.string()) for name, rows in columns.items() if rows is not None})


@given(
    st.lists(
        st.tuples(st.none() | TEXT, LANGUAGE, st.sampled_from([None, "plain", "generated", "vendored"])), max_size=6
    ),
    FAMILIES,
    st.integers(0, 2),
)
def test_decisions_and_figures_equal_the_slow_twin(rows, family, skipped):
    texts, languages, kinds = ([row[n] for row in rows] for n in range(3))
    scored = family.score(batch(texts, languages, kinds).slice(skipped))
    scored.validate(full=True)
    assert scored.schema == family.columns
    nothing = dict.fromkeys(family.columns.names)
    expected = [
        nothing if text is None else rounded(naive.source_code(text, language, kind, family))
        for text, language, kind in rows[skipped:]
    ]
    assert scored.to_pylist() == expected


@given(SOURCE, st.sampled_from(sorted(SYNTAX)))
def test_comments_equal_the_slow_twin_in_every_language(text, language):
    counts, known = comment_characters(text_buffers(pa.array([text])), [language])
    assert known.tolist() == [True]
    assert counts.tolist() == [sum(map(len, naive.comments(text, SYNTAX[language])))]


@given(RUNS)
@example("\\x48\\x31\\xc0\\x50\\x68\\x2f\\x2f\\x73\\x68")  # the first byte is not part of the match
@example("0x12, " * 9)
def test_encoded_runs_equal_the_published_patterns(text):
    row = SourceCode().score(batch([text])).to_pylist()[0]
    runs = naive.encoded_runs(text)
    assert row["longest_encoded"] == max(runs, default=0)
    assert row["encoded"] == np.float32(min(sum(runs) / len(text), 1) if text else 0)


@given(PAGE, st.sampled_from(MARKUP))
def test_visible_text_equals_the_slow_twin(page, language):
    visible = SourceCode().score(batch([page], [language]))["visible"].to_pylist()
    assert visible == [np.float32(len(naive.visible_text(page)) / len(page) if page else 0)]


@pytest.mark.parametrize(
    ("language", "text", "comments"),
    [
        ("Python", "x = '#'  # why\n", ["# why"]),
        ("Python", 'def f():\n    r"""Doc."""\n    return """no"""\n', ['"""Doc."""']),
        ("Python", 'f(\n    """no"""\n)\n', []),
        ("Python", '"""An end that never comes \\""" # ', ['"""An end that never comes \\""" # ']),
        ("C", 'int a; /* one\ntwo */ char *b = "//"; // three\nchar c = \'"\'; // four', None),
        ("C++", "auto n = 1'000'000; // digits", ["// digits"]),
        ("Rust", "fn f<'a>(x: &'a str) {} // lives /* not */\n/* a /* b */ c */", None),
        ("Shell", "echo ${#a} \"$#\" '#' a#b # said\n", ["# said"]),
        ("Go", "s := `// \\` // after", ["// after"]),
        ("JavaScript", "const s = `\n// no\n`; // yes", ["// yes"]),
        ("SQL", "select '--' -- why\n", ["-- why"]),
        ("Lua", "--[[ a\nb ]] x = [[ -- ]] -- c", ["--[[ a\nb ]]", "-- c"]),
        ("Haskell", "f' = g {- a {- b -} -} -- c", ["{- a {- b -} -}", "-- c"]),
        ("HTML", "<p><!-- a --></p>", ["<!-- a -->"]),
        ("YAML", "a: b#c # d", ["# d"]),
        ("TeX", "50 % of it\n", ["% of it"]),
        ("Emacs Lisp", '(a ";") ; é', ["; é"]),
    ],
)
def test_what_a_comment_is(language, text, comments):
    found = naive.comments(text, SYNTAX[language])
    if comments is not None:
        assert found == comments
    counts, _ = comment_characters(text_buffers(pa.array([text])), [language])
    assert counts.tolist() == [sum(map(len, found))]


CODE = "def area(width, height):\n    # of a rectangle\n    return width * height\n"
HEX = "".join(f"\\x{byte:02x}" for byte in range(256))
PAGE_TEXT = "<html><body><p>" + "A page that says something to a reader. " * 4 + "</p></body></html>"


@pytest.mark.parametrize(
    ("text", "language", "kind", "reason"),
    [
        (CODE, "Python", "plain", "pass"),
        (CODE, None, None, "pass"),
        (CODE, "Python", "generated", "generated"),
        (CODE, "Python", "minified", "minified"),
        (CODE, "Python", "vendored", "vendored"),
        ("a b\n" * 100_001, None, None, "too_many_lines"),
        (CODE + "# " + "word " * 200, "Python", None, "long_line"),
        (CODE + "# " + "word " * 200, "Markdown", None, "pass"),
        ("word " * 20_001, "Markdown", None, "long_line"),
        (("word " * 21 + "\n") * 9, "C", None, "long_lines"),
        (("word " * 21 + "\n") * 9, "HTML", None, "pass"),
        ("(1, 2, 3), " * 7 + "\n" + CODE[:10], "Python", None, "few_letters"),
        ("ab01 0102 0103 0405\n" * 9, "Assembly", None, "pass"),
        ("a = '" + "Qk1Ab0\n" * 150 + "'", "C", None, "encoded_run"),
        ('a = "' + HEX[:800] + '"\n' + "/* and some more words */\n" * 90, "C", None, "pass"),
        ("a = 'x' /* words */\n" + "\n".join(['"' + "Qk1Ab0" * 12 + '",'] * 9), "C", None, "encoded_data"),
        ("- key: value\n" * 513, "YAML", None, "long_data"),
        ("- key: value\n" * 513, "TOML", None, "pass"),
        (PAGE_TEXT, "HTML", None, "pass"),
        (PAGE_TEXT + "<script>" + "go(); " * 200 + "</script>", "HTML", None, "little_visible_text"),
        ("<p>Too little.</p>", "HTML", None, "little_visible_text"),
        ('<?xml version="1.0"?><a>words and more words</a>', "C#", None, "xml"),
        ('<?xml version="1.0"?><a>words and more words</a>', "XML", None, "pass"),
        ("é" * 43 + "\n" + "é" * 43 + '<?xml version="1.0"?>', "C#", None, "pass"),  # one character too late
        ("x = y\n" * 9, "Python", None, "few_comments"),
        ("x = y\n" * 9, "Go", None, "pass"),
        ("# nothing but words\n" * 9, "Python", None, "many_comments"),
    ],
)
def test_the_first_rule_that_fails_is_the_reason(text, language, kind, reason):
    assert SourceCode().score(batch([text], [language], [kind]))["reason"].to_pylist() == [reason]


def test_an_empty_batch_gives_an_empty_batch():
    family = SourceCode()
    assert family.score(batch([], [], [])) == pa.record_batch([[]] * 10, schema=family.columns)


def test_a_text_that_is_not_utf8_is_scored_without_reading_past_it():
    raw = pa.array([b"caf\xe9", b"# \xf0\x9f\x99", b"'\xc3", b"\\u12", b"<!-", b"'\\", b'"""'], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 7, raw.buffers())
    for language in ("Python", "Rust", "HTML"):
        scored = SourceCode().score(pa.record_batch({"text": broken, "file_type": [language] * 7}))
        assert scored["lines"].to_pylist() == [1] * 7
        assert scored["max_line_length"].to_pylist() == [4, 5, 2, 4, 3, 2, 3]


def test_columns_that_hold_no_strings_are_refused():
    with pytest.raises(ValueError, match="reads the column 'kind' as text, but it holds int64"):
        SourceCode().score(pa.record_batch({"text": ["a"], "kind": [1]}))
    assert optional_column(pa.record_batch({"text": ["a", "b"]}), "kind").to_pylist() == [None, None]


def test_texts_and_languages_must_be_as_many():
    with pytest.raises(ValueError, match="There are 1 texts, but 2 languages; give one for each text"):
        comment_characters(text_buffers(pa.array(["a"])), ["C", "C"])


def test_identity_names_all_that_the_output_depends_on():
    identity = SourceCode(max_lines=7).identity()
    assert identity["max_lines"] == 7
    assert identity["kinds"] == ["vendored", "generated", "minified"]
    assert {"type", "version", "unicode", "comment_languages"} < set(identity)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_alphabetic": 1.5}, r"code: min_alphabetic is a share from 0 to 1; it is 1\.5"),
        ({"max_encoded": float("nan")}, "code: max_encoded is a share from 0 to 1; it is nan"),
        ({"min_comments": 0.9}, r"min_comments must not be above max_comments; they are 0\.9 and 0\.8"),
        ({"max_lines": 0}, "code: max_lines must be above 0; it is 0"),
        ({"max_mean_line_length": -1.0}, r"code: max_mean_line_length must be above 0; it is -1\.0"),
        ({"max_encoded_run": -1}, "code: max_encoded_run must be at least 0; it is -1"),
        ({"kinds": ("pass",)}, "code: kinds holds 'pass'; a kind is not empty, and none of too_many_lines, .*, pass"),
        ({"kinds": ("",)}, "code: kinds holds ''; a kind is not empty"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SourceCode(**fields)
