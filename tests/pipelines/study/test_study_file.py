"""A study file: what a good one gives, and for every mistake its key, what was given and what would work."""

from __future__ import annotations

import re

import pytest

from tokenladder.pipelines.files import store
from tokenladder.pipelines.study.budgets import parse_count, short
from tokenladder.pipelines.study.file import StudyError, load, parse

GOOD = """
name = "good"
seed = 17
budgets = ["100K", "1M", 3000000]
sequence_length = 512
strata = ["source", "language"]
[held_out]
tokens = "10K"
keep = [{ score = "language", is = "en" }]
[tokenizer]
type = "bytes"
[sources.web]
format = "jsonl"
path = ["web/*.jsonl", "/else/where.jsonl"]
[sources.code]
format = "tree"
path = "s3://bucket/code/"
[scores.language]
type = "fasttext"
model = "lid.176.ftz"
[scores.gopher]
type = "gopher"
min_words = 10
[recipes.raw]
weights = { web = 0.8, code = 0.2 }
keep = [{ score = "gopher", is = "pass" }, { score = "language", in = ["en", "de"], min = 0.65, sources = ["web"] }]
repeat = 2
[recipes.top]
base = "raw"
keep = [{ score = "gopher.words", top = 0.1, by = "tokens" }, { score = "bytes", max = 1e6 }]
dedup = false
"""


def mistakes(text, path="/data/study.toml"):
    with pytest.raises(StudyError) as error:
        parse(text, path)
    count = len(error.value.mistakes)
    head = f"{path}: {count} mistake{'' if count == 1 else 's'}\n"
    assert str(error.value) == head + "\n".join(f"  {line}" for line in error.value.mistakes)
    return error.value.mistakes


def test_a_good_study():
    study = parse(GOOD, "/data/study.toml")
    assert study.settings.budgets == (100_000, 1_000_000, 3_000_000)
    assert study.rungs == {"100K": 100_000, "1M": 1_000_000, "3M": 3_000_000}
    assert study.sources["web"].path == ("/data/web/*.jsonl", "/else/where.jsonl")
    assert study.sources["code"].path == ("s3://bucket/code",)
    assert list(study.scores) == ["language", "gopher"]
    assert study.scores["gopher"].min_words == 10
    assert (study.folder, study.text) == ("/data", GOOD)
    top = study.recipe("top")
    assert (top.weights, top.repeat, top.dedup, top.base) == ({"web": 0.8, "code": 0.2}, 2, False, None)
    assert [str(rule) for rule in top.keep] == [
        "gopher is pass",
        "language in en, de and min 0.65 (web)",
        "gopher.words top 0.1 by tokens",
        "bytes max 1e+06",
    ]


def test_paths_of_a_study_in_an_object_store():
    text = GOOD.replace(
        'type = "fasttext"\nmodel = "lid.176.ftz"', 'type = "gopher"'
    )  # a model would be looked for there
    study = parse(text, "s3://studies/one/study.toml")
    assert study.sources["web"].path == ("s3://studies/one/web/*.jsonl", "/else/where.jsonl")


def test_all_mistakes_at_once():
    spoilt = {
        '"good"': '"no good"',
        "512": "4",
        '"jsonl"': '"json"',
        'base = "raw"': 'base = "row"',
        "min_words": "minwords",
        'type = "bytes"': 'type = "bites"',
        ', is = "en"': "",
    }
    text = GOOD
    for old, new in spoilt.items():
        assert old in text
        text = text.replace(old, new)
    found = mistakes(text)
    assert [line.split(":")[0] for line in found] == [
        "name",
        "sequence_length",
        "sources.web.format",
        "scores.gopher.minwords",
        "tokenizer.type",
        "held_out.keep[0]",
        "recipes.top.base",
    ]


