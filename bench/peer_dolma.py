"""Dolma's commands over JSONL. Run by peers.py, with the Python of Dolma's environment.

    python bench/peer_dolma.py {equal,rules,tokens} DOCUMENTS OUT [TOKENIZER]

DOCUMENTS holds `jsonl/documents/*.jsonl.gz` and the result is in OUT/kept or OUT/tokens. Its commands are called in one
process, so that a step of two commands starts once.

equal    `dedupe` by a Bloom filter over whole texts, then `mix`
rules    `tag` with `gopher_v2`, then `mix` with the thresholds of Gopher, as its `gopher_rules` have them
tokens   `tokens`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dolma.cli.main import main as dolma

NAME = "peer"  # of the attributes
LOW, HIGH = "<", ">"
FAILS = [
    ("word_count", LOW, 50),
    ("word_count", HIGH, 100_000),
    ("median_word_length", LOW, 3),
    ("median_word_length", HIGH, 10),
    ("symbol_to_word_ratio", HIGH, 0.1),
    ("fraction_of_words_with_alpha_character", LOW, 0.8),
    ("required_word_count", LOW, 2),
    ("fraction_of_lines_starting_with_bullet_point", HIGH, 0.9),
    ("fraction_of_lines_ending_with_ellipsis", HIGH, 0.3),
    ("fraction_of_duplicate_lines", HIGH, 0.3),
    ("fraction_of_characters_in_duplicate_lines", HIGH, 0.2),
    *(
        (f"fraction_of_characters_in_most_common_{n}grams", HIGH, share)
        for n, share in ((2, 0.2), (3, 0.18), (4, 0.16))
    ),
    *((f"fraction_of_characters_in_duplicate_{n}grams", HIGH, (20 - n) / 100) for n in range(5, 11)),
]
"""What fails Gopher's rules (Rae et al. 2021, table A1), by the names that Dolma gives its figures."""


def mix(source: Path, out: Path, exclude: list[str]) -> None:
    """Write the documents that no expression of jq is true for."""
    stream = {
        "name": "kept",
        "documents": [f"{source}/documents/*.gz"],
        "attributes": [NAME],
        "output": {"path": str(out / "kept"), "max_size_in_bytes": 10**10},
        "filter": {"include": [], "exclude": exclude, "syntax": "jq"},
    }
    config = out / "mix.json"
    config.write_text(json.dumps({"streams": [stream], "processes": 1}))
    dolma(["-c", str(config), "mix"])


def equal(source: Path, out: Path) -> None:
    """Remove texts that occurred before."""
    config = out / "dedupe.json"
    settings = {
        "documents": [f"{source}/documents/*.gz"],
        "dedupe": {"name": NAME, "documents": {"attribute_name": "equal", "key": "$.text"}, "skip_empty": True},
        "bloom_filter": {
            "file": str(out / "bloom"),
            "read_only": False,
            "estimated_doc_count": 1_000_000,
            "desired_false_positive_rate": 1e-6,
        },
        "processes": 1,
    }
    config.write_text(json.dumps(settings))
    dolma(["-c", str(config), "dedupe"])
    mix(source, out, ['.attributes | has("equal") and (.equal | length > 0)'])


def rules(source: Path, out: Path) -> None:
    """Count all of Gopher's figures, then keep what passes."""
    files = sorted(map(str, (source / "documents").glob("*.gz")))
    attributes = str(source / "attributes" / NAME)
    words = ["--taggers", "gopher_v2", "--experiment", NAME, "--processes", "1", "--destination", attributes]
    dolma(["tag", "--documents", *files, *words])
    figure = f".attributes.{NAME}__gopher_v2__"  # a short document has no figures of long n-grams
    mix(
        source,
        out,
        [f"[({figure}{name} // [])[] | select(.[2] {sign} {bound})] | length > 0" for name, sign, bound in FAILS],
    )


def tokens(source: Path, out: Path, tokenizer: Path) -> None:
    """Shuffled tokens in memory-mapped files."""
    files = sorted(map(str, (source / "documents").glob("*.gz")))
    words = ["--tokenizer.name_or_path", str(tokenizer), "--tokenizer.eos_token_id", "0", "--dtype", "uint16"]
    words += ["--destination", str(out / "tokens"), "--processes", "1", "--seed", "1"]
    dolma(["tokens", "--documents", *files, *words])


def main() -> None:
    """Run what the arguments name."""
    step, documents, out, *rest = sys.argv[1:]
    source, target = Path(documents) / "jsonl", Path(out)
    if step == "tokens":
        tokens(source, target, Path(rest[0]))
    else:
        {"equal": equal, "rules": rules}[step](source, target)


if __name__ == "__main__":
    main()
