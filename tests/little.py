"""Little studies: generated documents with planted duplicates, built in a moment, and read back plainly."""
# ruff: noqa: S311, ARG002 documents drawn at random are no secrets; an engine has the arguments of the other

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LENGTH = 64
"""Tokens in a sequence of a little study."""

VOCABULARY = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "s", "la", "ro", "mi", "tek")]


# documents


def text(rng, words):
    """A document of random words, five to a line."""
    chosen = [rng.choice(VOCABULARY) for _ in range(words)]
    return "\n".join(" ".join(chosen[n : n + 5]) for n in range(0, words, 5))


def near(rng, original, changes):
    """The same document with so many words replaced; each takes up to five shingles of five words away."""
    lines = [line.split(" ") for line in original.split("\n")]
    for _ in range(changes):
        line = rng.randrange(len(lines))
        lines[line][rng.randrange(len(lines[line]))] = f"new{rng.randrange(10**6)}"
    return "\n".join(" ".join(line) for line in lines)


def corpus(seed, count, *, prefix="d", words=(10, 90), copies=0, neighbours=0):
    """Rows of `id` and `text`: `count` documents, then exact copies, then near ones with 1 to 12 words replaced."""
    rng = random.Random(f"{seed}/{prefix}")
    texts = [text(rng, rng.randint(*words)) for _ in range(count)]
    texts += [texts[rng.randrange(count)] for _ in range(copies)]
    texts += [near(rng, texts[rng.randrange(count)], 1 + n % 12) for n in range(neighbours)]
    return [{"id": f"{prefix}{n}", "text": one} for n, one in enumerate(texts)]


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def warc_record(row, body=None):
    """One WARC response; `body` in place of a page with the row's text."""
    page = (
        "<html><body><main>" + "".join(f"<p>{line}</p>" for line in row["text"].split("\n")) + "</main></body></html>"
    )
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + (body or page.encode())
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2024-01-01T00:00:00Z\r\nWARC-Target-URI: http://example.org/"
        f"{row['id']}\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def write_warc(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(gzip.compress(warc_record(row), mtime=0) for row in rows))
    return path


def write_tree(folder, rows):
    for row in rows:
        path = folder / f"{row['id']}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(row["text"])
    return folder


# studies


def toml(value):
    """A value as TOML writes it inside a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)


def write_study(folder, sources, **settings):
    """A study file; `sources` gives each source's path, or its whole table."""
    whole = {
        "name": "little",
        "seed": 7,
        "budgets": [20 * LENGTH, 60 * LENGTH],
        "sequence_length": LENGTH,
        "shard_tokens": 25 * LENGTH,
        "tokenizer": {"type": "bytes"},
        "recipes": {"all": {}},
        **settings,
        "sources": {
            name: value if isinstance(value, dict) else {"format": "jsonl", "path": str(value)}
            for name, value in sources.items()
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.toml"
    path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in whole.items()))
    return path


def few(examples):
    """So many examples, and no search for a smaller one that fails: it would build hundreds of times."""
    from hypothesis import Phase, settings

    return settings(max_examples=examples, phases=[Phase.explicit, Phase.generate])


class Eager:
    """The engine without Beam: every task in this thread, one after the other, groups in a shuffled order."""

    def __init__(self, folder, arguments=()):
        self._rng = random.Random(str(arguments))

    def each(self, label, target, payloads, *, isolated=False):
        from tokenladder.pipelines.engines.targets import resolve

        for payload in self._shuffled(payloads):
            resolve(target)(json.loads(json.dumps(payload)))

    def exchange(self, label, emit, reduces, payloads, volume=0):
        from tokenladder.pipelines.engines.targets import resolve

        pairs = [pair for payload in payloads for pair in resolve(emit)(json.loads(json.dumps(payload)))]
        for target, payload in reduces:
            groups = {}
            for bucket, values in self._shuffled(pairs):
                groups.setdefault(bucket, []).append(values)
            pairs = [
                pair
                for bucket, values in groups.items()
                for pair in resolve(target)(bucket, values, json.loads(json.dumps(payload)))
            ]

    def _shuffled(self, values):
        return self._rng.sample(list(values), len(values))


