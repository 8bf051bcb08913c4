"""N-gram language models: equal to the formulas written plainly, summing to one, and read by KenLM."""
# ruff: noqa: S311 sentences drawn at random are no secrets

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.filters.measures.kneser_ney import BEGIN, END, FALLBACK, arpa, estimate

import naive

WORD = st.sampled_from(["a", "b", "c", "é", "<s>", "</s>", "<unk>"])
SENTENCES = st.lists(st.lists(WORD, max_size=6), min_size=1, max_size=8).filter(any)


def read(model):
    """Chances and back-off weights by words, as they stand in the file."""
    data = b"".join(arpa(model)).decode()
    chances, backs = {}, {}
    for line in data.splitlines():
        fields = line.split("\t")
        if len(fields) > 1:
            words = tuple(fields[1].split(" "))
            chances[words] = float(fields[0])
            if len(fields) > 2:
                backs[words] = float(fields[2])
    return data, chances, backs


def spoken(seed, count):
    """Sentences in which some words follow others more often."""
    rng = random.Random(seed)
    words = [f"w{n}" for n in range(30)]
    return [[words[min(29, int(rng.expovariate(0.2)))] for _ in range(rng.randint(1, 9))] for _ in range(count)]


@settings(deadline=None, max_examples=60)
@given(SENTENCES, st.integers(1, 4), st.sampled_from([(1,), (1, 1, 2), (2, 2)]))
def test_chances_are_those_of_the_formulas(sentences, order, least):
    _, chances, backs = read(estimate(sentences, order, least))
    wanted, wanted_backs = naive.kneser_ney(sentences, order, least)
    assert chances == {words: pytest.approx(value, abs=1e-6) for words, value in wanted.items()}
    assert backs == {words: pytest.approx(value, abs=1e-6) for words, value in wanted_backs.items()}


def test_discounts_come_from_counts_of_counts_where_there_are_enough():
    sentences = spoken(1, 90)
    model = estimate(sentences, 3, (1,))
    assert model.fallback == []
    assert 0 < model.discounts[2][0] < 1 < model.discounts[2][2] < 3
    little = estimate([["a", "b"]], 2)
    assert (little.fallback, little.discounts) == ([1, 2], [FALLBACK, FALLBACK])
    chances = read(model)[1]
    wanted = naive.kneser_ney(sentences, 3, (1,))[0]
    assert chances == {words: pytest.approx(value, abs=1e-6) for words, value in wanted.items()}


@pytest.mark.parametrize("least", [(1,), (1, 2, 3)])
def test_chances_after_every_context_sum_to_one(least):
    _, chances, backs = read(estimate(spoken(2, 150), 3, least))
    words = [words[0] for words in chances if len(words) == 1 and words != (BEGIN,)]

    def chance(gram):
        if gram in chances:
            return chances[gram]
        return backs.get(gram[:-1], 0.0) + chance(gram[1:])

    contexts = [(), *[gram for gram in backs if gram[-1] != END][:80]]
    for context in contexts:
        assert sum(10 ** chance((*context, word)) for word in words) == pytest.approx(1, abs=1e-4), context


def test_the_same_sentences_in_any_order_give_the_same_bytes():
    sentences = spoken(3, 60)
    first = read(estimate(sentences, 3))[0]
    assert read(estimate(sentences[::-1], 3))[0] == first
    assert first.splitlines()[:4] == [
        "\\data\\",
        *[f"ngram {n}={len(one.words)}" for n, one in enumerate(estimate(sentences, 3).orders, 1)],
    ]


def test_kenlm_reads_the_file_and_says_the_same(tmp_path):
    kenlm = pytest.importorskip("kenlm", reason="KenLM comes with the extra [kenlm]")
    sentences = spoken(4, 120)
    model = estimate(sentences, 3)
    path = tmp_path / "model.arpa"
    path.write_bytes(b"".join(arpa(model)))
    _, chances, backs = read(model)

    def chance(gram):
        if gram in chances:
            return chances[gram]
        return backs.get(gram[:-1], 0.0) + chance(gram[1:])

    read_again = kenlm.Model(str(path))
    assert read_again.order == 3
    for sentence in [*sentences[:20], ["w1", "never", "w2"], []]:
        said = [BEGIN, *(word if (word,) in chances else "<unk>" for word in sentence), END]
        total = sum(chance(tuple(said[max(0, at - 2) : at + 1])) for at in range(1, len(said)))
        assert read_again.score(" ".join(sentence)) == pytest.approx(total, abs=1e-3)


def test_text_that_was_trained_on_surprises_less_than_other_text(tmp_path):
    kenlm = pytest.importorskip("kenlm", reason="KenLM comes with the extra [kenlm]")
    path = tmp_path / "model.arpa"
    path.write_bytes(b"".join(arpa(estimate(spoken(5, 300), 3))))
    model = kenlm.Model(str(path))
    seen = spoken(6, 50)
    rare = [[f"w{29 - int(word[1:])}" for word in sentence] for sentence in seen]
    assert sum(model.score(" ".join(one)) for one in seen) > sum(model.score(" ".join(one)) for one in rare)


@pytest.mark.parametrize(
    ("order", "least", "message"),
    [
        (0, (1,), "An n-gram model has from 1 to 6 words; 0 were asked for."),
        (7, (1,), "An n-gram model has from 1 to 6 words; 7 were asked for."),
        (2, (0,), "Least counts are at least 1 and do not descend; they are 0."),
        (2, (2, 1), "Least counts are at least 1 and do not descend; they are 2, 1."),
        (2, (), "Least counts are at least 1 and do not descend; they are ."),
    ],
)
def test_impossible_settings_are_refused(order, least, message):
    with pytest.raises(ValueError, match=f"^{message}$".replace(".", r"\.")):
        estimate([["a"]], order, least)


def test_text_without_a_word_is_refused():
    with pytest.raises(ValueError, match=r"^There is no word to train a language model on\.$"):
        estimate([[], []])


def test_every_order_holds_the_beginnings_of_longer_ones():
    model = estimate(spoken(7, 200), 4, (1, 1, 2))
    for shorter, longer in itertools.pairwise(model.orders):
        known = {tuple(words) for words in shorter.words.tolist()}
        assert {tuple(words[:-1]) for words in longer.words.tolist()} <= known
        assert {tuple(words[1:]) for words in longer.words.tolist()} <= known
