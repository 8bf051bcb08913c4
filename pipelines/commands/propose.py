"""Propose: a first study of one's own from what a survey found, as a commented file that builds at once."""

from __future__ import annotations

import json
import os.path
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..files import store
from ..study.budgets import short
from .prospect import Found, Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

BYTES_PER_TOKEN = 4.5
"""Of a tokenizer that is trained on the text: more than most have, so that budgets are rather too small."""

TRAINABLE = 4_000_000
"""Bytes of text below which no tokenizer is trained: a token is then a byte."""

NOT_DUPLICATE = 0.7
"""Share of the text that is left when near duplicates are gone: of crawls and of code about two thirds are."""

FILLED = 0.6
"""Share of the text that the largest rung takes of what seems to be there."""

SEQUENCES = 8
"""Sequences of the smallest rung, at least."""


@dataclass(frozen=True)
class Proposal:
    """A study, and what it was made from.

    Attributes:
        text: The study file.
        tokens: Tokens that its strictest recipe seems to have.
        text_bytes: Text of each source, by its name, as far as a sample can tell.
    """

    text: str
    tokens: int
    text_bytes: dict[str, int]


def propose(name: str, looked: Sequence[tuple[Found, Seen]], folder: str) -> Proposal:
    """Write a study for some sources.

    Args:
        name: The study's name.
        looked: Each source, and what a look into it showed.
        folder: Where the study file will stand. Paths below it, and all if it and they are below the working
            directory, are written relative to it.

    Raises:
        UserError: There is too little text for any study.
    """
    text_bytes = {found.name: _all_of(found, seen) for found, seen in looked}
    whole = sum(text_bytes.values())
    bytes_per_token = BYTES_PER_TOKEN if whole >= TRAINABLE else 1.0
    clean = sum(text_bytes[found.name] * _share(found, seen) for found, seen in looked)
    tokens = int(clean * NOT_DUPLICATE / bytes_per_token)
    length = 2048 if tokens > 50_000_000 else 512 if tokens > 500_000 else 64
    largest = floor_125(int(tokens * FILLED))
    if largest < SEQUENCES * length:
        raise store.UserError(
            f"There are some {whole:,} bytes of text here, of which rules for quality would keep {int(clean):,}: too "
            "few for a ladder of budgets. Give more input.\n" + "\n".join(_looked_at(*one) for one in looked)
        )
    rungs = ladder(largest, SEQUENCES * length)
    pieces = [
        _head(name, looked, text_bytes, rungs, length),
        _tokenizer(whole),
        *(_source(found, seen, folder) for found, seen in looked),
        _scores(looked),
        _recipes(looked),
    ]
    return Proposal("\n".join(pieces), tokens, text_bytes)


def _looked_at(found: Found, seen: Seen) -> str:
    """What a look into a source found, as a line for who wonders where the text is."""
    lost = [f"{count:,} {why}" for why, count in sorted((seen.rejected | seen.dropped).items())]
    reasons = f" (without text: {'; '.join(lost)})" if lost else ""
    return (
        f"  {found.name}: {found.source.path} read as {found.source.format}, "
        f"{found.files:,} file{'s' * (found.files != 1)} "
        f"of {found.bytes:,} bytes. Of {seen.records:,} records looked at, {seen.documents:,} have text{reasons}."
    )


def floor_125(count: int) -> int:
    """The greatest of 1, 2, 5, 10, 20 … that is not above a count; 0 below 1.

    >>> floor_125(70_000), floor_125(1_999)
    (50000, 1000)
    """
    if count < 1:
        return 0
    power = int("1" + "0" * (len(str(count)) - 1))
    return max(step * power for step in (1, 2, 5) if step * power <= count)


def ladder(largest: int, least: int) -> list[int]:
    """Four budgets, each half of the next or nearly, as far as they are not too small.

    >>> ladder(5_000_000, 4096)
    [500000, 1000000, 2000000, 5000000]
    """
    out = [largest]
    while len(out) < 4 and floor_125(out[0] - 1) >= least:
        out.insert(0, floor_125(out[0] - 1))
    return out


def _all_of(found: Found, seen: Seen) -> int:
    """Bytes of text in a whole source."""
    return int(found.bytes * seen.text_bytes / max(1, seen.consumed))


def _is_code(found: Found) -> bool:
    return found.source.format == "tree" or (found.source.format in {"tar", "zip"} and found.source.inner == "tree")


def _dominant(seen: Seen) -> tuple[str, float]:
    """The language of most of the text, and its share."""
    total = sum(seen.languages.values())
    if not total:
        return "en", 0.0
    best = max(seen.languages, key=lambda one: (seen.languages[one], one))
    return best, seen.languages[best] / total


def _rules(found: Found, seen: Seen) -> list[str]:
    """What the recipe for quality asks of a source, as lines of TOML."""
    only = f'sources = ["{found.name}"]'
    if _is_code(found):
        return [
            f'{{ score = "kind", is = "plain", {only} }},  # neither generated, vendored nor minified',
            f'{{ score = "bytes", min = 200, {only} }},  # not the many nearly empty files',
        ]
    language, share = _dominant(seen)
    rules = []
    if share >= 0.3:
        rules.append(f'{{ score = "language", is = "{language}", min = 0.5, {only} }},')
    if language == "en" and seen.gopher >= 0.2 * seen.text_bytes:
        rules.append(f'{{ score = "gopher", is = "pass", {only} }},')
    return rules