def build(study, out, *, store=None, beam=None):
    """Build a study: without Beam, or with the given options of Beam's. Returns what was made."""
    from tokenladder.pipelines.drivers import build as module
    from tokenladder.pipelines.drivers.plan import make_plan
    from tokenladder.pipelines.study.file import load
    from tokenladder.pipelines.watch.progress import Reporter

    engine = module.Engine
    if beam is None:
        module.Engine = Eager
    try:
        plan = make_plan(load(str(study)), str(out), None if store is None else str(store))
        return Result(out, module.build(plan, Reporter(quiet=True), beam or ()))
    finally:
        module.Engine = engine


# results


def files(folder):
    """Bytes of every file below a folder but for the store and the marks of finished files, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in {".store", ".build"}
    }


def differing(first, second):
    """Names of the files that differ; a test compares these, for the difference of long bytes takes minutes to show."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def stamps(folder):
    """When each file below a folder was last written, and as which file, but for the lock."""
    found = ((path, path.stat()) for path in sorted(Path(folder).rglob("*")) if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): (status.st_mtime_ns, status.st_ino) for path, status in found}


class Result:
    """A finished build, read back from its files."""

    def __init__(self, out, manifest):
        self.out = Path(out)
        self.manifest = manifest

    def rungs(self, recipe="all"):
        return {rung["name"]: rung for rung in self.manifest["recipes"][recipe]["rungs"]}

    def shards(self, recipe="all", rung=-1):
        """The table of all sequences of a rung, the largest one by default."""
        listed = self.manifest["recipes"][recipe]["rungs"][rung]["shards"]
        return pa.concat_tables([pq.read_table(self.out / shard["path"]) for shard in listed])

    def tokens(self, recipe="all", rung=-1):
        """(token ids of shape (sequences, length), stratum of each sequence)."""
        table = self.shards(recipe, rung)
        ids = np.array(table.column("input_ids").to_pylist())
        return ids, np.array(table.column("stratum").to_pylist())

    def stream(self, stratum, recipe="all", rung=-1):
        """All token ids of one stratum, in order."""
        ids, strata = self.tokens(recipe, rung)
        return ids[strata == stratum].ravel()

    def texts(self, stratum, recipe="all", rung=-1):
        """The stream of a stratum as texts; the last may be cut."""
        return decoded(self.stream(stratum, recipe, rung), self.manifest)

    def documents(self, recipe="all", rung=-1):
        """The table of which document stands where."""
        listed = self.manifest["recipes"][recipe]["rungs"][rung]["shards"]
        return pa.concat_tables([pq.read_table(self.out / shard["documents"]) for shard in listed])

    def trained(self, recipe="all", rung=-1):
        """Hex ids of the documents in a rung, in the order in which they first stand there."""
        return list(dict.fromkeys(one.hex() for one in self.documents(recipe, rung).column("document").to_pylist()))

    def held_out(self):
        listed = self.manifest["held_out"]["shards"]
        tables = [pq.read_table(self.out / shard["documents"]) for shard in listed]
        return list(dict.fromkeys(one.hex() for one in pa.concat_tables(tables).column("document").to_pylist()))

    def ledger(self, recipe="all"):
        """All rows of a recipe's ledger, as dicts."""
        listed = self.manifest["recipes"][recipe]["ledger"]
        return pa.concat_tables([pq.read_table(self.out / one["path"]) for one in listed]).to_pylist()

    def bins(self, recipe="all"):
        """Name of each record → (outcome, reason)."""
        return {row["name"]: (row["outcome"], row["reason"]) for row in self.ledger(recipe)}


def decoded(stream, manifest):
    """Tokens of the bytes tokenizer as texts, cut at the end-of-document token."""
    end = manifest["tokenizer"]["end_of_document"]
    pieces = np.split(stream, np.flatnonzero(stream == end) + 1)
    return [bytes(piece[piece != end].tolist()).decode() for piece in pieces if len(piece)]


def document_id(one):
    """The id of a text."""
    import hashlib

    return hashlib.blake2b(one.encode(), digest_size=16).hexdigest()


def priority(one, seed=7):
    """A text's place in the order, as the README's promise 5 has it: a hash of seed and content."""
    import naive

    digest = document_id(one)
    return naive.mix64(seed, int(digest[:16], 16), int(digest[16:], 16))


def ordered(texts, seed=7):
    """Texts in the order of the stream."""
    return sorted(texts, key=lambda one: (priority(one, seed), document_id(one)))


def joined(texts, end):
    """The token stream of texts under the bytes tokenizer."""
    return [token for one in texts for token in [*one.encode(), end]]
