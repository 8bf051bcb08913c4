"""Encoding: just what some recipe wants, in the order of priorities, one end-of-document token after each document."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_store import Store, payload, write_choices, write_part

from tokenladder.pipelines.files import store
from tokenladder.pipelines.stages import encode, segments

SPEC = {"fingerprint": "bytes", "section": '{"type": "bytes"}', "model": ""}
END = 256
BUCKET = 1 << 52

texts = st.lists(st.none() | st.text(max_size=6), min_size=1, max_size=12)


def run(place, part, recipes):
    encode.encode_part(payload(place, part, 0, tokenizer=SPEC, recipes=recipes))


def tokens(place, part, row, length):
    out = np.empty(length, np.uint16)
    one = (np.array([value]) for value in (row, 0, length, 0))
    segments.Reader(place, "bytes", part.id).copy(*one, out)
    return out.tolist()


@settings(max_examples=30)
@given(texts, st.data())
def test_what_is_wanted_is_encoded_and_counted(tmp_path_factory, documents, data):
    place = Store(str(tmp_path_factory.mktemp("encode")))
    part = write_part(place, "s/0", documents)
    rows = range(len(documents))
    priorities = [data.draw(st.integers(0, 3)) * BUCKET + n for n in rows]
    recipes, wanted = [], []
    for name in ("one", "two"):
        codes = [-1 if documents[n] is None else data.draw(st.sampled_from([0, 0, 1])) for n in rows]
        strata = [data.draw(st.sampled_from(["web", "code"])) for _ in rows]
        cutoffs = {"web": data.draw(st.integers(0, 4))}  # nothing of code is needed
        write_choices(place.path(name), 0, code=codes, priority=priorities, stratum=strata)
        recipes.append({"choices": place.path(name), "cutoffs": cutoffs, "counts": place.path("counts", name)})
        inside = [priorities[n] < cutoffs["web"] * BUCKET and strata[n] == "web" and codes[n] == 0 for n in rows]
        wanted.append([n for n in rows if inside[n]])
    run(place, part, recipes[:1])
    run(place, part, recipes)
    lengths = segments.counts(place, "bytes", part.id, part.rows).tolist()
    sizes = [len(text.encode()) + 1 if text is not None else 0 for text in documents]
    assert lengths == [sizes[n] if n in {*wanted[0], *wanted[1]} else 0 for n in rows]
    for n in rows:
        if lengths[n]:
            assert tokens(place, part, n, lengths[n]) == [*documents[n].encode(), END]
    for recipe, mine in zip(recipes, wanted, strict=True):
        found = store.read_table(store.join(recipe["counts"], "0000000.parquet")).to_pylist()
        buckets = sorted({priorities[n] // BUCKET for n in mine})
        of = {bucket: [sizes[n] for n in mine if priorities[n] // BUCKET == bucket] for bucket in buckets}
        assert found == [
            {"stratum": "web", "bucket": bucket, "documents": len(some), "tokens": sum(some)}
            for bucket, some in of.items()
        ]


def test_a_segment_is_in_the_order_of_priorities(tmp_path):
    place = Store(str(tmp_path))
    part = write_part(place, "s/0", ["a", "bb", "ccc", "dddd", "e"])
    write_choices(place.path("one"), 0, code=[0] * 5, priority=[5, 1, 4, 2, 3], stratum=["web"] * 5)
    run(place, part, [{"choices": place.path("one"), "cutoffs": {"web": 1}, "counts": place.path("counts")}])
    folder = place.path("tokens", "bytes", part.id)
    (name,) = (name for name in store.names(folder) if name.endswith(segments.TOKENS))
    ids = np.frombuffer(store.read_bytes(store.join(folder, name)), "<u2")
    assert ids.tolist() == [*b"bb", END, *b"dddd", END, *b"e", END, *b"ccc", END, *b"a", END]


@pytest.mark.parametrize("again", [1, 2])
def test_all_documents_where_no_recipe_is_named(tmp_path, again):
    place = Store(str(tmp_path))
    part = write_part(place, "s/0", ["a", None, "", "bb", None, "c"])
    for _ in range(again):
        run(place, part, [])
    assert segments.counts(place, "bytes", part.id, part.rows).tolist() == [2, 0, 1, 3, 0, 2]
    assert len(store.names(place.path("tokens", "bytes", part.id))) == 2  # a segment and its index, written once
