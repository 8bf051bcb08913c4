"""Tables for the terminal: the plan, the funnel from records read to tokens kept, the rungs, the checks."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..files.schema import OUTCOMES
from .terminal import STRATA, printable, printable_text, show, titled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ask.decode import Sequence as Decoded
    from ..recount.verify import Check


def show_training(report: dict[str, Any], out: str) -> None:
    """What a quality classifier was trained on, and how it does."""
    console = Console(highlight=False)
    keys = ("read", "copies", "near_duplicates", "contradicting", "train", "held_out")
    documents = titled("documents", "class", *(key.replace("_", " ") for key in keys))
    for label, counts in report["documents"].items():
        documents.add_row(escape(label), *(f"{counts[key]:,}" for key in keys))
    model = report["models"]["model.bin"]
    measured = titled("measured on what was held out", "at least", "precision", "recall", "share taken")
    for one in model["at"]:
        measured.add_row(*(f"{one[key]:.3g}" for key in ("threshold", "precision", "recall", "share")))
    for table in (documents, measured):
        show(table)
        console.print()
    area = "unknown" if model["auc"] is None else f"{model['auc']:.4f}"
    told = f"area under the ROC curve {area}, accuracy {model['accuracy']:.4f}\nresult: {out}"
    console.print(told, markup=False)


def show_plan(plan: dict[str, Any]) -> None:
    """What a build would do."""
    console = Console(highlight=False)
    sources = titled(f"{plan['study']}: sources", "source", "format", "files", "MB", "slices", "still to read")
    for name, one in plan["sources"].items():
        numbers = (f"{one['files']:,}", f"{one['bytes'] / 1e6:,.1f}", f"{one['slices']:,}", f"{one['to_read']:,}")
        sources.add_row(name, one["format"], *numbers)
    rungs = titled("rungs", "recipe", "rung", "requested", "exact", "rules")
    for name, recipe in plan["recipes"].items():
        for rung, size in recipe["rungs"].items():
            rungs.add_row(name, rung, *_sizes(size), str(len(recipe["rules"])))
    for table in (sources, rungs):
        show(table)
        console.print()
    scores = ", ".join(f"{name} ({one['type']})" for name, one in plan["scores"].items())
    lines = f"scores: {scores or 'none'}\nresult: {plan['out']}\nstore: {plan['store']}"
    lines += "".join(f"\nnote: {line}" for line in plan["notes"])
    console.print(lines, markup=False, soft_wrap=True)  # a path cut in two cannot be copied


def _sizes(rung: dict[str, Any]) -> tuple[str, str]:
    """What was requested of a rung, and its tokens, where these are known before encoding."""
    if "unit" in rung:
        unit = rung["unit"].removesuffix("s") if rung["requested"] == 1 else rung["unit"]
        return f"{rung['requested']:,} {unit}", "–"
    return f"{rung['requested']:,}", f"{rung['tokens']:,}"


def show_manifest(manifest: dict[str, Any]) -> None:
    """The funnel of each recipe, and its rungs."""
    console = Console(highlight=False)
    counts = titled("read", "source", "records", "documents", "MB read", "MB of text")
    for name, one in manifest["counts"].items():
        sizes = (f"{one['bytes'] / 1e6:,.1f}", f"{one['text_bytes'] / 1e6:,.1f}")
        counts.add_row(name, f"{one['records']:,}", f"{one['documents']:,}", *sizes)
    console.print()
    show(counts)
    for name, recipe in manifest["recipes"].items():
        funnel = titled(f"{name}: where every record went", "", *recipe["counts"])
        for outcome in OUTCOMES:
            cells = [source["outcomes"][outcome] for source in recipe["counts"].values()]
            funnel.add_row(outcome.replace("_", " "), *(f"{cell['records']:,}" for cell in cells))
            reasons = sorted({reason for cell in cells for reason in cell["reasons"]})
            for reason in reasons:
                numbers = [cell["reasons"].get(reason, 0) for cell in cells]
                funnel.add_row(f"  {escape(printable(reason))}", *(f"{n:,}" if n else "" for n in numbers), style="dim")
        units = sorted({rung["unit"] for rung in recipe["rungs"] if "unit" in rung})
        rungs = titled(f"{name}: rungs", "rung", *units, "tokens", "sequences", "repeated", "shards")
        for rung in recipe["rungs"]:
            reached = [rung["reached"] for _ in units]
            figures = (*reached, rung["tokens"], rung["sequences"], rung["repeated_tokens"], len(rung["shards"]))
            rungs.add_row(rung["name"], *(f"{n:,}" for n in figures))
        strata = titled(f"{name}: tokens of each stratum", "stratum", *(rung["name"] for rung in recipe["rungs"]))
        largest = sorted(recipe["strata"], key=lambda stratum: (-recipe["strata"][stratum]["weight"], stratum))
        for stratum in largest[:STRATA]:
            tokens = [rung["strata"][stratum]["tokens"] for rung in recipe["rungs"]]
            strata.add_row(escape(printable(stratum)), *(f"{n:,}" for n in tokens))
        if len(largest) > STRATA:
            rest = [sum(rung["strata"][s]["tokens"] for s in largest[STRATA:]) for rung in recipe["rungs"]]
            strata.add_row(f"{len(largest) - STRATA} smaller ones", *(f"{n:,}" for n in rest))
        for table in (funnel, rungs, strata):
            console.print()
            show(table)
    _show_curricula(console, manifest.get("curricula", {}))
    held = manifest["held_out"]
    if held:
        console.print(f"\nheld out: {held['tokens']:,} tokens in {held['sequences']:,} sequences")
    console.print(f"root hash: {manifest['root_hash']}")


def _show_curricula(console: Console, curricula: dict[str, Any]) -> None:
    orders = titled("curricula", "curriculum", "of", "sort", "tokens", "documents", "rank correlation")
    for name, one in curricula.items():
        rank = "" if one["spearman"] is None else f"{one['spearman']:+.4f}"
        sizes = (f"{one['tokens']:,}", f"{one['documents']:,}")
        orders.add_row(name, f"{one['recipe']}-{one['rung']}", f"{one['order']} {one['sort'] or ''}", *sizes, rank)
    if orders.row_count:
        console.print()
        show(orders)


def show_checks(checks: Sequence[Check]) -> None:
    """What was verified: below each recipe or curriculum its promises, so that long names leave room for the rest."""
    console = Console(highlight=False)
    console.print("verify", style="bold")
    named = [(check, *check.promise.removesuffix(")").partition(" (")[::2]) for check in checks]
    widest = max(len(promise) for _, promise, _ in named)
    for of, group in itertools.groupby(named, lambda one: one[2]):
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(min_width=6)
        table.add_column(min_width=min(widest, 20), overflow="fold")
        table.add_column(overflow="fold")
        for check, promise, _ in group:
            mark = "[green]holds[/]" if check.holds else "[red]BROKEN[/]"
            table.add_row(mark, escape(promise), escape(check.found))
        if of:
            console.print(printable(of), style="bold", markup=False)
        console.print(table)


def show_sequence(sequence: Decoded) -> None:
    """A sequence as text: a line before each piece of a document says what it is."""
    console = Console(highlight=False, soft_wrap=True)
    tokens = sum(piece.length for piece in sequence.pieces)
    head = f"sequence {sequence.number:,}  {printable(sequence.stratum)}  {tokens:,} tokens"
    console.print(f"━━ {head} ━━", style="bold", markup=False)
    for piece in sequence.pieces:
        begin = "begins" if not piece.offset else f"goes on from its token {piece.offset:,}"
        end = "ends here" if piece.ends else "goes on"
        what = f"{printable(piece.name) or 'no name'} ({piece.document})"
        line = f"── at {piece.position:,}: {what} {begin}; {piece.length:,} tokens, {end}"
        console.print(line, style="dim", markup=False)
        console.print(printable_text(piece.text), markup=False, emoji=False)
    console.print()


def show_export(said: dict[str, Any], folder: str) -> None:
    """What an export wrote."""
    console = Console(highlight=False, soft_wrap=True)
    size = sum(one["bytes"] for one in said["files"])
    files = f"{len(said['files']):,} file{'' if len(said['files']) == 1 else 's'}"
    console.print(f"{said['rung']} as {said['format']}: {files}, {size / 1e6:,.1f} MB in {folder}")
    counts = said.get("texts")
    if counts is None:
        console.print(f"{said['tokens']:,} tokens, ids below {said['tokenizer']['vocabulary_size']:,}")
        return
    whole = counts["documents"] - counts["cut"]
    console.print(
        f"{counts['documents']:,} documents of {counts['tokens']:,} tokens, {counts['cut']:,} of them cut by the rung"
    )
    if counts["left_out"]:
        console.print(f"{counts['left_out']} tokens of characters that the cut went through are left out")
    if counts["as_read"] < whole:
        console.print(
            f"{whole - counts['as_read']:,} whole documents are not, letter for letter, the text that was read: the "
            "tokenizer does not keep all of it, repeated lines were cut out, or finds were masked"
        )


def show_counts(counted: dict[str, Any]) -> None:
    """The tokens of the same documents under several tokenizers."""
    names = list(counted["tokenizers"])
    table = titled(f"{counted['rung']}: {counted['documents']:,} documents", "stratum", *map(escape, names))
    ones = list(counted["tokenizers"].values())
    for stratum in ones[0]["strata"]:
        table.add_row(escape(printable(stratum)), *(f"{one['strata'].get(stratum, 0):,}" for one in ones))
    table.add_row("all", *(f"{one['tokens']:,}" for one in ones))
    table.add_row("bytes a token", *(f"{one['bytes_per_token']:.2f}" for one in ones), style="dim")
    show(table)
