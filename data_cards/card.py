"""The data card: a Hugging Face dataset card made from a manifest alone.

Its YAML is made by `front_matter`, what people ask of any data set by `datasheet`. Every name may come from elsewhere
and is escaped.
"""

from __future__ import annotations

from typing import Any

from .datasheet import FROM_INPUT, counted_by, datasheet, ledger_command, stratum_command
from .front_matter import HELD_OUT, configuration, front_matter
from .markdown import fenced, numbers, plain, plural, python_string, table_of
from .refusals import REFUSED, WORDS, told_apart
from .words import others, place

_OUTCOMES = {
    "kept": "kept: in the largest rung",
    "dropped": "dropped by a rule",
    "duplicate": "near duplicate of a survivor",
    "over_budget": "over budget",
    "held_out": "held out, or near to what is",
    "rejected": "rejected as unreadable",
    REFUSED: WORDS,
}


def render_card(manifest: dict[str, Any], words: dict[str, str] | None = None) -> str:
    """A study's README.md.

    Args:
        manifest: As `manifest.json` holds it.
        words: What people wrote into an earlier card, as `words.read_words` gives it.

    Returns:
        YAML front matter and Markdown; the same text for the same manifest, whatever the order of its keys.
    """
    words = words or {}
    recipes = dict(sorted(manifest["recipes"].items()))
    sections = [
        front_matter(manifest, words),
        _introduction(manifest, recipes),
        place("summary", words),
        _loading(recipes, manifest["held_out"]),
        _rungs(recipes),
        _mixture(recipes),
        *_curricula(manifest),
        _sources(manifest["counts"]),
        *(_funnel(name, recipe) for name, recipe in recipes.items()),
        _diversity(manifest),
        _duplicates(manifest),
        *_contamination(manifest),
        _making(manifest),
        datasheet(manifest, words),
        *others(words),
        _checking(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _introduction(manifest: dict[str, Any], recipes: dict[str, Any]) -> str:
    rungs = max(len(recipe["rungs"]) for recipe in recipes.values())
    length = manifest["sequence_length"]
    what = (
        f"Training shards of exact token budgets, made by TokenLadder: {plural(len(recipes), 'recipe')} (which "
        f"documents, in which shares), each as a ladder of {plural(rungs, 'rung')} (token budgets). Every rung is the "
        "beginning of the next. In every beginning of the stream each stratum is within one sequence of its weight."
    )
    binary = manifest.get("input_ids") == "binary"
    each = f", each as a little-endian {plain(manifest['tokenizer']['dtype'])} in bytes" * binary
    columns = [
        ("input\\_ids", f"{length:,} token ids, documents one after the other{each}"),
        ("stratum", "the source, or the part of a source, that the sequence is from"),
        ("document\\_starts", "positions at which a document begins; before the first is the rest of an earlier one"),
    ]
    if manifest.get("packing") == "best-fit":
        columns.append(("padding", "how many tokens at the end only fill the sequence; not in the held-out set"))
    table = table_of(("column", "what it holds"), columns, texts=2)
    return f"# {plain(manifest['name'])}\n\n{what}\n\nA row is one sequence of {length:,} tokens:\n\n{table}"


def _loading(recipes: dict[str, Any], held: dict[str, Any] | None) -> str:
    name, recipe = next(iter(recipes.items()))
    largest = python_string(configuration(name, recipe["rungs"][-1]["name"]))
    code = [
        "from datasets import load_dataset",
        "",
        f'rung = load_dataset("path/to/this/folder", {largest}, split="train")',
    ]
    if held:
        code.append(f'held_out = load_dataset("path/to/this/folder", "{HELD_OUT}", split="test")')
    return "## Load\n\n" + fenced("python", "\n".join(code))


def _rungs(recipes: dict[str, Any]) -> str:
    kinds = ["unique_tokens", "repeated_tokens"]  # of which a rung's tokens are the sum, with any padding
    if any("padding_tokens" in rung for recipe in recipes.values() for rung in recipe["rungs"]):
        kinds.append("padding_tokens")
    rows = [
        (
            plain(configuration(name, rung["name"])),
            _requested(rung),
            *numbers(rung["tokens"], rung["sequences"]),
            *numbers(*(rung.get(kind, 0) for kind in kinds), len(rung["shards"])),
        )
        for name, recipe in recipes.items()
        for rung in recipe["rungs"]
    ]
    told = (kind.replace("_", " ") for kind in kinds)
    heads = ("configuration", "requested", "tokens", "sequences", *told, "shards")
    return "## Rungs\n\n" + table_of(heads, rows) + "\n\n" + counted_by("tokenladder verify .")


def _requested(rung: dict[str, Any]) -> str:
    """What a rung was to have: tokens, or bytes or documents and how many begin in it."""
    if "unit" in rung:
        unit = plain(rung["unit"].removesuffix("s") if rung["requested"] == 1 else rung["unit"])
        return f"{rung['requested']:,} {unit} ({rung['reached']:,})"
    return f"{rung['requested_tokens']:,}"


def _mixture(recipes: dict[str, Any]) -> str:
    rows = []
    for name, recipe in recipes.items():
        largest = recipe["rungs"][-1]
        for stratum, weight in sorted(recipe["strata"].items()):
            share = f"{100 * weight['weight'] / weight['of']:.3f} %"
            amount = largest["strata"][stratum]
            rows.append((plain(name), plain(stratum), share, *numbers(amount["tokens"], amount["unique_tokens"])))
    heads = ("recipe", "stratum", "weight", "tokens in the largest rung", "unique tokens")
    command = counted_by("\n".join(stratum_command(name) for name in recipes))
    return (
        "## Mixture\n\n"
        + table_of(heads, rows, texts=2)
        + "".join(map(_course, recipes, recipes.values()))
        + "\n\n"
        + command
    )


def _course(name: str, recipe: dict[str, Any]) -> str:
    """Weights that change along the stream; the mixture's table has their means."""
    if not recipe.get("course"):
        return ""
    strata, unit = sorted(recipe["strata"]), recipe["rungs"][-1].get("unit")
    changing = recipe.get("budget_course")
    rows = [
        (
            f"{bend['at' if changing else 'sequences']:,}",
            *(f"{100 * bend['weights'].get(one, 0) / 2**32:.3f} %" for one in strata),
        )
        for bend in changing or recipe["course"]
    ]
    above = f"shares of {plain(unit)}" if unit and not changing else "their means"
    told = f"Weights of {plain(name)} change along the stream, linearly between these places; above are {above}."
    if changing:
        told += f" Weights and places are of {plain(unit)}; the sequences of each stratum follow from these."
    return f"\n\n{told}\n\n" + table_of(
        (f"after {plain(unit) if changing else 'sequences'}", *map(plain, strata)), rows
    )


def _curricula(manifest: dict[str, Any]) -> list[str]:
    """Orders of a rung's documents, with the proof of each."""
    rows = []
    for name, one in sorted(manifest.get("curricula", {}).items()):
        how = [plain(one["order"])]
        how += [f"{key} {plain(one[key])}" for key in ("pace", "buckets", "sweeps", "phases") if key in one]
        proof = one.get("sequence_spearman", one["spearman"])
        rank = "–" if proof is None else f"{proof:+.4f}"
        of = configuration(one["recipe"], one["rung"])
        cells = (configuration(name, one["rung"]), of, one["sort"] or "–")
        rows.append((*map(plain, cells), ", ".join([*how, *(["mixed"] if one["mixed"] else [])]), rank))
    heads = ("configuration", "documents of", "difficulty", "order", "rank correlation with the difficulty")
    told = "Exactly the documents of a rung, each with its tokens of that rung, in another order."
    if any("sequence_spearman" in one for one in manifest.get("curricula", {}).values()):
        told += " Sequences stay as they were packed: what is ordered is the mean difficulty of each one's tokens."
    return (
        [
            "## Curricula\n\n"
            + told
            + "\n\n"
            + table_of(heads, rows, texts=4)
            + "\n\n"
            + counted_by("tokenladder verify .")
        ]
        if rows
        else []
    )


def _sources(counts: dict[str, Any]) -> str:
    rows = [
        (
            plain(name),
            *numbers(one["records"], one["documents"]),
            f"{one['bytes'] / 1e6:,.1f}",
            f"{one['text_bytes'] / 1e6:,.1f}",
        )
        for name, one in sorted(counts.items())
    ]
    table = table_of(("source", "records", "documents", "MB read", "MB of text"), rows)
    return f"## Sources\n\n{table}\n\n{FROM_INPUT}"


def _funnel(name: str, recipe: dict[str, Any]) -> str:
    """Where every record went: outcomes, and below each its reasons."""
    sources = dict(sorted(recipe["counts"].items()))
    outcomes = [told_apart(source["outcomes"]) for source in sources.values()]
    rows = []
    for outcome, words in _OUTCOMES.items():
        cells = [one[outcome] for one in outcomes]
        if outcome == REFUSED and not any(cell["records"] for cell in cells):
            continue  # as nearly always
        rows.append((words, *numbers(*(cell["records"] for cell in cells))))
        reasons = sorted({reason for cell in cells for reason in cell["reasons"]})
        rows += [
            (f"– {plain(reason)}", *numbers(*(cell["reasons"].get(reason, 0) for cell in cells))) for reason in reasons
        ]
    rows.append(("**all records**", *numbers(*(source["records"] for source in sources.values()))))
    rules = "\n".join(f"{n}. {plain(rule)}" for n, rule in enumerate(recipe["rules"], 1))
    kept = f"Rules, in order:\n\n{rules}" if rules else "No rules: every document may be in."
    table = table_of(("records", *map(plain, sources)), rows)
    command = ledger_command(name, ("source", "outcome", "reason"))
    table = f"Where every record went:\n\n{table}{_masks(sources)}"
    return f"## Recipe {plain(name)}\n\n{kept}\n\n{table}\n\n{counted_by(command)}"


def _masks(sources: dict[str, Any]) -> str:
    """What was masked in the kept text, by kind."""
    masks: dict[str, int] = {}
    for source in sources.values():
        for kind, n in source["outcomes"]["kept"].get("masks", {}).items():
            masks[kind] = masks.get(kind, 0) + n
    told = ", ".join(f"{plain(kind)} ({n:,})" for kind, n in sorted(masks.items()))
    return f"\n\nMasked in the text of kept records: {told}." if told else ""


_DIMENSIONS = {"host": "hosts", "top_level_domain": "top-level domains", "year": "years", "licence": "licences"}


def _diversity(manifest: dict[str, Any]) -> str:
    """What each recipe does to whom: effective numbers, and the share of the most common value, before and after."""
    found = manifest.get("diversity", {"pool": {}, "recipes": {}})
    rows = []
    for name, strata in sorted(found["recipes"].items()):
        for stratum, kept in sorted(strata.items()):
            pool = found["pool"].get(stratum, {})
            for dimension in sorted(pool.keys() - {"means"}):
                one, after = pool[dimension], kept.get(dimension)
                if one["values"] > 1 and after is not None:
                    rows.append((plain(name), plain(stratum), *_compared(dimension, one, after)))
    if not rows:
        return "## Diversity\n\nNo host, date, licence or label is known of the documents, or there is one of each."
    heads = ("recipe", "stratum", "of", "effective", "most common before", "share before", "share after")
    told = (
        "Before any rule and in the largest rung, by documents. The effective number is how many equally common values "
        "would be as diverse (Hill's number of order 1):"
    )
    return f"## Diversity\n\n{told}\n\n{table_of(heads, rows, texts=3)}\n\n{FROM_INPUT}"


def _compared(dimension: str, before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    first = before["most"][0]
    left = next((one["documents"] for one in after["most"] if one["value"] == first["value"]), None)
    return (
        _DIMENSIONS.get(dimension, plain(dimension)),
        f"{before['effective']:,.1f} → {after['effective']:,.1f}",
        plain(first["value"]),
        _share(first["documents"], before["documents"]),
        "–" if left is None else _share(left, after["documents"]),
    )


_UNITS = {
    "auto": "words, or of tokens where a document is source code",
    "words": "words",
    "characters": "characters",
    "code": "tokens of source code",
}


def _duplicates(manifest: dict[str, Any]) -> str:
    """What near duplicates cost each source of the pool, and how often a rung that keeps them repeats itself."""
    found = manifest["duplicates"]
    if found is None:
        return "## Near duplicates\n\nNo documents were compared."
    rows = [
        (
            plain(name),
            f"{one['documents']:,}",
            f"{one['duplicates']:,}",
            _share(one["duplicates"], one["documents"]),
            _share(one["duplicate_bytes"], one["bytes"]),
            ", ".join(f"{plain(source)} {n:,}" for source, n in sorted(one["leaders"].items())) or "–",
        )
        for name, one in sorted(found["sources"].items())
    ]
    heads = ("source", "documents", "duplicates", "of documents", "of bytes", "of documents in")
    text = "## Near duplicates\n\nIn the whole pool, before any rule:\n\n" + table_of(heads, rows)
    repeats = [
        (plain(name), rung["name"], f"{rung['documents']:,}", _share(rung["duplicates"], rung["documents"]))
        for name, recipe in sorted(manifest["recipes"].items())
        for rung in recipe["rungs"]
        if rung["duplicates"]
    ]
    if repeats:
        text += "\n\nDocuments of a rung with a near duplicate before them in it:\n\n"
        text += table_of(("recipe", "rung", "documents", "repeated"), repeats, texts=2)
    return f"{text}\n\n{FROM_INPUT}"


def _contamination(manifest: dict[str, Any]) -> list[str]:
    """Which items of evaluation sets stand in the pool: nothing for a study that looks for none."""
    rows = [
        (
            plain(score),
            plain(name),
            *numbers(one["items"], one["items"] - one["too_short"], one["found"], one["answered"]),
            ", ".join(f"{plain(source)} {n:,}" for source, n in sorted(one["documents"].items())) or "–",
        )
        for score, found in sorted((manifest.get("contamination") or {}).items())
        for name, one in found["sets"].items()
    ]
    if not rows:
        return []
    heads = ("score", "set", "items", "looked for", "found", "with their answer", "in documents of")
    text = "Items of evaluation sets that documents of the whole pool hold, before any rule:"
    return [f"## Evaluation sets\n\n{text}\n\n{table_of(heads, rows, texts=2)}\n\n{FROM_INPUT}"]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _making(manifest: dict[str, Any]) -> str:
    tokenizer, dedup, held = manifest["tokenizer"], manifest["dedup"], manifest["held_out"]
    identity = ", ".join(f"{key} {value}" for key, value in sorted(tokenizer["identity"].items()) if key != "type")
    stored = f"{tokenizer['vocabulary_size']:,} ids stored as {plain(tokenizer['dtype'])}"
    ends = f"id {tokenizer['end_of_document']} ends each document"
    candidates = f"{dedup['bands']} bands of {dedup['rows']} values find candidates"
    proof = "a Jaccard similarity" if dedup["proof"] == "exact" else "an estimated Jaccard similarity"
    decides = f"{proof} of at least {dedup['threshold']:g} decides"
    runs = f"{dedup['ngram'] or 'the usual number of'} {_UNITS[dedup['unit']]}"
    lines = [
        f"- **Tokenizer:** {plain(tokenizer['identity']['type'])}, {stored}; {ends}. {plain(identity)}",
        f"- **Near duplicates:** MinHash over shingles of {runs}: {candidates}; {decides}.",
        f"- **Seed:** {manifest['seed']}",
    ]
    if held:
        lines.append(
            f"- **Held out:** {held['tokens']:,} tokens in {held['sequences']:,} sequences "
            f"(requested: {_requested(held)}), whole clusters drawn by hash. No recipe holds one of their "
            "documents or a near duplicate of one."
        )
    return "## How it was made\n\n" + "\n".join(lines)


def _checking(manifest: dict[str, Any]) -> str:
    versions = table_of(
        ("", "version"), [(plain(k), plain(v)) for k, v in sorted(manifest["versions"].items())], texts=2
    )
    return f"""## Verify

{fenced("bash", "tokenladder verify path/to/this/folder")}

This counts rungs, mixture, curricula and where every record went again, from the shards and from the ledger, which
gives each record its outcome and why.

- Root hash over all shards, ledgers and counts: {plain(manifest["root_hash"])}
- Fingerprint of the study and its input: {plain(manifest["fingerprint"])}

{versions}"""
