"""A tokenizer that a study trains on its own text is a part of the build, whatever its kind."""

from __future__ import annotations

import little
import pytest

from tokenladder.pipelines.export import export
from tokenladder.pipelines.rungs import open_result

TRAINED = {
    "tokenizer.json": {"type": "huggingface", "train": {"vocabulary": 400, "bytes": "20kB"}},
    "tokenizer.model": {"type": "sentencepiece", "train": {"vocabulary": 400, "bytes": "20kB"}},
}


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_a_trained_tokenizer_is_part_of_the_build(tmp_path, name):
    source = {"web": little.write_jsonl(tmp_path / "web.jsonl", little.corpus(1, 80, prefix="w"))}
    study = little.write_study(tmp_path, source, tokenizer=TRAINED[name])
    one, two = (little.build(study, tmp_path / folder) for folder in ("one", "two"))
    assert little.differing(little.files(one.out), little.files(two.out)) == []
    assert {path.name for path in one.out.glob("tokenizer.*")} == {name}
    said = export(str(one.out), "all", "parquet", str(tmp_path / "texts"))["texts"]
    assert (said["as_read"], said["left_out"]) == (said["documents"] - said["cut"], 0)
    assert said["tokens"] == one.rungs()["3.84K"]["tokens"]
    tokenizer = open_result(str(one.out)).tokenizer()
    assert one.manifest["tokenizer"]["identity"] == tokenizer.identity()
    other = little.write_study(tmp_path / "other", source, tokenizer={"type": "bytes"})
    little.build(other, tmp_path / "one")
    assert list(one.out.glob("tokenizer.*")) == []
