"""Folders, files and edits that a build must not misuse: foreign ones, its own, damaged ones, another study's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from little import LENGTH, build, corpus, differing, files, write_jsonl, write_study

from tokenladder.pipelines.ask.explain import Explanation
from tokenladder.pipelines.commands import document_tables
from tokenladder.pipelines.files import store
from tokenladder.pipelines.files.parts import Store
from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.stages import segments
from tokenladder.pipelines.study.study import Rule


@pytest.fixture
def rows():
    return corpus(3, 80)


def test_a_folder_with_files_that_no_build_made_is_left_alone(tmp_path, rows):
    out = tmp_path / "out"
    study = write_study(tmp_path, {"web": write_jsonl(tmp_path / "a.jsonl", rows)})
    (out / "documents" / "web").mkdir(parents=True)
    (out / "documents" / "web" / "taxes.pdf").write_text("mine")
    with pytest.raises(
        UserError, match=r"holds files that no build made \(documents\)\. Choose an empty or new folder"
    ):
        build(study, out)
    assert files(out) == {"documents/web/taxes.pdf": b"mine"}


def test_a_result_inside_a_source_is_not_its_input(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    for n in range(40):
        (folder / f"{n}.py").write_text(f"value_{n} = {n * n}\n" * 20)
    study = write_study(tmp_path, {"code": {"format": "tree", "path": str(folder)}}, recipes={"all": {"dedup": False}})
    first = files(build(study, folder / "built").out)
    assert differing(first, files(build(study, folder / "built").out)) == []
    elsewhere = write_study(tmp_path / "other", {"code": {"format": "tree", "path": str(folder)}})
    names = {row["name"] for row in build(elsewhere, folder / "again", store=folder / "again-store").ledger()}
    assert not any(name.startswith("again") for name in names)


def test_the_store_is_not_the_result(tmp_path, rows):
    study = write_study(tmp_path, {"web": write_jsonl(tmp_path / "a.jsonl", rows)})
    with pytest.raises(UserError, match=r"--store: .*out is the folder of the result\. Name another one"):
        build(study, tmp_path / "out", store=tmp_path / "out")


def test_a_segment_s_name_says_the_order_of_its_rows(tmp_path):
    place = Store(str(tmp_path))
    for rows in ([0, 1], [1, 0]):
        ids = np.repeat(np.array(rows, np.uint16), 2)
        segments.write(place, "t", "p", np.array(rows), np.array([0, 2, 4]), ids)
    assert len([name for name in store.names(str(tmp_path / "tokens/t/p")) if name.endswith(segments.TOKENS)]) == 2
    out = np.empty(2, np.uint16)
    segments.Reader(place, "t", "p").copy(*(np.array([value]) for value in (1, 0, 2, 0)), out)
    assert out.tolist() == [1, 1]


def test_a_changed_study_leaves_no_card_beside_other_shards(tmp_path, rows, monkeypatch):
    from tokenladder.pipelines.drivers import build as module

    source = {"web": write_jsonl(tmp_path / "a.jsonl", rows)}
    build(write_study(tmp_path, source), tmp_path / "out")
    changed = write_study(tmp_path, source, seed=8)
    monkeypatch.setattr(module.manifest, "assemble", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(changed, tmp_path / "out")
    assert {"README.md", "manifest.json"}.isdisjoint(files(tmp_path / "out"))
    monkeypatch.undo()
    again = build(changed, tmp_path / "out").out
    assert differing(files(again), files(build(changed, tmp_path / "fresh").out)) == []


def test_no_tokenizer_of_an_earlier_study_stays(tmp_path, rows):
    source = {"web": write_jsonl(tmp_path / "a.jsonl", rows)}
    train = {"type": "sentencepiece", "train": {"vocabulary": 300, "bytes": "20kB"}}
    build(write_study(tmp_path, source, tokenizer=train), tmp_path / "out")
    assert "tokenizer.model" in files(tmp_path / "out")
    study = write_study(tmp_path, source)
    build(study, tmp_path / "out")
    assert differing(files(tmp_path / "out"), files(build(study, tmp_path / "fresh").out)) == []


def test_a_cut_shard_is_written_again(tmp_path, rows):
    study = write_study(tmp_path, {"web": write_jsonl(tmp_path / "a.jsonl", rows)})
    whole = files(build(study, tmp_path / "out").out)
    for name in ("shards/all/00001.parquet", "documents/all/00000.parquet", "ledger/all/00000.parquet"):
        (tmp_path / "out" / name).write_bytes(whole[name][:50])
    assert differing(files(build(study, tmp_path / "out").out), whole) == []


def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path, rows):
    path = Path(write_jsonl(tmp_path / "a.jsonl", rows))
    study = write_study(tmp_path, {"web": path})
    before = build(study, tmp_path / "out").manifest["root_hash"]
    status = path.stat()
    path.write_text(path.read_text().replace("lus", "sul"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert build(study, tmp_path / "out").manifest["root_hash"] != before


def test_a_folder_s_name_may_hold_brackets(tmp_path, rows):
    folder = tmp_path / "br[1]"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", rows)
    made = build(write_study(folder, {"web": "a.jsonl"}), tmp_path / "out")
    assert made.manifest["counts"]["web"]["records"] == 80


def test_a_label_that_a_model_does_not_know_shows_before_any_work(tmp_path, rows):
    score = {"type": "fasttext", "model": "lid.176.ftz", "label": "nope"}
    study = write_study(tmp_path, {"web": write_jsonl(tmp_path / "a.jsonl", rows)}, scores={"q": score})
    with pytest.raises(UserError, match=r"scores\.q: fasttext: the model .* has no label 'nope'; it knows"):
        build(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_held_out_set_is_not_told_to_repeat(tmp_path, rows):
    held = {"tokens": 4000 * LENGTH}
    study = write_study(tmp_path, {"web": write_jsonl(tmp_path / "a.jsonl", rows)}, held_out=held)
    with pytest.raises(UserError) as caught:
        build(study, tmp_path / "out")
    assert str(caught.value).startswith("held_out: ")
    assert "repeat" not in str(caught.value)


def test_rules_that_differ_have_different_texts():
    texts = {str(Rule(score="bytes", min=least)) for least in (100, 100.00001, 100.00002)}
    assert texts == {"bytes min 100", "bytes min 100.00001", "bytes min 100.00002"}
    assert str(Rule(score="bytes", min=1, sources=("web",))) == "bytes min 1 (web)"


def test_names_from_the_input_do_not_command_the_terminal(capsys):
    explained = Explanation("web", "a\x1b[31m" + "b" * 900, "r\x07", None, {"all": "over budget"})
    document_tables.show_explanations([explained])
    shown = capsys.readouterr().out
    assert "\x1b[31m" not in shown
    assert "\x07" not in shown
    assert "… (906 characters)" in shown


def test_more_strata_than_a_place_can_number_are_refused(tmp_path, rows, monkeypatch):
    from tokenladder.pipelines.drivers import drafts

    monkeypatch.setattr(drafts, "STRATA", 1)
    sources = {name: write_jsonl(tmp_path / f"{name}.jsonl", rows[at::2]) for at, name in enumerate("ab")}
    with pytest.raises(UserError, match=r"^all: 2 strata; 1 are the most\. Make strata of a score with fewer labels"):
        build(write_study(tmp_path, sources), tmp_path / "out")


def test_a_rule_with_is_and_in_is_a_mistake(tmp_path, rows):
    rule = {"score": "source", "is": "web", "in": ["nothing"]}
    source = {"web": write_jsonl(tmp_path / "a.jsonl", rows)}
    with pytest.raises(UserError, match=r"recipes\.all\.keep\[0\]: has both is and in\. Give one of them"):
        build(write_study(tmp_path, source, recipes={"all": {"keep": [rule]}}), tmp_path / "out")


def test_copies_stop_no_study_that_keeps_them(tmp_path, rows):
    copies = [{**row, "id": f"{row['id']}-{n}", "text": rows[0]["text"]} for n, row in enumerate(rows)]
    sources = {"web": write_jsonl(tmp_path / "a.jsonl", rows), "copies": write_jsonl(tmp_path / "b.jsonl", copies)}
    held = {"tokens": 2 * LENGTH, "keep": [{"score": "source", "is": "web"}]}
    keeps = {"all": {"dedup": False, "weights": {"web": 1.0}}}
    build(write_study(tmp_path, sources, recipes=keeps, held_out=held, budgets=[20 * LENGTH]), tmp_path / "out")
    with pytest.raises(Exception, match=r"sources\.copies: (79|80) of 80 documents .* are duplicates"):
        build(write_study(tmp_path, sources, held_out=held), tmp_path / "other")


def test_a_file_is_no_folder_of_a_result_or_a_store(tmp_path, rows):
    study = write_study(tmp_path, {"web": write_jsonl(tmp_path / "a.jsonl", rows)})
    for out, place, option in ((study, None, "out"), (study / "below", None, "out"), (tmp_path / "o", study, "store")):
        with pytest.raises(UserError, match=rf"--{option}: {study} is a file, so no folder can stand there") as error:
            build(study, out, store=place)
        assert str(error.value).count("is a file") == 1
