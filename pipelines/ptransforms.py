"""PTransforms for anyone's own Beam pipeline: read, score, find near duplicates, encode.

Elements are Arrow record batches, of some thousand rows. These transforms wire the very functions of a build (through
`batches`), and promise less than a build does: no ledger, no budgets, nothing kept between runs. Use a study where
those matter, and these where documents go on into a pipeline of your own. Batches of your own need a column of text,
and for `ClusterDuplicates` one of names. The same transform twice in one pipeline gets a label:
`documents | "Again" >> ClusterDuplicates()`.

    with beam.Pipeline() as pipeline:
        (
            pipeline
            | ReadDocuments(Source("warc", "crawl/*.warc.gz"))
            | ScoreDocuments({"gopher": Gopher()})
            | ClusterDuplicates()
            | beam.Map(survivors)
        )

Importing this module registers the coder for batches: Arrow's IPC format, which writes a slice's own rows only. Beam's
own choice would be pickle, which writes the whole buffer that a slice was cut from: 1.73 MB for 5 rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import apache_beam as beam
import pyarrow as pa
from pydantic import TypeAdapter

from .. import filters
from ..tokenizers.sections import TokenizerSection
from . import batches
from .batches import survivors
from .drivers.deduplicate import Near
from .files import store
from .formats import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..filters.family import Family

__all__ = ["ClusterDuplicates", "EncodeDocuments", "Near", "ReadDocuments", "ScoreDocuments", "Source", "survivors"]


class BatchCoder(beam.coders.Coder):
    """Record batches as Arrow IPC streams of one batch."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """One stream: schema, then rows."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as stream:
            stream.write_batch(value)
        return bytes(sink.getvalue())

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """The batch; its columns are views of the bytes."""
        with pa.ipc.open_stream(encoded) as stream:
            return stream.read_next_batch()

    def is_deterministic(self) -> bool:
        """No: equal rows may differ in what stands under their nulls, so batches are no keys."""
        return False

    def to_type_hint(self) -> type[pa.RecordBatch]:
        """What it is registered for."""
        return pa.RecordBatch  # type: ignore[no-any-return] # pyarrow has no types


beam.coders.registry.register_coder(pa.RecordBatch, BatchCoder)


