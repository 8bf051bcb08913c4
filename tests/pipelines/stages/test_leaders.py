"""Leaders and containers against plain loops, and what crowds of documents that share a band cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenladder.filters.duplicates import minhash
from tokenladder.pipelines.stages import containment, keys, leaders

import naive

BANDS, ROWS = 3, 4


@st.composite
def candidates(draw):
    """Documents sorted by component and id, with signatures of few different values, so that many agree."""
    count = draw(st.integers(0, 25))
    rows = sorted((draw(st.integers(0, 2)), draw(st.integers(0, 1)), draw(st.integers(0, 8))) for _ in range(count))
    texts, signatures, sets = {}, [], []
    for component, _, name in rows:
        if (component, name) not in texts:  # equal ids are equal texts
            places = st.lists(st.integers(0, 2), min_size=BANDS * ROWS, max_size=BANDS * ROWS)
            wordless = [minhash.EMPTY] * (BANDS * ROWS)
            shingles = draw(st.sets(st.integers(0, 9), max_size=6))
            texts[component, name] = draw(st.just(wordless) | places if name == 0 else places), shingles
        signatures.append(texts[component, name][0])
        sets.append(texts[component, name][1])
    ids = [10 * component + name for component, _, name in rows]
    return [row[0] for row in rows], ids, [row[1] == 0 for row in rows], signatures, sets


def packed_sets(sets):
    offsets = np.r_[0, np.cumsum([len(one) for one in sets])].astype(np.int64)
    return leaders.Sets(offsets, np.array([value for one in sets for value in sorted(one)], np.uint32))


def id_array(numbers):
    ids = np.zeros(len(numbers), keys.ID)
    ids["low"] = numbers
    return ids


@settings(max_examples=300)
@given(candidates(), st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.sampled_from([1, 2, 64]), st.booleans())
def test_leaders_equal_plain_loops(given_candidates, threshold, cap, exact):
    component, ids, earlier, signatures, sets = given_candidates
    places = BANDS * ROWS
    margin = leaders.EXACT_MARGIN * (threshold * (1 - threshold) / places) ** 0.5 if exact else 0
    needed = max(1, int(np.ceil((threshold - margin) * places - 1e-9)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaders, "LEADERS_PER_BAND", cap)
        found, similarity = leaders.leader_clusters(
            np.array(component, np.uint64),
            id_array(ids),
            np.array(earlier, bool),
            np.array(signatures, np.uint32).reshape(-1, places),
            BANDS,
            ROWS,
            threshold,
            packed_sets(sets) if exact else None,
        )
    expected = naive.leader_clusters(
        component,
        ids,
        signatures,
        BANDS,
        ROWS,
        needed=needed,
        cap=cap,
        empty=minhash.EMPTY,
        earlier=earlier,
        sets=sets if exact else None,
        least=threshold,
    )
    assert found.tolist() == [leader for leader, _ in expected]
    assert similarity.tolist() == pytest.approx([one for _, one in expected])


def test_sets_that_were_cut_are_compared_as_far_as_both_go():
    """Of 250 values the even and some odd ones: the first set is 100 of the second's 125, a similarity of .8."""
    whole = [sorted({*range(0, 200, 2)}), sorted({*range(0, 200, 2), *range(1, 200, 8)})]
    cut = packed_sets([one[:64] for one in whole])
    common = len(set(whole[0][:64]) & set(whole[1][:64])), len(set(whole[0][:64]) | set(whole[1][:64]))
    assert common[0] / common[1] < 0.72  # what the cut sets share, which is less than the documents do
    signatures = np.zeros((2, BANDS * ROWS), np.uint32)
    found, similarity = leaders.leader_clusters(
        np.zeros(2, np.uint64),
        id_array([1, 2]),
        np.zeros(2, bool),
        signatures,
        BANDS,
        ROWS,
        0.72,
        leaders.Sets(cut.offsets, cut.values, 64),
    )
    assert found.tolist() == [0, 0]
    assert similarity[1] == pytest.approx(0.8, abs=0.02)