CASES = [
    # the file as a whole
    ("seed = 17\nseed = 18", "seed = 17", "not a TOML file of strings, numbers, lists and tables: Cannot overwrite"),
    ("seed = 2001-01-01", "seed = 17", "not a TOML file of strings, .*: Object of type date is not JSON serializable"),
    ("seed = nan", "seed = 17", "not a TOML file of strings, numbers, lists and tables: Out of range float"),
    ("seed = " + "[" * 5000, "seed = 17", "not a TOML file of strings, numbers, lists and tables: "),
    # unknown and missing keys
    ("", 'name = "good"\n', 'name: missing. Write name = "…"'),
    ("", 'budgets = ["100K", "1M", 3000000]\n', r'budgets: missing. Write budgets = \["1M", "10M"\]'),
    ("", 'tokens = "10K"\n', 'held_out: give its size, as tokens = "1M" or as bytes = "4M"'),
    (
        "sequence_lengths = 512",
        "sequence_length = 512",
        "sequence_lengths: no such key, did you mean 'sequence_len",
    ),
    ("[score.language]", "[scores.language]", "score: no such key, did you mean 'scores'?"),
    ("wieghts = {", "weights = {", "recipes.raw.wieghts: no such key, did you mean 'weights'?"),
    ("mini = 0.65", "min = 0.65", r"recipes.raw.keep\[1\].mini: no such key, did you mean 'min'?"),
    ('patch = "s3', 'path = "s3', "sources.code.patch: no such key, did you mean 'path'?"),
    ("zebra = 10", "min_words = 10", "scores.gopher.zebra: no such key. Known: words, min_words, max_words, "),
    # types and ranges
    ('seed = "17"', "seed = 17", 'seed: Input should be a valid integer, given "17"'),
    ("seed = -1", "seed = 17", "seed: Input should be greater than or equal to 0, given -1"),
    ("repeat = 0", "repeat = 2", "recipes.raw.repeat: Input should be greater than or equal to 1, given 0"),
    ("dedup = 1", "dedup = false", "recipes.top.dedup: Input should be a valid boolean, given 1"),
    ("top = 1.5", "top = 0.1", r"recipes.top.keep\[0\].top: Input should be less than or equal to 1, given 1.5"),
    ('by = "words"', 'by = "tokens"', r"keep\[0\].by: Input should be 'documents' or 'tokens', given \"words\""),
    ('in = "en"', 'in = ["en", "de"]', r'recipes.raw.keep\[1\].in: Input should be a valid array, given "en"'),
    ("part_bytes = '3'\n[sources.code]", "[sources.code]", "sources.web.part_bytes: Input should be a valid integer"),
    ("max_document = 0\n[sources.code]", "[sources.code]", "sources.web: max_document is 0. Give bytes from 1 to"),
    # counts
    ('"1.00001K"', '"100K"', r'budgets\[0\]: not a positive whole number of tokens. Write "100M", "1.5B" or 250000'),
    ('"many"', '"100K"', r'budgets\[0\]: not a positive whole number of tokens. .*, given "many"'),
    ("0.5", "3000000", r'budgets\[2\]: not a count. Write a whole number or "100M", "1.5B", "3T", given 0.5'),
    ('"1M", "100K"', '"100K", "1M"', "budgets: 1M, 100K, 3M. List each once, smallest first"),
    ('"1M", "1M"', '"100K", "1M"', "budgets: 1M, 1M, 3M. List each once, smallest first"),
    ("300, ", '"100K", ', r"budgets\[0\]: 300 is less than one sequence of 512"),
    ('tokens = "511"', 'tokens = "10K"', "held_out.tokens: 511 is less than one sequence of 512"),
    # sections and names
    ("[sources]", None, "sources: missing. Add at least one \\[sources.NAME\\]"),
    ("[recipes]", None, "recipes: Dictionary should have at least 1 item"),
    ("scores = 3", None, "scores: not a table of tables. Write \\[scores.NAME\\] with its keys below it"),
    ("sources = [1]", None, "sources: not a table of tables. Write \\[sources.NAME\\] with its keys below it"),
    (
        '[recipes."../raw"]',
        "[recipes.raw]",
        r"recipes\.\"\.\./raw\": not a name\. Use letters, digits, '\.', '_'",
    ),
    ('[sources."a/b"]', "[sources.code]", 'sources."a/b": not a name. Use letters, digits'),
    ('[scores."a.b"]', "[scores.gopher]", 'scores."a.b": a dot stands before a column. Use another name for'),
    ('name = "good\\n"', 'name = "good"', 'name: not a name. Use letters, digits, .*, given "good'),
    (
        "[scores.source]",
        "[scores.gopher]",
        "scores.source: 'source' is a column that every document has. Choose ano",
    ),
    (
        "[recipes.held_out]",
        "[recipes.top]",
        "recipes.held_out: 'held_out' is the name of the held-out set. Choose an",
    ),
    # scores
    ('type = "gofer"', 'type = "gopher"', "scores.gopher.type: no score is of type 'gofer', did you mean 'gopher'?"),
    ("", 'type = "gopher"', "scores.gopher.type: missing. Known: "),
    ('type = ["gopher"]', 'type = "gopher"', r"scores.gopher.type: no score is of type \['gopher'\]"),
    ("min_words = -1", "min_words = 10", "scores.gopher: "),
    ('model = "gone.bin"', 'model = "lid.176.ftz"', "scores.language: .*gone.bin"),
    # the tokenizer
    (
        "",
        '[tokenizer]\ntype = "bytes"\n',
        "tokenizer.type: missing. Known: bytes, huggingface, sentencepiece, tik",
    ),
    ('type = ["a"]', 'type = "bytes"', r"tokenizer.type: no tokenizer is of type \['a'\]. Known: bytes, huggingface"),
    ('type = "byte"', 'type = "bytes"', "tokenizer.type: no tokenizer is of type 'byte', did you mean 'bytes'?"),
    ('type = "bytes"\nsize = 3', 'type = "bytes"', "tokenizer.size: no such key"),
    # rules
    ("", ', is = "en"', r"held_out.keep\[0\]: says nothing. Give at least one of is, in, min, max, top"),
    ("", 'score = "bytes", ', r'recipes.top.keep\[1\].score: missing. Write score = "…"'),
    ("min = 2, max = 1", "max = 1e6", r"recipes.top.keep\[1\]: min 2 is above max 1"),
    ('"lang", is', '"language", is', r"held_out.keep\[0\].score: there is no score 'lang', did you mean 'language'?"),
    (
        '"gopher.word"',
        '"gopher.words"',
        r"recipes.top.keep\[0\].score: gopher has no column 'word', did you mean 'wo",
    ),
    (
        'score = "gopher.words", is = "en"',
        'score = "language", is = "en"',
        "gopher.words holds a value. Test it with",
    ),
    ('score = "gopher.reason", top', 'score = "gopher.words", top', "gopher.reason holds a label. Test it with is, in"),
    (
        'score = "bytes", is = "3" }',
        'score = "bytes", max = 1e6 }',
        "'bytes' holds a value. Test it with min, max",
    ),
    ('score = "kind", max', 'score = "bytes", max', "'kind' holds a label. Test it with is, in"),
    ('sources = ["wab"]', 'sources = ["web"]', r"keep\[1\].sources: there is no source 'wab', did you mean 'web'?"),
    ("sources = 3", 'sources = ["web"]', r"recipes.raw.keep\[1\].sources: Input should be a valid array, given 3"),
    ("sources = [[1]]", 'sources = ["web"]', r"recipes.raw.keep\[1\].sources\[0\]: Input should be a valid string"),
    # recipes
    ('base = "top"', 'base = "raw"', "recipes.top.base: goes in a circle: top → top"),
    ('base = "row"', 'base = "raw"', "recipes.top.base: there is no recipe 'row', did you mean 'raw'?"),
    ("web = 0.8, code = 0.3", "web = 0.8, code = 0.2", "recipes.raw.weights: shares sum to 1.1. They must sum to 1"),
    ("wib = 0.8", "web = 0.8", "recipes.raw.weights.wib: there is no such source, did you mean 'web'?"),
    ("web = -0.8", "web = 0.8", "recipes.raw.weights.web: -0.8 is not a share. Write a number from 0 to 1"),
    ("web = true", "web = 0.8", "recipes.raw.weights.web: True is not a share. Write a number from 0 to 1"),
    # strata
    ('["language"]', '["source", "language"]', "strata: starts with 'language'. The first is always 'source'"),
    ('["source", "longuage"]', '["source", "language"]', r"strata\[1\]: there is no score 'longuage', did you mean"),
    ('["source", "gopher.words"]', '["source", "language"]', r"strata\[1\]: gopher.words holds a value. Test it with"),
]


