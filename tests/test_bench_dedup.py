"""The benchmark of near duplicates in small: its corpus, its truth and its scores, without peers."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive

BENCH = Path(__file__).resolve().parent.parent / "bench"
pytestmark = pytest.mark.bench


@pytest.fixture(scope="module", autouse=True)
def _bench_is_importable():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCH)
        yield


def sentence(draws, words: int) -> str:
    return " ".join("".join("etaoinshrd"[draws.below(10)] for _ in range(5)) for _ in range(words))


def documents(count: int):
    from dedup_corpus import Document, Draws

    found = []
    for n in range(count):
        draws = Draws("test", n)
        lines = "\n".join(sentence(draws, 12) + "." for _ in range(4 + draws.below(12)))
        code = n % 3 == 0
        found.append(Document(lines.replace("\n", "\n    "), "Python") if code else Document(lines, None))
    return found


@functools.cache
def exact(text: str) -> set[bytes]:
    return set(naive.shingles(text, 5)) or {b"\0" + text.encode()}


def similarity(one: str, two: str) -> float:
    return len(exact(one) & exact(two)) / len(exact(one) | exact(two))


@pytest.fixture(scope="module")
def planted():
    from dedup_corpus import plant

    return plant(documents(200))


@pytest.fixture(scope="module")
def known(planted):
    from dedup_truth import truth

    return truth([document.text for document in planted[0]])


def test_the_same_documents_give_the_same_copies(planted):
    from dedup_corpus import plant

    assert plant(documents(200)) == planted
    assert plant(documents(200), seed=2) != planted


def test_copies_name_their_originals_and_are_graded(planted):
    found, pairs = planted
    assert len(found) == 200 + len(pairs)
    assert len({pair.copy for pair in pairs}) == len(pairs) >= 30
    assert {pair.original for pair in pairs}.isdisjoint(pair.copy for pair in pairs)
    grades = sorted(similarity(found[pair.copy].text, found[pair.original].text) for pair in pairs)
    assert grades[0] < 0.75
    assert grades[-1] == 1
    for pair in pairs:
        if pair.edit == "copy":
            assert found[pair.copy] == found[pair.original]


@pytest.mark.parametrize(
    "edit", ["words", "lines deleted", "paragraphs moved", "header and footer", "indented", "licence"]
)
def test_an_edit_leaves_most_of_a_text(edit):
    from dedup_corpus import EDITS, Draws

    text = "# old licence\n" + "\n".join(f"    {sentence(Draws(n), 10)}" for n in range(40)) + "\n"
    edited = EDITS[edit](text, Draws("edit"), 30)
    assert edited != text
    assert similarity(text, edited) > 0.6


def test_truth_has_exactly_the_pairs_that_all_comparisons_find(planted, known):
    texts = [document.text for document in planted[0]]
    expected = {}
    for a, b in itertools.combinations(range(len(texts)), 2):
        if (value := similarity(texts[a], texts[b])) >= 0.5:
            expected[a, b] = value
    first = {
        n: min([n, *(a for (a, b), value in expected.items() if b == n and value == 1)]) for n in range(len(texts))
    }
    assert known.same.tolist() == [first[n] for n in range(len(texts))]
    between = {
        pair: value for pair, value in expected.items() if pair[0] == first[pair[0]] and pair[1] == first[pair[1]]
    }
    assert {tuple(pair): score for pair, score in zip(known.pairs.tolist(), known.scores.tolist(), strict=True)} == {
        pair: value for pair, value in between.items() if value < 1
    }


LETTERS = st.sampled_from(
    ["a", "É", "e\u0301", " ", " ", "-", "中", "か", "ကာ", "ไ", "ß", "\u00ad", "\u200b", "Ⱥ", "٣"]
)


@given(st.lists(st.lists(LETTERS, max_size=14).map("".join), max_size=6))
def test_sets_are_those_of_the_slow_signatures(texts):
    from dedup_truth import folded_words, jaccard, shingle_sets

    assert [folded_words(text) for text in texts] == [naive.folded_words(text) for text in texts]
    pairs = list(itertools.product(range(len(texts)), repeat=2))
    found = jaccard(shingle_sets(texts, 2), [a for a, _ in pairs], [b for _, b in pairs]) if texts else np.zeros(0)

    def shingles(text: str) -> set[bytes]:
        return set(naive.shingles(text, 2)) or {b"\0" + text.encode()}

    for (a, b), value in zip(pairs, found.tolist(), strict=True):
        one, two = shingles(texts[a]), shingles(texts[b])
        assert value == len(one & two) / len(one | two)


def test_a_perfect_verdict_scores_one_and_a_wrong_one_does_not(planted, known):
    from dedup_truth import Verdict, score

    pairs = [(pair.copy, pair.original) for pair in planted[1]]
    cluster = {original: original for _, original in pairs} | dict(pairs)
    perfect = score(known, pairs, Verdict(cluster, [copy for copy, _ in pairs]))
    assert (perfect.high, perfect.left, perfect.removed) == (1, 0, len(pairs))
    assert [value for value in perfect.recall if not math.isnan(value)] == [1] * sum(map(math.isfinite, perfect.recall))
    close = sum(similarity(*(planted[0][n].text for n in pair)) >= 0.7 for pair in pairs)
    assert close / len(pairs) <= perfect.precision <= 1

    nothing = score(known, pairs, Verdict({}, []))
    assert (nothing.high, nothing.left, nothing.removed, nothing.precision) == (0, 1, 0, 1)

    everything = range(len(planted[0]))
    wiped = score(known, pairs, Verdict(dict.fromkeys(everything, 0), everything[1:]))
    assert (wiped.high, wiped.left) == (1, 0)
    assert wiped.precision < 0.5


def test_a_removal_outside_any_cluster_is_not_right(known):
    from dedup_truth import Verdict, precision

    copy = int(np.flatnonzero(known.same != np.arange(len(known.same)))[0])
    original = int(known.same[copy])
    assert precision(known, Verdict({}, [copy])) == 0
    assert precision(known, Verdict({copy: 1, original: 2}, [copy])) == 0
    assert precision(known, Verdict({copy: 1, original: 1}, [copy])) == 1


def test_roots_become_a_verdict():
    from dedup_peers import verdict

    found = verdict([0, 1, 0, 1, 4])
    assert found.cluster == {0: 0, 2: 0, 1: 1, 3: 1}
    assert found.removed == [2, 3]


def test_a_peer_that_does_not_install_is_named(tmp_path, monkeypatch, capsys):
    import dedup

    from dedup_peers import OURS

    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(dedup.tools(["duplodocus"], tmp_path)) == [OURS]
    assert capsys.readouterr().out == "duplodocus cannot be installed here: cargo is not installed\n"


def test_an_unknown_part_is_refused(capsys, monkeypatch):
    import dedup

    monkeypatch.setattr("sys.argv", ["dedup.py", "--corpus", ".", "--only", "kernel,speed"])
    with pytest.raises(SystemExit) as stopped:
        dedup.main()
    assert stopped.value.code == 2
    assert "no speed here; choose from kernel, end-to-end, recall, grouping, wipe-out" in capsys.readouterr().err
