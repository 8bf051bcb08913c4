"""Does source code parse? Sound and broken files of each language, and what may not hurt a parser."""

from __future__ import annotations

import builtins
import importlib
import importlib.metadata

import pyarrow as pa
import pytest

from tokenladder.filters.source_code import syntax
from tokenladder.filters.source_code.syntax import GRAMMARS, LANGUAGES, Syntax, Verdict, parse

SOUND = {
    "C": "int main(void) { return 0; }\n",
    "C#": "class A { int B() { return 1; } }\n",
    "C++": "template<class T> T one() { return T{1}; }\n",
    "Go": "package a\n\nfunc One() int { return 1 }\n",
    "JSON": '{"a": [1, 2.5, null]}\n',
    "Java": "class A { int b() { return 1; } }\n",
    "JavaScript": "const one = (a) => `${a}`;\n",
    "PHP": "<?php function one() { return 1; }\n",
    "Python": "def one(a: int) -> int:\n    return a + 1\n",
    "Ruby": "def one\n  1\nend\n",
    "Rust": "fn one() -> u8 { 1 }\n",
    "TSX": "const one = <b>{1}</b>;\n",
    "TypeScript": "const one: number = 1;\n",
}


def scored(texts, languages, **parameters):
    columns = {"text": pa.array(texts, pa.string()), "file_type": pa.array(languages, pa.string())}
    return Syntax(**parameters).score(pa.record_batch(columns))


@pytest.mark.parametrize("language", LANGUAGES)
def test_sound_files_pass_and_broken_ones_do_not(language):
    sound = SOUND[language]
    broken = sound[: len(sound) // 2] + ") ] ) } = =" + sound[-3:]
    table = scored([sound, broken], [language] * 2)
    assert table["verdict"].to_pylist() == ["pass", "error"]
    errors = table["errors"].to_pylist()
    assert errors[0] == 0
    assert errors[1] > 0


def test_every_grammar_has_a_sound_file():
    assert SOUND.keys() == set(LANGUAGES)


def test_other_languages_and_large_files_are_unknown():
    texts = ["x = 1", "x = 1", None, "x" * 40, "{" * 33_000]
    table = scored(texts, ["COBOL", None, "Python", "Python", "Java"], max_bytes=2**17)
    assert table["verdict"].to_pylist() == ["unknown", "unknown", None, "pass", "unknown"]
    assert table["errors"].to_pylist() == [None, None, None, 0, None]
    assert scored(["x" * 40], ["Python"], max_bytes=39)["verdict"].to_pylist() == ["unknown"]


def test_a_few_errors_are_borne_as_the_study_says():
    text = SOUND["C"] * 20 + "int ) = ;\n"
    found = [scored([text], ["C"], max_error_share=share)["verdict"][0].as_py() for share in (0.0, 0.05)]
    assert found == ["error", "pass"]
    assert 0 < scored([text], ["C"])["error_share"][0].as_py() < 0.05


def test_a_header_that_is_of_the_other_language_passes():
    assert parse(SOUND["C++"].encode(), "C") == Verdict(0, 0.0)


@pytest.mark.parametrize(
    "text", ["(" * 5000, "-" * 100_000 + "1", "a+" * 50_000 + "a", "x = '\0'", "x = 1" + "0" * 5000, "if x:\n" * 300]
)
def test_python_that_is_nested_or_written_to_hurt_gives_a_verdict(text):
    assert parse(text.encode(), "Python") in {Verdict(1, None), Verdict(0, 0.0)}


def test_python_that_warns_is_no_error():
    assert parse(b"x = '\\d'\ny = 1 is 1\n", "Python") == Verdict(0, 0.0)


def test_what_takes_more_steps_than_a_file_may_is_unknown():
    text = "a=>" * 4000
    assert parse(text.encode(), "Java") is None or parse(text.encode(), "Java").errors
    assert parse(b"a?b:" * 8000, "Go") is None
    assert scored(["a?b:" * 8000], ["Go"])["verdict"].to_pylist() == ["unknown"]


def test_the_parsers_are_part_of_the_identity():
    parsers = Syntax(languages=("C", "Go")).identity()["parsers"]
    assert parsers == {
        name.removeprefix("tree-sitter-"): importlib.metadata.version(name)
        for name in ("tree-sitter", "tree-sitter-c", "tree-sitter-cpp", "tree-sitter-go")
    }
    assert Syntax(languages=("Python", "C")).identity() == Syntax(languages=("C", "Python", "C")).identity()
    assert set(Syntax(languages=("Python",)).identity()["parsers"]) == {"python"}


def test_a_grammar_that_is_not_installed_is_named(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    message = r"^syntax: the package tree-sitter-go is not installed\. Run: pip install 'tokenladder\[code\]', or "
    with pytest.raises(ValueError, match=message):
        Syntax(languages=("Go",)).identity()
    syntax._grammar.cache_clear()
    monkeypatch.setattr(importlib, "import_module", lambda name: builtins.__import__(f"no_{name}"))
    with pytest.raises(ValueError, match=r"the package tree-sitter is not installed"):
        parse(b"", "Go")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"languages": ()}, r"^syntax: languages must be some of Python, C, .*, TypeScript; none is given\.$"),
        ({"languages": ("Perl",)}, r"languages must be some of Python, .*; 'Perl' is none\.$"),
        ({"max_error_share": 1.5}, r"^syntax: max_error_share is a share from 0 to 1; it is 1\.5\.$"),
        ({"max_bytes": 0}, r"^syntax: max_bytes must be from 1 to 131072; it is 0\.$"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Syntax(**fields)


def test_grammars_are_of_languages_that_files_are_told_by():
    from tokenladder.pipelines.formats import file_types

    names = {"C": "c", "C#": "cs", "C++": "cpp", "Go": "go", "JSON": "json", "Java": "java", "JavaScript": "js"}
    names |= {"PHP": "php", "Ruby": "rb", "Rust": "rs", "TSX": "tsx", "TypeScript": "ts"}
    assert names.keys() == GRAMMARS.keys()
    assert {file_types.file_type(f"a.{ending}", "") for ending in names.values()} == names.keys()
