"""From choices to shards: places, ledgers and shards of a store made by hand against one naive stream."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_store import Store, exchange, identity, payload, write_choices, write_part, write_tokens

from tokenladder.pipelines.files import store
from tokenladder.pipelines.stages import ladder, ledger, pack, segments
from tokenladder.pipelines.stages.schedule import State, integer_weights

import naive

LENGTH = 8
END = 0


@st.composite
def pools(draw):
    """Documents as (part, stratum, priority, tokens, code, number), and what of them is needed."""
    documents = []
    for n in range(draw(st.integers(3, 25))):
        length = draw(st.sampled_from([0, 1, 2, 3, 5, 7, 8, 15, 16, 40]))
        # a document's tokens say which it is; the last one ends it
        tokens = [n * 64 + k + 1 for k in range(length)] + [END]
        part, stratum = draw(st.integers(0, 2)), draw(st.integers(0, 1))
        priority = draw(st.integers(0, 7)) << 61 | draw(st.integers(0, 1))
        documents.append((part, stratum, priority, tokens, draw(st.sampled_from([0, 0, 0, 0, 3])), n))
    return (
        documents,
        draw(st.integers(1, 12)),
        draw(st.sampled_from([(1, 1), (3, 1), (2, 5)])),
        draw(st.integers(1, 12)),
    )


def text(document):
    return f"{document[5]}: {document[3]}"


class Made:
    """A small ladder, placed."""

    def __init__(self, root, documents, sequences, weights, *, group_size):
        self.place = Store(str(root))
        self.names = ["code", "web"]
        rows = {n: [one for one in documents if one[0] == n] for n in range(3)}
        self.parts = []
        for n in range(3):
            texts = [text(one) for one in rows[n]]
            self.parts.append(write_part(self.place, f"s/{n}", texts))
            choice = {"code": [one[4] for one in rows[n]], "priority": [one[2] for one in rows[n]]}
            write_choices(self.place.path("choices"), n, stratum=[self.names[one[1]] for one in rows[n]], **choice)
            halves = [{m: rows[n][m][3] for m in range(k, len(rows[n]), 2)} for k in range(2)]
            write_tokens(self.place, "tok", self.parts[n], [half for half in halves if half])
        kept = [(one, n, m) for n in range(3) for m, one in enumerate(rows[n]) if one[4] == 0]
        # equal priorities are told apart by the id, here the hash of the text
        kept.sort(key=lambda item: (item[0][2], identity(text(item[0]))))
        self.kept = [[item for item in kept if item[0][1] == stratum] for stratum in range(2)]
        self.available = [sum(len(one[3]) for one, _, _ in self.kept[s]) for s in range(2)]
        self.weights = integer_weights(weights)
        self.picks, after = State.start(self.weights).advance(sequences)
        self.needed = [int(n) * LENGTH for n in after.given]
        counts = np.zeros((2, 2, ladder.BUCKETS), np.int64)
        for stratum in range(2):
            for one, _, _ in self.kept[stratum]:
                counts[:, stratum, one[2] >> 52] += [1, len(one[3])]
        listed = ladder.groups(counts[0], counts[1], self.needed, size=group_size)
        plan = {"strata": self.names, "weights": self.weights.tolist(), "available": self.available}
        plan |= {"needed": self.needed, "groups": ladder.groups_json(listed), "sequence_length": LENGTH}
        self.plan = self.place.path("ladder", "plan.json")
        store.write_json(self.plan, {**plan, "dtype": "uint16"})
        self.listing = self.place.path("parts.json")
        store.write_json(self.listing, {"parts": [part.to_json() for part in self.parts]})
        pairs = [pair for n, part in enumerate(self.parts) for pair in ladder.emit_order(self._task(part, n))]
        reduce = {"folders": [self.place.path("ladder")], "pieces": [0]}
        exchange(exchange(pairs, ladder.order_group, reduce), ladder.write_places, reduce)

    def _task(self, part, n):
        more = {"choices": self.place.path("choices"), "tokenizer": "tok", "plan": self.plan}
        return payload(self.place, part, n, number=0, **more)

    def shard(self, first, count, name="0", input_ids="list"):
        state = State.start(self.weights).advance(first)[1]
        paths = {key: self.place.path("out", f"{key}-{name}") for key in ("shard", "documents", "marker")}
        task = {"store": self.place.root, "plan": self.plan, "parts": self.listing, "folder": self.place.path("ladder")}
        task |= {"input_ids": input_ids, "tokenizer": "tok", "first": first, "count": count, "identity": "i", **paths}
        pack.write_shard({**task, "given": state.given.tolist()})
        return paths


@settings(max_examples=25)
@given(pools(), st.data())
def test_shards_equal_one_long_concatenation(tmp_path_factory, pool, data):
    documents, sequences, weights, group_size = pool
    if {one[1] for one in documents if one[4] == 0} != {0, 1}:
        return  # a stratum of nothing is refused before
    made = Made(tmp_path_factory.mktemp("pack"), documents, sequences, weights, group_size=group_size)
    expected = naive.stream([[one[3] for one, _, _ in made.kept[s]] for s in range(2)], made.picks, LENGTH)
    cut = data.draw(st.integers(0, sequences))
    found, stands = [], []
    for first, count in ((0, cut), (cut, sequences - cut)):
        if count:
            paths = made.shard(first, count)
            table = pq.read_table(paths["shard"])
            found += table.column("input_ids").to_pylist()
            assert table.column("stratum").to_pylist() == [made.names[n] for n in made.picks[first : first + count]]
            at = pq.read_table(paths["documents"]).to_pylist()
            stands += at
            for n, starts in enumerate(table.column("document_starts").to_pylist()):
                of_this = [row["position"] for row in at if row["sequence"] == first + n and row["offset"] == 0]
                assert starts == of_this
    assert found == expected
    check_stands(made, stands, expected)


def check_stands(made, stands, expected):
    """Every token of every sequence is the one that the documents table says stands there."""
    texts = {identity(text(one)): one[3] for stratum in made.kept for one, _, _ in stratum}
    filled = [[None] * LENGTH for _ in expected]
    for row in stands:
        tokens = texts[row["document"]][row["offset"] : row["offset"] + row["length"]]
        assert len(tokens) == row["length"]
        filled[row["sequence"]][row["position"] : row["position"] + row["length"]] = tokens
    assert filled == expected
    assert [(row["sequence"], row["position"]) for row in stands] == sorted(
        (r["sequence"], r["position"]) for r in stands
    )


@settings(max_examples=20)
@given(pools())
def test_places_and_ledger_tell_what_stands_in_the_stream(tmp_path_factory, pool):
    documents, sequences, weights, group_size = pool
    made = Made(tmp_path_factory.mktemp("ledger"), documents, sequences, weights, group_size=group_size)
    rungs = sorted({1, sequences})
    ends = [[int((made.picks[:n] == s).sum()) * LENGTH for s in range(2)] for n in rungs]
    expected = {}
    for stratum in range(2):
        offset = 0
        for one, part, row in made.kept[stratum]:
            rung = next((n for n in range(len(rungs)) if offset < ends[n][stratum]), None)
            expected[part, row] = (rung, len(one[3]))
            offset += len(one[3])
    for n, part in enumerate(made.parts):
        paths = {key: made.place.path("out", f"{key}{n}") for key in ("ledger", "marker")}
        task = payload(
            made.place, part, n, choices=made.place.path("choices"), held_out=None, rules=["a", "b", "c"], edits={}
        )
        task |= {key: made.place.path("ladder", key) for key in ("places", "refused")}
        task |= {"rungs": [f"r{m}" for m in rungs], "ends": ends}
        ledger.write_ledger({**task, **paths, "identity": "i"})
        rows = pq.read_table(paths["ledger"]).to_pylist()
        assert len(rows) == part.rows
        for m, row in enumerate(rows):
            rung, tokens = expected.get((n, m), (None, None))
            told = (row["outcome"], row["tokens"], row["first_rung"], row["reason"])
            if (n, m) not in expected:
                assert told == ("dropped", None, None, "c")
            elif rung is None:
                assert told == ("over_budget", None, None, None)
            else:
                assert told == ("kept", tokens, f"r{rungs[rung]}", None)


def test_binary_sequences_are_the_ids_bytes(tmp_path):
    documents = [(0, 0, 1 << 60, [1, 2, 3, END], 0, 0), (1, 1, 2 << 60, [7] * 90 + [END], 0, 1)]
    made = Made(tmp_path, documents, 1, (0, 1), group_size=1)
    tables = [pq.read_table(made.shard(0, 1, kind, kind)["shard"]) for kind in ("list", "binary")]
    assert tables[0].drop_columns("input_ids") == tables[1].drop_columns("input_ids")
    (ids,), (data,) = (table.column("input_ids").to_pylist() for table in tables)
    assert tables[1].schema.field("input_ids").type == pa.binary(2 * LENGTH)
    assert np.frombuffer(data, "<u2").tolist() == ids


def test_a_marker_says_what_was_written(tmp_path):
    documents = [
        (0, 0, 1 << 60, [1, 2, 3, END], 0, 0),
        (1, 1, 2 << 60, [7] * 90 + [END], 0, 1),
        (2, 0, 3 << 60, [5] * 60 + [END], 0, 2),
    ]
    made = Made(tmp_path, documents, 6, (1, 1), group_size=1)
    paths = made.shard(0, 6)
    marker = store.read_json(paths["marker"])
    data = store.read_bytes(paths["shard"])
    digest = hashlib.sha256(data).hexdigest()
    table = hashlib.sha256(store.read_bytes(paths["documents"])).hexdigest()
    counts = {"bytes": len(data), "sequences": 6, "tokens": 6 * LENGTH}
    written = {"shard": len(data), "documents": len(store.read_bytes(paths["documents"]))}
    assert marker == {"identity": "i", "sha256": digest, "documents_sha256": table, "written": written, **counts}
    first = {path: store.read_bytes(path) for path in paths.values()}
    made.shard(0, 6)
    assert {path: store.read_bytes(path) for path in paths.values()} == first


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=30),
    st.integers(1, 150),
    st.integers(1, 9),
)
def test_groups_equal_a_plain_walk(buckets, need, size):
    documents = np.array([[count for count, _ in buckets]])
    tokens = np.array([[count * each for count, each in buckets]])
    found = ladder.groups(documents, tokens, [need], size=size)
    expected = naive.groups(documents[0].tolist(), tokens[0].tolist(), need, size)
    assert [(g.first, g.stop, g.base, g.tokens) for g in found] == expected


def test_segments_add_up(tmp_path):
    place = Store(str(tmp_path))
    part = write_part(place, "s/0", ["a", "b", "c", "d"])
    assert segments.counts(place, "tok", part.id, 4).tolist() == [0] * 4
    write_tokens(place, "tok", part, [{2: [5, 6, END], 0: [END]}])
    write_tokens(place, "tok", part, [{1: [9, END]}])
    store.write_bytes(place.path("tokens", "tok", part.id, "half.tokens"), b"written, but its index is not")
    assert segments.counts(place, "tok", part.id, 4).tolist() == [1, 2, 3, 0]
    reader = segments.Reader(place, "tok", part.id)
    asked = [(2, 0, 3, [5, 6, END]), (2, 1, 2, [6]), (1, 0, 2, [9, END]), (0, 0, 1, [END]), (1, 1, 1, [])]
    rows, starts, stops = np.array([one[:3] for one in asked]).T
    lengths = stops - starts
    out = np.zeros(lengths.sum() + 1, np.uint16)
    reader.copy(rows, starts, lengths, np.cumsum(lengths) - lengths, out)
    assert out.tolist() == [*itertools.chain(*(one[3] for one in asked)), 0]
    for row, start, length in [(3, 0, 1), (2, 1, 3)]:
        with pytest.raises(ValueError, match="1 of 1 documents have not so many tokens in the segments of their part"):
            reader.copy(*(np.array([value]) for value in (row, start, length, 0)), out)