@pytest.mark.parametrize(("new", "old", "message"), CASES, ids=[case[2][:60] for case in CASES])
def test_each_mistake_has_its_message(new, old, message):
    if old is None:  # a whole section is replaced
        section = new.strip("[]").split(" ")[0]
        kept, inside = [], False
        for line in GOOD.splitlines():
            inside = line.startswith(f"[{section}.") or (inside and not line.startswith("["))
            if not inside:
                kept.append(line)
        text = "\n".join([*kept, new] if new.startswith("[") else [new, *kept])
    else:
        assert GOOD.count(old) >= 1
        text = GOOD.replace(old, new, 1)
    found = mistakes(text)
    assert [line for line in found if re.search(message, line)], "\n".join(found)


def test_a_circle_is_told_for_each_of_its_recipes():
    more = '[recipes.a]\nbase = "b"\n[recipes.b]\nbase = "c"\n[recipes.c]\nbase = "b"\n'
    assert mistakes(GOOD + more) == [
        "recipes.a.base: goes in a circle: a → b → c → b",
        "recipes.b.base: goes in a circle: b → c → b",
        "recipes.c.base: goes in a circle: c → b → c",
    ]


def test_files_that_are_no_studies(tmp_path):
    with pytest.raises(store.UserError, match=r"none\.toml: there is no such study file\."):
        load(str(tmp_path / "none.toml"))
    with pytest.raises(store.UserError, match="cannot be read as a study file"):
        load(str(tmp_path))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(
        store.UserError, match=r"bytes\.toml: is not UTF-8, as a study file must be: .* Save it as UTF-8\."
    ):
        load(str(tmp_path / "bytes.toml"))
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(StudyError) as error:
        load(str(tmp_path / "empty.toml"))
    keys = [line.split(":")[0] for line in error.value.mistakes]
    assert keys == ["name", "budgets", "recipes", "sources", "tokenizer.type"]


