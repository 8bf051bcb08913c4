"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...scaling.commands.design import design
from ...scaling.commands.fit import fit
from ...scaling.commands.reconcile import reconcile
from ...training.reference.commands import train_reference
from . import complete, documents
from .completion import completion
from .init import init, schema
from .perplexity import train_perplexity
from .report import card, report
from .status import show_and_end, status_command
from .worker_pool import worker_pool

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED, MISTAKE = 1, 2


READING = frozenset({"decode", "diff", "explain", "grep", "plan", "sample", "status", "verify"})
"""Commands that write nothing, so that nothing goes on where they stopped."""


class _Commands(click.Group):
    """Turns errors into messages and exit statuses: 2 for the user's mistake, 1 for a failure."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted. The same command goes on from here.", err=True)
            ctx.exit(FAILED)
        except Exception as error:
            known = _explain(error)
            if known is None:
                raise
            message, status = known
            if status == FAILED and isinstance(error, OSError) and ctx.invoked_subcommand not in READING:
                from ..files.errors import further

                message += f"\n{further(message)}"
            click.echo(message, err=True)
            ctx.exit(status)


def _stop() -> None:
    """End at once: Beam's worker threads would go on to the end of their bundle, and the interpreter wait for them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what those threads say of their children's end is of no use
    if "tokenladder.pipelines.engines.isolate" in sys.modules:
        from ..engines.isolate import POOL

        POOL.close()
    os._exit(FAILED)


def _explain(error: Exception) -> tuple[str, int] | None:
    from ..files.folders import file_in
    from ..files.store import UserError

    if isinstance(error, UserError):
        return str(error), MISTAKE
    if type(error).__name__ == "DryRun":
        return str(error), 0
    if type(error).__name__ in {"BuildError", "JobError"}:
        return str(error), FAILED
    if isinstance(error, NotADirectoryError | FileExistsError) and error.filename and file_in(str(error.filename)):
        return f"{error.filename}: {file_in(str(error.filename))} is a file, not a folder. Name another one.", MISTAKE
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):  # click ends quietly on that one
        return str(error), FAILED
    return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tokenladder")
def cli() -> None:
    """From raw web and code to training shards of exactly controlled token budgets."""


@cli.command(short_help="Build a first study from what this machine holds.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("quickstart"), help="Folder to fill.", show_default=True
)
@click.option("--quiet", is_flag=True, help="Say nothing while building.")
def quickstart(out: Path, *, quiet: bool) -> None:
    """Build a first study from this Python's own documentation and source code.

    Nothing is downloaded. The study file is left for you to edit.

    Example: tokenladder quickstart --out first
    """
    from ..quickstart.corpus import make_corpus, write_studies

    out.mkdir(parents=True, exist_ok=True)
    click.echo("Making the corpus: documentation as a crawl, source code as a tree", err=True)
    corpus = make_corpus(out / "corpus")
    study = write_studies(out)
    manifest = _build(str(study), str(out / "built"), None, (), quiet=quiet)
    python = "python" if shutil.which("tokenladder") else min(sys.executable, os.path.relpath(sys.executable), key=len)
    program = "tokenladder" if shutil.which("tokenladder") else f"{python} -m tokenladder"
    built, recipe = out / "built", list(manifest["recipes"])[-1]
    rung = manifest["recipes"][recipe]["rungs"][0]
    shard = built / rung["shards"][0]["path"]
    click.echo(
        f"""
Built from {corpus.pages:,} pages and {corpus.files:,} source files: {built}

  load it    {python} -c "import pyarrow.parquet as pq; print(pq.read_table('{shard}'))"
             or, with Hugging Face datasets: load_dataset('{built}', '{recipe}-{rung["name"]}')
  verify it  {program} verify {built}
  look at it {built / "report.html"} in a browser
  explain    {program} explain {built} json/decoder.py
  change it  edit {study}, then: {program} build {study} --out {built}
  ask more   {program} build {out / "dedup.toml"} --out {out / "dedup"} --store {built / ".store"}
             and quality.toml, epochs.toml, order.toml: each says inside what it asks, and what to look at"""
    )