def _share(found: Found, seen: Seen) -> float:
    """The share of a source's text that the recipe for quality keeps."""
    if not seen.text_bytes:
        return 0.0
    if _is_code(found):
        return 0.95 * seen.plain / seen.text_bytes
    rules = _rules(found, seen)
    share = _dominant(seen)[1] * 0.9 if rules else 1.0
    return min(share, seen.gopher / seen.text_bytes) if any("gopher" in rule for rule in rules) else share


def _listed(sizes: dict[str, int], most: int = 4) -> str:
    """The largest of some sizes as shares."""
    total = sum(sizes.values())
    largest = sorted(sizes, key=lambda one: (-sizes[one], one))[:most]
    return ", ".join(f"{one} {sizes[one] / total:.0%}" for one in largest if total)


def _head(
    name: str, looked: Sequence[tuple[Found, Seen]], text_bytes: dict[str, int], rungs: Sequence[int], length: int
) -> str:
    told = []
    for found, seen in looked:
        kinds = _listed(seen.file_types if _is_code(found) else seen.languages)
        files = f"{found.files:,} file{'' if found.files == 1 else 's'}"
        size = f"{found.bytes / 1e6:,.1f} MB, about {text_bytes[found.name] / 1e6:,.1f} MB of text"
        told.append(f"#   {found.name}: {files}, {size}{f' ({kinds})' if kinds else ''}")
    budgets = ", ".join(f'"{short(rung)}"' for rung in rungs)
    return f"""#:schema study.schema.json
# A first study of these sources, as a look at some of their records found them:
#
{chr(10).join(told)}
#
#     tokenladder plan  THIS_FILE
#     tokenladder build THIS_FILE --out built
#
# What has not changed is not done again: another threshold re-runs only the recipes that it stands in.

name    = {json.dumps(name)}
seed    = 17                    # another seed: another order and another held-out set
budgets = [{budgets}]    # tokens; each rung is the beginning of the next
sequence_length = {length}           # tokens in one row of a shard
strata  = ["source"]            # what a mixture is made of; ["source", "language"] splits each source by language
max_rejected = 0.05             # the build stops if more of the records are unreadable

[held_out]                      # never in a recipe, nor anything that nearly equals it
tokens = "{short(max(SEQUENCES * length, floor_125(rungs[-1] // 50)))}"
"""


def _tokenizer(text: int) -> str:
    if text < TRAINABLE:
        return """[tokenizer]                     # a token is a byte: there is too little text to train a tokenizer on
type = "bytes"
"""
    size, vocabulary = ("20MB", 32000) if text > 100_000_000 else ("4MB", 8000)
    return f"""[tokenizer]                     # trained on this study's own text; or, with a file: path = "….model"
type  = "sentencepiece"
train = {{ vocabulary = {vocabulary}, model = "bpe", bytes = "{size}" }}

# --- What is read. Paths start at the folder of this file.
"""


def _source(found: Found, seen: Seen, folder: str) -> str:
    source = found.source
    path = json.dumps(_path(source.paths[0], folder))
    lines = [f"[sources.{found.name}]", f'format = "{source.format}"', f"path   = {path}"]
    if source.exclude:
        lines.append(
            "exclude = [                     # not read: environments, earlier results, what other sources have"
        )
        lines += [f"  {json.dumps(_path(one, folder))}," for one in source.excluded]
        lines.append("]")
    if source.format in {"jsonl", "parquet"}:
        lines += [f"{key:<6} = {json.dumps(getattr(source, key))}" for key in ("text", "id", "date")]
    if source.format in {"tar", "zip"}:
        lines.append(f'inner  = "{source.inner}"')
    if source.format in {"warc", "html"} or source.inner == "html":
        lines.append('extract = "resiliparse"          # the main text of a page; "none" takes the HTML itself')
    if seen.rejected:
        most = max(seen.rejected, key=lambda one: (seen.rejected[one], one))
        share = sum(seen.rejected.values()) / max(1, seen.records)
        lines.append(
            f"# {share:.1%} of the records looked at cannot be read, most often: {' '.join(most.split())[:80]}"
        )
    return "\n".join(lines) + "\n"


def _path(path: str, folder: str) -> str:
    """The path from the study's folder on where both are below the working directory: such a project can be moved."""
    if store.is_remote(path):
        return path
    here = store.absolute(".")
    together = all(f"{one}/".startswith(f"{here.rstrip('/')}/") for one in (folder, path))
    inside = path.startswith(f"{folder.rstrip('/')}/")
    return os.path.relpath(path, folder) if inside or together else path


def _scores(looked: Sequence[tuple[Found, Seen]]) -> str:
    text = """# --- What is computed for each document, once, whatever the recipes below ask of it.

[scores.language]
type  = "fasttext"
model = "lid.176.ftz"           # comes with the installation; any fastText model will do

[scores.lengths]
type = "lengths"

[scores.compression]            # how well a document compresses: a key to sort a curriculum by
type = "compression"
"""
    if any("gopher" in rule for found, seen in looked for rule in _rules(found, seen)):
        text += """
[scores.gopher]                 # the quality rules of the Gopher corpus: the first that fails, or "pass"
type = "gopher"
"""
    return text


def _recipes(looked: Sequence[tuple[Found, Seen]]) -> str:
    rules = [rule for found, seen in looked for rule in _rules(found, seen)]
    kept = "\n".join(f"  {rule}" for rule in rules)
    shares = " and ".join(found.name for found, _ in looked)
    return f"""# --- Which documents are in, and in which shares.

[recipes.everything]            # every document once, near duplicates removed
repeat = 4                      # at most four passes over a source that runs short
# weights = {{ … }}              # shares of {shares}; without, as the kept text has them

[recipes.clean]                 # the same budgets from better documents
base = "everything"
keep = [
{kept}{chr(10) if kept else ""}]
"""