class Score(beam.DoFn):
    """Adds scores; each worker opens their models once."""

    def __init__(self, scores: Mapping[str, Family]) -> None:
        """Keep types and parameters: models do not travel."""
        self._specs = {
            name: (one.type, dataclasses.asdict(one))  # type: ignore[call-overload] # every family is a dataclass
            for name, one in scores.items()
        }
        self._families: dict[str, Family] = {}

    def setup(self) -> None:
        """Open what the scores need."""
        self._families = {name: filters.build(kind, fields) for name, (kind, fields) in self._specs.items()}

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yield the batch with the columns of all scores."""
        yield batches.add_scores(batch, self._families)


@dataclasses.dataclass(eq=False)
class ReadDocuments(beam.PTransform):
    """From files to batches of documents: the columns of `schema.PART`, a row for each record.

    A record that gave no document is a row with `text` null, and says why in `outcome` and `reason`: nothing is lost in
    silence. Files are listed when the pipeline runs, so the graph's size does not depend on them. Each slice is read in
    a child process, whose documents pass through the worker's folder for temporary files (at most `part_bytes`, 128
    MiB, more than the slice's text).

    Attributes:
        source: Format, paths and the like, as in a study; relative paths start at the working directory.
    """

    source: Source

    def __post_init__(self) -> None:
        """Refuse what is no source while the pipeline is written.

        Raises:
            UserError: It is none.
        """
        given: object = self.source
        if not isinstance(given, Source):
            raise store.UserError(f"ReadDocuments: {given!r} is no source, such as Source('warc', 'crawl/*.warc.gz').")

    def default_label(self) -> str:
        """Names the files, so that several of these can stand in one pipeline."""
        return f"ReadDocuments({', '.join(self.source.paths)})"

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[pa.RecordBatch]:
        """List, spread, read."""
        source = batches.located(self.source)
        slices = pipeline | "Name the source" >> beam.Create([source])
        slices |= "List slices" >> beam.FlatMap(batches.list_slices).with_output_types(str)
        slices |= "Spread slices" >> beam.Reshuffle()
        return slices | "Read slices" >> beam.FlatMap(_read, source).with_output_types(pa.RecordBatch)


def _read(piece: str, source: str) -> Iterator[pa.RecordBatch]:
    yield from batches.read_slice(source, piece)


@dataclasses.dataclass(eq=False)
class ScoreDocuments(beam.PTransform):
    """Batches with scores: each adds its columns as `NAME.column`, in this process. Scores never drop a row.

    Attributes:
        scores: By name, from `tokenladder.filters.build` or their classes.
    """

    scores: Mapping[str, Family]

    def __post_init__(self) -> None:
        """Refuse what are no scores while the pipeline is written.

        Raises:
            UserError: They are none.
        """
        given: object = self.scores
        if not isinstance(given, Mapping) or not all(dataclasses.is_dataclass(one) for one in given.values()):
            raise store.UserError(f"ScoreDocuments: {given!r}: give scores by name, such as {{'gopher': Gopher()}}.")

    def default_label(self) -> str:
        """Names the scores, so that several of these can stand in one pipeline."""
        return f"ScoreDocuments({', '.join(self.scores)})"

    def expand(self, documents: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        """One step."""
        return documents | "Score" >> beam.ParDo(Score(self.scores)).with_output_types(pa.RecordBatch)


@dataclasses.dataclass(eq=False)
class ClusterDuplicates(beam.PTransform):
    """Batches with the cluster of each document: bands of signatures give candidates, Jaccard similarity decides.

    Adds `cluster.leader` (binary[16], the id of the document that leads), `cluster.leads` (bool), `cluster.similarity`
    (float32, estimated, to the leader) and `cluster.size` (int32); null where text is. `survivors` keeps the leaders.
    Which document leads depends on contents alone, and among equal texts on hashes of `name` and `record`: never on
    batches, workers or order. Rows that are equal in all three all lead.

    Only keys are grouped: 444 bytes a document with the default signature. The components of candidates (16 bytes for
    each document that has one) and the clusters of two or more (49 bytes a document) are side inputs, whole in each
    worker's memory: enough for tens of millions of near duplicates. A study's `[dedup]` has no such limit.

    Attributes:
        near: What counts as a near duplicate.
    """

    near: Near = dataclasses.field(default_factory=Near)

    def expand(self, documents: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        """Sign, find candidates, connect them, choose leaders, tell each document."""
        pairs = tuple[int, bytes]
        single = beam.pvalue.AsSingleton
        signed = documents | "Sign" >> beam.Map(batches.sign, self.near).with_output_types(bytes)
        edges = signed | "Bands" >> beam.FlatMap(batches.bands, self.near).with_output_types(pairs)
        edges |= "Group bands" >> beam.GroupByKey()
        edges |= "Link" >> beam.Map(_link).with_output_types(pairs)
        labels = edges | "Group edges" >> beam.GroupByKey()
        labels |= "Connect" >> beam.Map(_connect).with_output_types(bytes)
        found = signed | "Candidates" >> beam.FlatMap(
            batches.candidates, self.near, single(labels, default_value=b"")
        ).with_output_types(pairs)
        found |= "Group candidates" >> beam.GroupByKey()
        found |= "Lead" >> beam.Map(_lead, self.near).with_output_types(pairs)
        led = found | "Group clusters" >> beam.GroupByKey()
        led |= "Gather" >> beam.Map(_gather).with_output_types(bytes)
        return documents | "Tell clusters" >> beam.Map(
            batches.add_clusters, self.near.text, single(led, default_value=b"")
        ).with_output_types(pa.RecordBatch)


def _link(group: tuple[int, Iterable[bytes]]) -> tuple[int, bytes]:
    return 0, batches.link(group[1])


def _connect(group: tuple[int, Iterable[bytes]]) -> bytes:
    return batches.connect(group[1])


def _lead(group: tuple[int, Iterable[bytes]], near: Near) -> tuple[int, bytes]:
    return 0, batches.lead(group[1], near)


def _gather(group: tuple[int, Iterable[bytes]]) -> bytes:
    return batches.gather(group[1])


@dataclasses.dataclass(eq=False)
class EncodeDocuments(beam.PTransform):
    """Batches with `input_ids`: each text's tokens, without an end-of-document token; null where text is.

    Attributes:
        tokenizer: The study's section, such as `HuggingFaceSection(path="tokenizer.json")`; not one that is still to be
            trained.
    """

    tokenizer: TokenizerSection

    def expand(self, documents: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        """One step; each worker opens the tokenizer once.

        Raises:
            UserError: It is still to be trained.
        """
        if getattr(self.tokenizer, "train", None) is not None:
            raise store.UserError("EncodeDocuments: this tokenizer is still to be trained. Give one with a path.")
        section = TypeAdapter(TokenizerSection).dump_json(self.tokenizer).decode()
        path = getattr(self.tokenizer, "path", None)
        model = store.absolute(path) if path else ""
        step = beam.Map(batches.add_tokens, section, model).with_output_types(pa.RecordBatch)
        return documents | "Encode" >> step