@cli.command(short_help="Show what a build would do, and find all mistakes.")
@click.argument("study", type=click.Path())
@click.option("--out", default="built", help="Folder of the result.", show_default=True)
@click.option("--store", "store_root", help="Folder of stage outputs; inside OUT by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(study: str, out: str, store_root: str | None, *, as_json: bool) -> None:
    """Show what a build of STUDY would do, and find all mistakes in it.

    Example: tokenladder plan study.toml
    """
    from ..drivers.plan import make_plan
    from ..study.file import load
    from .tables import show_plan

    described = make_plan(load(study), out, store_root).describe()
    if as_json:
        click.echo(json.dumps(described, indent=2))
    else:
        show_plan(described)


@cli.command(
    context_settings={"ignore_unknown_options": False}, short_help="Build a study: read, score, choose, encode, pack."
)
@click.argument("study", type=click.Path())
@click.argument("beam", nargs=-1, metavar="[-- BEAM_OPTIONS]")
@click.option("--out", default="built", help="Folder of the result, local, s3:// or gs://.", show_default=True)
@click.option(
    "--store", "store_root", help="Folder of stage outputs, shared by studies that name it; inside OUT by default."
)
@click.option("--shared", is_flag=True, help="Workers on other machines see local folders under the same names.")
@click.option("--quiet", is_flag=True, help="Say nothing while building.")
@click.option(
    "--status",
    metavar="OUT",
    expose_value=False,
    is_eager=True,
    callback=show_and_end,
    help="Show how far the one in OUT is.",
)
def build(study: str, beam: tuple[str, ...], out: str, store_root: str | None, **flags: bool) -> None:
    """Build STUDY: read, score, find duplicates, choose, encode and pack.

    Finished work is kept: the same command goes on where it stopped, and a changed study re-runs what changed. What
    follows -- is given to Apache Beam.

    Example: tokenladder build study.toml --out built -- --direct_num_workers=4
    """
    _build(study, out, store_root, beam, **flags)


def _build(
    study: str, out: str, store_root: str | None, beam: Sequence[str], *, quiet: bool, shared: bool = False
) -> dict[str, Any]:
    from ..drivers.build import build as run
    from ..drivers.plan import make_plan
    from ..study.file import load
    from ..watch.progress import Reporter
    from .tables import show_manifest

    manifest = run(make_plan(load(study), out, store_root), Reporter(quiet=quiet), beam, shared=shared)
    if not quiet:
        show_manifest(manifest)
    return manifest


@cli.command(short_help="Write a rung in the form that another tool reads.")
@click.argument("out", type=click.Path())
@click.argument("rung", shell_complete=complete.streams)
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl.zst", "parquet", "nanogpt", "megatron", "mds", "litdata"]),
    required=True,
    help="Documents as text (jsonl.zst, parquet), or tokens.",
)
@click.option("--out", "folder", required=True, help="Folder to fill: new or empty.")
@click.option("--quiet", is_flag=True, help="Say nothing.")
def export(out: str, rung: str, form: str, folder: str, *, quiet: bool) -> None:
    """Write RUNG (RECIPE-RUNG, CURRICULUM-RUNG or held_out) of a build in the form that another tool reads.

    Texts are exact to the token: where the rung cuts a document, its text ends there.

    Example: tokenladder export built clean-1M --format nanogpt --out clean-1M
    """
    from ..export.export import export as write
    from .tables import show_export

    said = write(out, rung, form, folder)
    if not quiet:
        show_export(said, folder)


