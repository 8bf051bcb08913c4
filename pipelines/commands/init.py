"""The command that writes a first study for given inputs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Write a study for the files that you have.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@click.option(
    "--study", type=click.Path(path_type=Path), default=Path("study.toml"), show_default=True, help="File to write."
)
@click.option("--name", help="Of the study; by default that of the first source.")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@click.option("--quiet", is_flag=True, help="Say nothing.")
def init(paths: tuple[str, ...], study: Path, name: str | None, *, force: bool, quiet: bool) -> None:
    """Write a commented study for PATHs: WARC, WET, HTML, JSONL or Parquet files, archives, or source code.

    A PATH is a file, a folder or a glob, local, s3:// or gs://. Virtual environments, node_modules and results of
    TokenLadder below it are left out, by a key `exclude` of the study. Some records of each are read, for
    languages and how much text there is; budgets are proposed that the text can carry. Beside the study,
    study.schema.json lets editors know its keys.

    Example: tokenladder init crawl/ checkout/ --study first/study.toml
    """
    from ...filters import kernels
    from ..drivers.plan import make_plan
    from ..files import store
    from ..files.folders import need_folder
    from ..study.file import parse
    from ..study.json_schema import study_schema
    from ..watch.journal import COMPILING
    from .not_input import own_files
    from .propose import propose
    from .prospect import find_sources, look_into

    if study.exists() and not force:
        raise store.UserError(f"{study}: there is such a file. Name another with --study, or replace it with --force.")
    need_folder(str(study.parent), "--study")
    found = find_sources(list(dict.fromkeys(store.absolute(path) for path in paths)), own_files(str(study.resolve())))
    if not (quiet or kernels.are_compiled()):
        click.echo(COMPILING, err=True)
    looked = []
    for one in found:
        if not quiet:
            files = f"{one.files:,} file{'s' * (one.files != 1)}"
            click.echo(f"Looking into {one.name}: {one.source.format}, {files}", err=True)
            for folder, kind in one.left_out.items():
                click.echo(f"  not read: {folder}, {kind}", err=True)
        try:
            looked.append((one, look_into(one)))
        except PermissionError as error:
            raise store.UserError(f"{one.name}: a file may not be read: {error}") from error
    folder = str(study.resolve().parent)
    proposal = propose(name or found[0].name, looked, folder)
    make_plan(parse(proposal.text, str(study.resolve())), store.join(folder, "built"))  # a mistake shows here
    store.write_bytes(str(study.resolve()), proposal.text.encode())
    store.write_json(store.join(folder, "study.schema.json"), study_schema())
    if not quiet:
        tokens = float(f"{proposal.tokens:.2g}")  # an estimate: more digits would promise what it is not
        click.echo(
            f"Wrote {study}: some {tokens:,.0f} tokens of better documents. Look at it, then:\n"
            f"  tokenladder plan {study} --out {study.parent / 'built'}\n"
            f"  tokenladder build {study} --out {study.parent / 'built'}"
        )


@click.command(short_help="Print the JSON Schema of study files.")
def schema() -> None:
    """Print the JSON Schema of study files, with which editors complete and check them.

    An editor that knows TOML finds it by a study's first line, `#:schema study.schema.json`.

    Example: tokenladder schema > study.schema.json
    """
    import json

    from ..study.json_schema import study_schema

    click.echo(json.dumps(study_schema(), indent=2, sort_keys=True, ensure_ascii=False))
