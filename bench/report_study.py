"""A study whose report shows all that a report can: six recipes, curricula, labels, hosts, years and near duplicates.

Its documents are made words, short, so that a million of them are built in minutes: what a page weighs depends on
recipes, rules, scores and samples, not on the length of documents.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

WORDS = 4000
"""Different words; how common each is falls with its rank, as in a language."""

WRITTEN = 20_000
"""Documents that are made at a time."""

SOURCES = {"news": (0.55, 14, 60), "forum": (0.3, 8, 40), "books": (0.15, 30, 90)}
"""Of each source its share of the documents, and between how many words they have."""

STUDY = """
name = "a-study-of-a-million"
seed = 3
budgets = {budgets}
sequence_length = 256
tokenizer = {{ type = "bytes" }}
held_out = {{ tokens = {held_out} }}
shard_tokens = {shard}

[sources]
news  = {{ format = "jsonl", path = "news-*.jsonl" }}
forum = {{ format = "jsonl", path = "forum-*.jsonl" }}
books = {{ format = "jsonl", path = "books-*.jsonl" }}

[scores]
lengths = {{ type = "lengths" }}
gopher = {{ type = "gopher", min_words = 10, min_stop_words = 0 }}
compression = {{ type = "compression" }}
language = {{ type = "fasttext", model = "lid.176.ftz" }}

[recipes.everything]
[recipes.long]
keep = [{{ score = "lengths.words", min = 20 }}]
[recipes.middle]
keep = [{{ score = "lengths.words", min = 12, max = 50 }}, {{ score = "compression", min = 0.3, max = 0.9 }}]
[recipes.dense]
keep = [{{ score = "compression", top = 0.5 }}]
[recipes.each]
keep = [{{ score = "compression", top = 0.5, within = "strata" }}]
[recipes.strict]
base = "long"
keep = [{{ score = "gopher", is = "pass" }}, {{ score = "compression", min = 0.45 }}]

[curricula]
short-first = {{ recipe = "everything", rung = {rung}, sort = "lengths.words" }}
dense-first = {{ recipe = "everything", rung = {rung}, sort = "compression", order = "descending" }}
"""


def write_study(folder: Path, documents: int) -> Path:
    """Write the study and its input; its path.

    Args:
        folder: Where to.
        documents: How many in all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    letters = np.array(list("aeiounrstlmkdp"))
    words = np.array(["".join(rng.choice(letters, size)) for size in rng.integers(2, 9, WORDS)], dtype=object)
    shares = 1 / np.arange(3, WORDS + 3)
    shares /= shares.sum()
    size = 0
    for source, (share, least, most) in SOURCES.items():
        wanted = round(documents * share)
        for begin in range(0, wanted, WRITTEN):
            count = min(WRITTEN, wanted - begin)
            lengths = rng.integers(least, most, count)
            ends = np.cumsum(lengths)
            drawn = words[rng.choice(WORDS, ends[-1], p=shares)]
            texts = [" ".join(drawn[end - n : end]) + "." for end, n in zip(ends, lengths, strict=True)]
            copied = rng.random(count) < 0.04
            lines = []
            for n in range(count):
                text = f"{texts[n // 50]} again" if copied[n] else texts[n]
                size += len(text)
                host = int(rng.pareto(1.2) * 5) % 300
                name = f"https://{source}{host}.example/{begin + n}"
                row = {"id": name, "text": text, "date": f"{2015 + n % 9}-05-01"}
                lines.append(json.dumps(row) + "\n")
            (folder / f"{source}-{begin // WRITTEN:04d}.jsonl").write_text("".join(lines), encoding="utf-8")
    rung = size // 20 // 256 * 256
    budgets = [rung // 8, rung // 4, rung // 2, rung, rung * 2]
    study = folder / "study.toml"
    told = STUDY.format(budgets=budgets, held_out=rung // 50, shard=max(256, rung // 8), rung=rung)
    study.write_text(told, encoding="utf-8")
    return study
