"""Sequences as text for people: every border, every name, and ranges that can be meant."""

from __future__ import annotations

import little
import pytest
from click.testing import CliRunner

from tokenladder.pipelines.ask import decode as module
from tokenladder.pipelines.ask.decode import decode, parse_range
from tokenladder.pipelines.commands.cli import cli
from tokenladder.pipelines.files import store


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decode")
    web = [*little.corpus(1, 40, prefix="w"), {"id": "[bold]\x1b[31m", "text": "[red]é\x1b[31m\x07é" * 4}]
    study = little.write_study(folder, {"web": little.write_jsonl(folder / "web.jsonl", web)})
    built = little.build(study, folder / "out")
    built.originals = {little.document_id(row["text"]): row["text"] for row in web}
    return built


def test_pieces_are_what_stands_in_the_sequences(result):
    ids, strata = result.tokens()
    rows = result.documents().to_pylist()
    names = {row["document"]: (row["source"], row["name"]) for row in result.ledger()}
    found = list(decode(str(result.out), "all", f"0:{len(ids)}"))
    assert [one.number for one in found] == list(range(len(ids)))
    assert [one.stratum for one in found] == strata.tolist()
    told = []
    for one in found:
        for piece in one.pieces:
            told.append((one.number, piece.position, piece.document, piece.offset, piece.length))
            tokens = ids[one.number][piece.position : piece.position + piece.length]
            assert piece.text == bytes(tokens[tokens != 256].tolist()).decode(errors="replace")
            assert piece.ends == (tokens[-1] == 256)
            assert (piece.source, piece.name) == names[piece.document]
            whole = result.originals[piece.document].encode()
            assert whole[piece.offset : piece.offset + piece.length].decode(errors="replace") == piece.text
    keys = ("sequence", "position", "document", "offset", "length")
    assert told == [tuple(row[key].hex() if key == "document" else row[key] for key in keys) for row in rows]


def test_a_range_over_a_border_of_shards(result):
    every = list(decode(str(result.out), "all-3.84K", "0:60"))
    assert list(decode(str(result.out), "all", "18:33")) == every[18:33]
    assert list(decode(str(result.out), "all-1.28K", "19:")) == every[19:20]


@pytest.mark.parametrize(
    ("given", "expected"), [("7", range(7, 8)), ("0:3", range(3)), ("18:", range(18, 20)), (" 1_0:99 ", range(10, 20))]
)
def test_ranges(given, expected):
    assert parse_range(given, 20) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("x", r"'x': is no range of sequences\. Write 7 for one, 7:10 for three, 7: for the rest\."),
        ("-1", "is no range of sequences"),
        ("20", r"'20': names no sequence\. They are numbered from 0 to 19\."),
        ("5:5", "names no sequence"),
        ("0:11", "names 11 sequences; 10 are shown at once, at most"),
    ],
)
def test_ranges_that_cannot_be_meant(given, message, monkeypatch):
    monkeypatch.setattr(module, "MOST", 10)
    with pytest.raises(store.UserError, match=message):
        parse_range(given, 20)


def test_the_command_shows_texts_as_they_are_but_no_control_characters(result):
    shown = CliRunner().invoke(cli, ["decode", str(result.out), "all", "0:60"])
    assert shown.exit_code == 0, shown.output
    assert "━━ sequence 59  web  64 tokens ━━" in shown.output
    assert "[red]é\ufffd[31m\ufffdé[red]" in shown.output.replace("\n", "")
    assert "\x1b" not in shown.output
    assert "\x07" not in shown.output
    assert "── at 0: " in shown.output
    assert "[bold]\ufffd[31m" in shown.output
    one = CliRunner().invoke(cli, ["decode", str(result.out), "all"])
    assert one.output.count("━━ sequence") == 1
    wrong = CliRunner().invoke(cli, ["decode", str(result.out), "nothing"])
    assert (wrong.exit_code, "has no rung 'nothing'" in wrong.output) == (2, True)