@cli.command(short_help="Remove near duplicates from Parquet files.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path())
@click.option("--out", required=True, help="Folder of the result, local, s3:// or gs://.")
@click.option("--mark", is_flag=True, help="Keep all rows, with columns that say which are duplicates, and of what.")
@click.option("--list", "only_list", is_flag=True, help="Write the list of duplicates alone.")
@click.option("--text", default="text", help="Column of the text.", show_default=True)
@click.option("--threshold", default=0.72, help="Least Jaccard similarity.", show_default=True)
@click.option(
    "--unit",
    type=click.Choice(["auto", "words", "characters", "code"]),
    default="auto",
    help="What shingles are made of; auto: tokens of code where a row has a `file_type`, else words.",
    show_default=True,
)
@click.option("--ngram", type=int, help="Units in a shingle; by default 5 words, 20 characters or 8 tokens of code.")
@click.option("--bands", default=18, help="Bands of the signature.", show_default=True)
@click.option("--rows", default=6, help="Values in a band.", show_default=True)
@click.option("--workers", type=click.IntRange(1), help="Threads; by default one for each processor.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.option("--quiet", is_flag=True, help="Say nothing while working.")
def dedup(
    inputs: tuple[str, ...],
    out: str,
    text: str,
    workers: int | None,
    *,
    mark: bool,
    only_list: bool,
    as_json: bool,
    quiet: bool,
    **near: Any,
) -> None:
    """Remove near duplicates from Parquet files, on this machine and without a study.

    INPUT is a file, a folder or a glob. Of documents that are near each other one stays, whatever the order of files.
    OUT/duplicates.parquet says of every other where it stood and which row it resembles. A study's [dedup] does the
    same at any size, and more.

    Example: tokenladder dedup crawl/*.parquet --out clean
    """
    from ..drivers import deduplicate
    from ..engines.processors import processors
    from ..stages.dedup_files import Outcome
    from ..watch.progress import Reporter

    if mark and only_list:
        raise click.UsageError("--mark and --list exclude each other: the one writes all rows, the other none.")
    outcome: Outcome = "marked" if mark else "listed" if only_list else "removed"
    settings = deduplicate.Near(text, **near)
    threads = workers or processors()
    report = Reporter(quiet=quiet)
    summary = deduplicate.deduplicate(inputs, out, settings, outcome, workers=threads, report=report)
    click.echo(deduplicate.to_json(summary) if as_json else f"{deduplicate.show(summary)}\n{out}")


@cli.command("train-quality", short_help="Train a quality classifier, and measure it.")
@click.argument("file", type=click.Path())
@click.option("--out", default="quality", help="Folder of the model, its report and its card.", show_default=True)
@click.option("--quiet", is_flag=True, help="Say nothing.")
def train_quality(file: str, out: str, *, quiet: bool) -> None:
    """Train a fastText quality classifier on the documents that FILE names, measure it, and write its card.

    FILE is TOML: [[classes.LABEL]] with files, or a recipe or source of a build; or [scored], documents with numbers.

    Example: tokenladder train-quality quality.toml --out quality
    """
    from ..models.quality_file import load
    from ..models.train_quality import train
    from .tables import show_training

    report = train(load(file), out)
    if not quiet:
        show_training(report, out)


@cli.command("train-tokenizer", short_help="Train a tokenizer, and compare it with others.")
@click.argument("texts", nargs=-1, required=True, type=click.Path())
@click.option("--out", "folder", required=True, help="Folder for the tokenizer and its card.")
@click.option("--recipe", help="Of a build: whose text. The first by default.", shell_complete=complete.recipes)
@click.option("--type", "kind", type=click.Choice(["huggingface", "sentencepiece"]), default="huggingface")
@click.option("--vocabulary", type=int, default=32000, show_default=True, help="Ids in all.")
@click.option("--model", type=click.Choice(["bpe", "unigram"]), default="bpe", help="Of sentencepiece.")
@click.option("--pattern", type=click.Choice(["cl100k", "gpt2"]), default="cl100k", help="Of huggingface.")
@click.option("--bytes", "size", default="20MB", show_default=True, help="How much text to train on.")
@click.option("--compare", multiple=True, help="Another one for the card: a file, a build, bytes or tiktoken:NAME.")
@click.option("--quiet", is_flag=True, help="Do not print the card.")
def train_tokenizer(  # noqa: PLR0917 a parameter for each option
    texts: tuple[str, ...],
    folder: str,
    recipe: str | None,
    kind: str,
    vocabulary: int,
    model: Any,
    pattern: Any,
    size: str,
    compare: tuple[str, ...],
    *,
    quiet: bool,
) -> None:
    """Train a tokenizer on TEXTS: the folder of a build (a recipe's own text), or files and folders.

    One document in ten is not trained on but measured, by source and language, for the card.

    Example: tokenladder train-tokenizer built --recipe clean --vocabulary 16000 --out tokenizer
    """
    from ...data_cards.tokenizer_card import render_tokenizer_card
    from ...tokenizers.sections import TrainHuggingFace, TrainSentencePiece
    from ..files.store import UserError
    from ..models.train_tokenizer import train_tokenizer as run

    try:
        parameters: TrainHuggingFace | TrainSentencePiece = (
            TrainHuggingFace(vocabulary, size, pattern)
            if kind == "huggingface"
            else TrainSentencePiece(vocabulary, model, size)
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    card = render_tokenizer_card(run(texts, recipe, parameters, compare, folder))
    if not quiet:
        click.echo(card)


@cli.command("count-tokens", short_help="Count a rung's documents under other tokenizers.")
@click.argument("out", type=click.Path())
@click.argument("rung", shell_complete=complete.streams)
@click.argument("tokenizers", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def count_tokens(out: str, rung: str, tokenizers: tuple[str, ...], *, as_json: bool) -> None:
    """Count the documents of RUNG under other TOKENIZERS: the same documents, all counts.

    A tokenizer is a file, the folder of a build, bytes, or tiktoken:NAME.

    Example: tokenladder count-tokens built clean-1M tokenizer/tokenizer.json
    """
    from ..models.train_tokenizer import count_tokens as run
    from .tables import show_counts

    counted = run(out, rung, tokenizers)
    if as_json:
        click.echo(json.dumps(counted, indent=2))
    else:
        show_counts(counted)


cli.add_command(init)
cli.add_command(schema)
cli.add_command(completion)
cli.add_command(documents.verify)
cli.add_command(documents.decode)
cli.add_command(documents.diff)
cli.add_command(documents.explain)
cli.add_command(documents.sample)
cli.add_command(documents.grep)
cli.add_command(design)
cli.add_command(fit)
cli.add_command(reconcile)
cli.add_command(status_command)
cli.add_command(train_perplexity)
cli.add_command(train_reference)
cli.add_command(card)
cli.add_command(report)
cli.add_command(worker_pool)


def main() -> None:
    """The `tokenladder` command."""
    from ..engines.allocators import settle
    from .absent import do_without

    settle()
    if sys.argv[1:2] and sys.argv[1] in documents.LOOKING:
        do_without("pandas")
    cli()