def crowd(count, copies, rng):
    """Documents that share their first band of 8 values and nothing else, then near copies of the last of them."""
    signatures = rng.integers(0, 2**32 - 1, (count, 112), np.uint32)
    signatures[:, :8] = np.arange(8)
    near = signatures[-copies:].copy()
    for row in near:  # two values of each other band change: 86 of 112 stay, a similarity of .77
        changed = np.concatenate([8 * band + rng.choice(8, 2, replace=False) for band in range(1, 14)])
        row[changed] = rng.integers(0, 2**32 - 1, len(changed), np.uint32)
    return np.concatenate([signatures, near])


def test_documents_that_share_a_template_keep_their_near_copies():
    """Of 3,000 leaders of one band the first 64 are compared through it; fine bands find the others."""
    matrix = crowd(3000, 200, np.random.default_rng(4))
    count = len(matrix)
    found, _ = leaders.leader_clusters(
        np.zeros(count, np.uint64), id_array(range(count)), np.zeros(count, bool), matrix, 14, 8, 0.7
    )
    assert found[:3000].tolist() == list(range(3000))  # no false removal
    assert (found[3000:] == np.arange(2800, 3000)).sum() >= 198


def test_a_document_joins_the_most_similar_leader_even_a_later_one():
    values = np.arange(12, dtype=np.uint32)
    matrix = np.stack([values] * 3)
    matrix[0, 9:] += 100  # the middle one shares 9 places with the first, 11 with the last; these two share 8
    matrix[2, 8] += 200
    found, similarity = leaders.leader_clusters(
        np.zeros(3, np.uint64), id_array([1, 2, 3]), np.zeros(3, bool), matrix, 3, 4, 0.75
    )
    assert found.tolist() == [0, 2, 2]
    assert similarity.tolist() == pytest.approx([1, 11 / 12, 1])


def test_documents_without_words_stay_alone():
    matrix = np.full((3, 12), minhash.EMPTY, np.uint32)
    found, _ = leaders.leader_clusters(
        np.zeros(3, np.uint64), id_array([1, 2, 3]), np.zeros(3, bool), matrix, BANDS, ROWS, 0.1
    )
    assert found.tolist() == [0, 1, 2]


# containment

SIZE = 6


@st.composite
def sketched(draw):
    """Documents as sets of few shingles, clustered at random under leaders of their component."""
    count = draw(st.integers(0, 14))
    component = sorted(draw(st.integers(0, 1)) for _ in range(count))
    documents = [sorted(draw(st.sets(st.integers(0, 14), max_size=12))) for _ in range(count)]
    heads: list[int] = []
    for d in range(count):
        before = [n for n in range(d) if heads[n] == n and component[n] == component[d]]
        heads.append(draw(st.sampled_from([d, *before])))
    earlier = [draw(st.booleans()) if heads[d] == d and heads.count(d) == 1 else False for d in range(count)]
    return component, documents, heads, earlier


@settings(max_examples=300)
@given(sketched(), st.sampled_from([0.5, 0.9, 1.0]))
def test_containers_equal_plain_loops(given_documents, threshold):
    component, documents, heads, earlier = given_documents
    sketches = np.full((len(documents), SIZE), containment.EMPTY, np.uint32)
    for row, document in zip(sketches, documents, strict=True):
        row[: len(document[:SIZE])] = document[:SIZE]
    elements = [len(document) for document in documents]
    found, _ = containment.contained(
        np.array(component, np.uint64),
        np.array(heads, np.int64),
        np.array(earlier, bool),
        sketches,
        np.array(elements, np.int64),
        threshold,
        asked=2,
        least=2,
    )
    expected = naive.contained(
        component,
        heads,
        earlier,
        [document[:SIZE] for document in documents],
        elements,
        threshold=threshold,
        asked=2,
        least=2,
        size=SIZE,
    )
    assert found.tolist() == expected
