from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.measures import perplexity
from tokenladder.filters.measures.perplexity import Perplexity

import naive

MODEL = str(Path(__file__).parent / "little.arpa")
NO_KENLM = "KenLM comes with the extra [kenlm]"
TEXT = st.lists(st.sampled_from(["the", "cat", "dog", ".", "The", "\n", "\u2028", "</s>"]), max_size=12).map(" ".join)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


@given(st.lists(st.none() | TEXT | st.text(max_size=20), max_size=4), st.booleans(), st.integers(0, 2))
def test_figures_are_those_of_the_files_own_probabilities(texts, lower, skipped):
    pytest.importorskip("kenlm", reason=NO_KENLM)
    scored = Perplexity(MODEL, lower=lower).score(batch(texts).slice(skipped)).to_pylist()
    for text, row in zip(texts[skipped:], scored, strict=True):
        if text is None:
            assert row == {"perplexity": None, "bits_per_byte": None}
        else:
            each, bits = naive.perplexity(text, Path(MODEL).read_text(), lower=lower)
            assert row == {"perplexity": pytest.approx(each, rel=1e-5), "bits_per_byte": pytest.approx(bits, rel=1e-5)}


def test_likelier_text_surprises_less():
    pytest.importorskip("kenlm", reason=NO_KENLM)
    rows = Perplexity(MODEL).score(batch(["the cat", "dog dog dog", "", None])).to_pydict()
    assert rows["perplexity"][0] == pytest.approx(10**0.3, rel=1e-5)
    assert rows["perplexity"][1] > 5
    assert rows["perplexity"][2:] == [0, None]


def test_pieces_of_sentencepiece_are_tokens(tmp_path):
    pytest.importorskip("kenlm", reason=NO_KENLM)
    import sentencepiece

    (tmp_path / "text.txt").write_text("the cat sat on the mat\n" * 50)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text.txt"), model_prefix=str(tmp_path / "p"), vocab_size=14, minloglevel=2, num_threads=1
    )
    family = Perplexity(MODEL, sentencepiece=str(tmp_path / "p.model"))
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "p.model")).encode("the cat", out_type=str)
    each, _ = naive.perplexity(" ".join(pieces), Path(MODEL).read_text())
    assert family.score(batch(["the cat"]))["perplexity"][0].as_py() == pytest.approx(each, rel=1e-5)
    assert family.identity()["sentencepiece"] != Perplexity(MODEL).identity()["sentencepiece"]
    with pytest.raises(ValueError, match=r"little\.arpa is no SentencePiece model"):
        Perplexity(MODEL, sentencepiece=MODEL).score(batch(["x"]))


def test_a_file_that_is_no_model_is_named(tmp_path):
    pytest.importorskip("kenlm", reason=NO_KENLM)
    (tmp_path / "a.arpa").write_text("hello\n")
    with pytest.raises(ValueError, match=r"a\.arpa is no language model that KenLM reads"):
        Perplexity(str(tmp_path / "a.arpa")).score(batch(["x"]))


def test_identity_follows_the_content(tmp_path):
    copy = tmp_path / "copy.arpa"
    copy.write_bytes(Path(MODEL).read_bytes())
    assert Perplexity(str(copy)).identity() == Perplexity(MODEL).identity()
    assert Perplexity(MODEL, lower=True).identity() != Perplexity(MODEL).identity()
    with pytest.raises(FileNotFoundError, match=r"the model none\.arpa does not exist; give the path of its file"):
        Perplexity("none.arpa").identity()
    with pytest.raises(FileNotFoundError, match="is a folder"):
        Perplexity(str(tmp_path)).identity()
    with pytest.raises(ValueError, match="perplexity: model is empty"):
        Perplexity("")


def test_without_kenlm_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(perplexity, "_loaded", {})
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(ModuleNotFoundError, match=r"KenLM is not installed: pip install 'tokenladder\[kenlm\]'"):
        Perplexity(MODEL).score(batch(["x"]))
