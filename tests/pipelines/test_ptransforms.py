"""PTransforms for anyone's pipeline: the functions on batches, and all of them wired on the FnApiRunner."""

from __future__ import annotations

import hashlib

import apache_beam as beam
import little
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.measures.lengths import Lengths
from tokenladder.filters.rules.gopher import Gopher
from tokenladder.pipelines import batches, ptransforms
from tokenladder.pipelines.drivers import deduplicate
from tokenladder.pipelines.files.store import UserError
from tokenladder.pipelines.ptransforms import (
    ClusterDuplicates,
    EncodeDocuments,
    Near,
    ReadDocuments,
    ScoreDocuments,
    Source,
    survivors,
)
from tokenladder.pipelines.watch.progress import Reporter
from tokenladder.tokenizers.sections import BytesSection, HuggingFaceSection, TrainHuggingFace

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
NEAR = Near(unit="words")


def table(rows):
    schema = pa.schema([("name", pa.string()), ("text", pa.string())])
    return pa.Table.from_pylist([{"name": row["id"], "text": row["text"]} for row in rows], schema)


def cut(rows, sizes):
    """Batches of the given sizes, again and again, until no row is left."""
    at, found = 0, []
    while at < len(rows):
        size = sizes[len(found) % len(sizes)]
        found.append(table(rows[at : at + size]).combine_chunks().to_batches()[0])
        at += size
    return found


def grouped(pairs):
    groups = {}
    for bucket, value in pairs:
        groups.setdefault(bucket, []).append(value)
    return groups.items()


def clustered(found, near=NEAR):
    """What the transform does, without Beam."""
    signed = [batches.sign(batch, near) for batch in found]
    edges = [batches.link(values) for _, values in grouped(pair for one in signed for pair in batches.bands(one, near))]
    labels = batches.connect(edges)
    inside = grouped(pair for one in signed for pair in batches.candidates(one, near, labels))
    led = batches.gather([batches.lead(values, near) for _, values in inside])
    return [batches.add_clusters(batch, near.text, led) for batch in found]


def told(found):
    """Cluster columns of every row by its name."""
    columns = ("cluster.leader", "cluster.leads", "cluster.similarity", "cluster.size")
    return {row["name"]: tuple(row[column] for column in columns) for batch in found for row in batch.to_pylist()}


def test_clusters_are_those_of_the_command(tmp_path):
    rows = little.corpus(3, 150, neighbours=60)  # no equal texts: of those the command keeps the first row
    found = told(clustered(cut(rows, [40])))
    pq.write_table(table(rows), tmp_path / "in.parquet")
    deduplicate.deduplicate(
        [str(tmp_path / "in.parquet")], str(tmp_path / "out"), NEAR, "marked", workers=1, report=Reporter(quiet=True)
    )
    marked = pq.read_table(tmp_path / "out" / "in.parquet").to_pylist()
    expected = {
        row["name"]: (row["cluster"], not row["duplicate"], row["similarity"], row["cluster_size"]) for row in marked
    }
    assert {name: (cluster.hex(), *rest) for name, (cluster, *rest) in found.items()} == expected
    assert sum(not leads for _, leads, *_ in found.values()) == 10


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.randoms(use_true_random=False))
@little.few(6)
def test_batches_and_order_change_nothing(sizes, rng):
    rows = little.corpus(5, 60, copies=8, neighbours=25)
    expected = told(clustered(cut(rows, [len(rows)])))
    rng.shuffle(rows)
    assert told(clustered(cut(rows, sizes))) == expected


def test_one_of_equal_texts_leads_and_rows_without_text_do_not():
    rows = [
        {"id": name, "text": text} for name, text in (("a", "One two."), ("b", "One two."), ("c", "!"), ("d", None))
    ]
    found = told(clustered(cut(rows, [1])))
    assert sorted(found[name][1] for name in "ab") == [False, True]
    assert {found[name][2:] for name in "ab"} == {(1.0, 2)}
    assert found["c"][1:] == (True, 1.0, 1)
    assert found["d"] == (None, None, None, None)
    assert [row["name"] for batch in clustered(cut(rows, [4])) for row in survivors(batch).to_pylist()][1:] == ["c"]


TEXT = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_text_and_names_may_be_of_any_kind_of_string(kind):
    plain = {"text": pa.array([TEXT, None, TEXT]), "name": pa.array(["a", "b", "c"])}
    other = pa.record_batch({name: column.cast(kind) for name, column in plain.items()})
    plain = pa.record_batch(plain)
    assert batches.sign(other, NEAR) == batches.sign(plain, NEAR)
    found = batches.add_scores(other, {"lengths": Lengths()})
    assert found.columns[2:] == batches.add_scores(plain, {"lengths": Lengths()}).columns[2:]
    assert found.schema.field("text").type == kind
    section = '{"type": "bytes"}'
    assert batches.add_tokens(other, section, "").column(2) == batches.add_tokens(plain, section, "").column(2)


def test_what_a_batch_lacks_is_told():
    with pytest.raises(ValueError, match="reads the column 'text', but the batch holds these columns: body"):
        batches.sign(pa.record_batch({"body": [TEXT]}), NEAR)
    with pytest.raises(ValueError, match="reads the column 'text' as text, but it holds int64"):
        batches.add_clusters(pa.record_batch({"text": [1]}), "text", b"")
    with pytest.raises(ValueError, match="of equal text apart by a column 'name'"):
        batches.sign(pa.record_batch({"text": [TEXT], "n": [1]}), NEAR)
    own = pa.record_batch({"text": [TEXT, TEXT], "name": ["a", "b"], "document": ["x", "y"]})  # ids of another kind
    assert batches.sign(own, NEAR) == batches.sign(own.drop_columns("document"), NEAR)
    by_record = own.rename_columns(["text", "record", "document"])
    assert [row["cluster.leads"] for row in clustered([by_record])[0].to_pylist()].count(True) == 1