def test_a_model_beside_the_study_file(tmp_path):
    (tmp_path / "study.toml").write_text(GOOD.replace("lid.176.ftz", "mine.ftz"))
    (tmp_path / "mine.ftz").write_bytes(b"no model")
    with pytest.raises(StudyError, match=r"scores\.language: .*mine\.ftz"):
        load(str(tmp_path / "study.toml"))


def test_lists_beside_the_study_file(tmp_path):
    lists = f'[scores.listed]\ntype = "domains"\nfiles = ["hosts.txt"]\npath_files = ["{tmp_path}/words.txt"]\n'
    (tmp_path / "study.toml").write_text(GOOD + lists)
    for name in ("hosts.txt", "words.txt"):
        (tmp_path / name).write_text("one\n")
    found = load(str(tmp_path / "study.toml")).scores["listed"]
    assert (found.files, found.path_files) == ((f"{tmp_path}/hosts.txt",), (f"{tmp_path}/words.txt",))
    (tmp_path / "hosts.txt").unlink()
    with pytest.raises(StudyError, match=rf"scores\.listed: The list {tmp_path}/hosts\.txt does not exist"):
        load(str(tmp_path / "study.toml"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (5, 5),
        ("5", 5),
        ("1_000", 1000),
        (" 2.5k ", 2500),
        ("1.5B", 1_500_000_000),
        ("3T", 3 * 10**12),
        ("2g", 2 * 10**9),
    ],
)
def test_counts(given, expected):
    assert parse_count(given) == expected


@pytest.mark.parametrize("given", ["", "-1", "0", "1e9", "1.5", "1.0001K", "K", "1 000", "\uff11K", 0, -1])
def test_no_counts(given):
    with pytest.raises(ValueError, match="not a positive whole number of tokens"):
        parse_count(given)


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 1500, 123_456_000, 1_234_567, 10**12, 5 * 10**13])
def test_short_counts_are_exact(count):
    assert parse_count(short(count)) == count


def test_budgets_by_ratio():
    text = GOOD.replace('["100K", "1M", 3000000]', '{ from = "100K", to = "4M", per_decade = 3 }')
    found = parse(text, "/data/study.toml").settings.budgets
    assert found == (100_000, 215_000, 464_000, 1_000_000, 2_150_000)


@pytest.mark.parametrize(
    ("budgets", "said"),
    [
        ('{ from = "1M" }', 'not a ladder. Write { from = "100M", to = "10B", per_decade = 2 }'),
        (
            '{ from = "2M", to = "1M", per_decade = 2 }',
            "not a ladder: `from` is at most `to`, and `per_decade` is from 1 to 20",
        ),
        (
            '{ from = "1M", to = "2M", per_decade = 0 }',
            "not a ladder: `from` is at most `to`, and `per_decade` is from 1 to 20",
        ),
        (
            '{ from = "x", to = "2M", per_decade = 1 }',
            'not a positive whole number of tokens. Write "100M", "1.5B" or 250000',
        ),
    ],
)
def test_budgets_that_are_no_ladder(budgets, said):
    text = GOOD.replace('["100K", "1M", 3000000]', budgets)
    assert mistakes(text) == [f"budgets: {said}"]