def test_two_of_a_kind_stand_in_one_pipeline():
    with beam.Pipeline(runner=RUNNER) as pipeline:
        made = pipeline | beam.Create([pa.record_batch({"text": [TEXT]})])
        made |= ScoreDocuments({"a": Lengths()})
        made |= ScoreDocuments({"b": Lengths()})
        made | beam.Map(lambda batch: batch.column("b.words")[0].as_py() == 10 or 1 / 0)


def test_no_document_at_all():
    assert clustered([]) == []
    empty = clustered([pa.RecordBatch.from_pylist([], table([]).schema)])
    assert [batch.num_rows for batch in empty] == [0]


def test_a_coder_writes_the_rows_of_a_slice_and_no_more():
    whole = table(little.corpus(1, 4000)).combine_chunks().to_batches()[0]
    coder = beam.coders.registry.get_coder(pa.RecordBatch)
    assert isinstance(coder, ptransforms.BatchCoder)
    part = whole.slice(2000, 5)
    assert coder.decode(coder.encode(part)).equals(part)
    assert len(coder.encode(part)) < 10 * part.get_total_buffer_size() / 400
    assert not coder.is_deterministic()


def write(batch, folder):
    data = ptransforms.BatchCoder().encode(batch)
    (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)


def run(folder, *transforms, mode="in_memory"):
    """The rows that a pipeline ends with, by name; `folder` holds them meanwhile."""
    folder.mkdir()
    workers = 1 if mode == "in_memory" else 2
    options = PipelineOptions(direct_running_mode=mode, direct_num_workers=workers, runner=RUNNER)
    with beam.Pipeline(options=options) as pipeline:
        end = pipeline
        for transform in transforms:
            end |= transform
        end | "Write" >> beam.Map(write, folder)
    found = [ptransforms.BatchCoder().decode(path.read_bytes()) for path in folder.iterdir()]
    return {row["name"]: row for batch in found for row in batch.to_pylist()}


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading"])
def test_all_of_them_in_one_pipeline(tmp_path, mode):
    rows = little.corpus(7, 60, neighbours=15)
    for n in range(3):
        little.write_warc(tmp_path / f"{n}.warc.gz", rows[25 * n : 25 * n + 25])
    near = Near(unit="words")
    found = run(
        tmp_path / "out",
        ReadDocuments(Source("warc", str(tmp_path / "*.warc.gz"), extract="resiliparse")),
        ScoreDocuments({"lengths": Lengths(), "gopher": Gopher()}),
        ClusterDuplicates(near),
        EncodeDocuments(BytesSection()),
        mode=mode,
    )
    assert sorted(found) == sorted(f"http://example.org/{row['id']}" for row in rows)
    texts = {row["id"]: found[f"http://example.org/{row['id']}"]["text"] for row in rows}
    by_hand = told(clustered(cut([{"id": name, "text": text} for name, text in texts.items()], [7])))
    for name, text in texts.items():
        row = found[f"http://example.org/{name}"]
        assert row["document"].hex() == little.document_id(text)
        assert bytes(row["input_ids"]).decode() == text
        assert row["lengths.words"] == len(text.split())
        assert isinstance(row["gopher.reason"], str)
        assert (row["cluster.leader"], row["cluster.size"]) == (by_hand[name][0], by_hand[name][3])
    assert any(not row["cluster.leads"] for row in found.values())


def test_a_record_without_a_document_is_a_row_that_says_why(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"id": "a", "text": "Some words."}\n{"id": "b", "text": 7}\n')
    near = Near(unit="words")
    found = run(
        tmp_path / "out",
        ReadDocuments(Source("jsonl", str(tmp_path / "bad.jsonl"))),
        ScoreDocuments({"lengths": Lengths()}),
        ClusterDuplicates(near),
        EncodeDocuments(BytesSection()),
    )
    good, bad = found.pop("a"), found.popitem()[1]
    assert (good["lengths.words"], good["input_ids"], good["cluster.leads"]) == (2, list(b"Some words."), True)
    assert (bad["text"], bad["outcome"], bad["input_ids"], bad["cluster.leads"]) == (None, "rejected", None, None)
    assert "text" in bad["reason"]


def test_a_tokenizer_that_is_still_to_be_trained_is_refused(tmp_path):
    little.write_jsonl(tmp_path / "a.jsonl", little.corpus(1, 2))
    section = HuggingFaceSection(train=TrainHuggingFace(500, "1MB"))
    with pytest.raises(
        UserError, match=r"EncodeDocuments: this tokenizer is still to be trained\. Give one with a path"
    ):
        run(tmp_path / "out", ReadDocuments(Source("jsonl", str(tmp_path / "a.jsonl"))), EncodeDocuments(section))


def test_what_is_no_source_or_no_score_is_told_before_the_pipeline_runs():
    with pytest.raises(UserError, match=r"ReadDocuments: 'web/\*\.warc' is no source, such as Source\('warc', 'crawl"):
        ptransforms.ReadDocuments("web/*.warc")
    for wrong in (Gopher(), {"gopher": "gopher"}):
        with pytest.raises(UserError, match=r"ScoreDocuments: .*: give scores by name, such as {'gopher'"):
            ptransforms.ScoreDocuments(wrong)
