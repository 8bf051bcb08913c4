"""Documentation runs: README blocks, docstring examples, and the generated CLI reference.

In README.md, GUIDE.md, CONTRIBUTING.md and bench/README.md

- a ```bash block is run by bash, stopping at the first failure; a ```console block holds `$ command` lines, each
  followed by what it prints (`...` stands for anything), or by nothing where that does not matter; a ```python block is
  run by this interpreter. A page's blocks run in order, in one folder that holds a small build of the quickstart under
  the quickstart's own names, so that they may use what earlier blocks made; GUIDE.md's after README.md's.
- `<!-- not run: REASON -->` on the line before a block leaves it out. Any other language is for reading only.
- `<!-- test command -->` marks the block that `.ci/run` executes.
- the cells of studies/first_look.ipynb run after these, as one script in the same folder.
- COMMANDS.md between its `<!-- cli -->` marks, and STUDY.md, are made by `python tests/test_documentation.py`.
"""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import inspect
import itertools
import json
import os
import pkgutil
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from study_page import render

import tokenladder

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
GUIDE = ROOT / "GUIDE.md"
COMMANDS = ROOT / "COMMANDS.md"
TOGETHER = [[README, GUIDE], [ROOT / "CONTRIBUTING.md"], [ROOT / "bench" / "README.md"]]
"""Pages whose blocks run in one folder, one page after the other."""
PAGES = [page for pages in TOGETHER for page in pages]
STUDY = ROOT / "STUDY.md"
NOTEBOOK = ROOT / "studies" / "first_look.ipynb"
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
CLI = re.compile(r"(?<=^<!-- cli -->\n).*?(?=^<!-- /cli -->$)", re.DOTALL | re.MULTILINE)
RUN = {"bash", "console", "python"}


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["mark"] or "",
        )
        for found in FENCE.finditer(text)
    ]


def cells(notebook: Path) -> Block:
    """The code of a notebook, in order, as one block."""
    code = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    return Block(notebook, 1, "python", "\n".join("".join(cell["source"]) for cell in code), "")


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of command and expected output of a ```console block."""
    for chunk in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, rest = chunk.partition("\n")
        while command.endswith("\\"):
            more, _, rest = rest.partition("\n")
            command = f"{command}\n{more.removeprefix('> ')}"
        yield command, rest


def run(argv: list[str], folder: Path, place: str) -> str:
    """What the command prints on its standard output; a failure shows all of it, and where it is documented."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = dict(os.environ, PATH=path, COLUMNS="100", TOKENLADDER_CACHE=str(folder / "shard-cache"))
    done = subprocess.run(argv, cwd=folder, env=environment, text=True, check=False, capture_output=True)
    assert done.returncode == 0, f"{place}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_block(block: Block, folder: Path) -> None:
    if block.language == "python":
        run([sys.executable, "-c", block.text], folder, block.place)
    elif block.language == "bash":
        run(["bash", "-euo", "pipefail", "-c", block.text], folder, block.place)
    else:
        for command, expected in commands(block.text):
            printed = run(["bash", "-euo", "pipefail", "-c", command], folder, f"{block.place}: {command}")
            same = doctest.OutputChecker().check_output(
                expected, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            )
            assert not expected.strip() or same, f"{block.place}: {command}\nexpected\n{expected}\nprinted\n{printed}"


@pytest.mark.parametrize("pages", TOGETHER, ids=lambda pages: str(pages[0].relative_to(ROOT)))
def test_blocks_run(pages, tmp_path):
    chosen = [block for page in pages for block in blocks(page) if block.language in RUN]
    runs = [block for block in chosen if not block.mark.startswith("not run: ") and block.mark != "test command"]
    if any("quickstart" in block.text for block in runs):
        small_quickstart(tmp_path)
    if README in pages:
        runs.append(cells(NOTEBOOK))
    for block in runs:
        run_block(block, tmp_path)


def test_the_notebook_holds_no_output():
    told = json.loads(NOTEBOOK.read_text())
    kept = [cell for cell in told["cells"] if cell.get("outputs") or cell.get("execution_count") is not None]
    assert kept == []
    assert (told["nbformat"], told["nbformat_minor"]) == (4, 4)


SMALL_QUICKSTART = """
import dataclasses
import re
from pathlib import Path
from tokenladder.pipelines.quickstart.corpus import installed_packages, make_corpus, write_studies

packages = [
    dataclasses.replace(package, files=tuple(
        pair for n, pair in enumerate(package.files) if n % 7 == 0 or pair[0].startswith("json/")
    ))
    for package in installed_packages()
]
make_corpus(Path("quickstart/corpus"), packages=packages, workers=1)
write_studies(Path("quickstart"))
for path in Path("quickstart").glob("*.toml"):
    text = re.sub(r"(?m)^(budgets *= *)\\[.*?\\]", r'\\1["250K", "500K"]', path.read_text(encoding="utf-8"))
    path.write_text(text.replace('"1M"', '"500K"'), encoding="utf-8")  # rungs of curricula, and the size of a shard
"""


def small_quickstart(folder: Path) -> None:
    """What `tokenladder quickstart` leaves, of one file in seven and the first two of its rungs."""
    run([sys.executable, "-c", SMALL_QUICKSTART], folder, "a small quickstart's corpus")
    run([sys.executable, "-m", "tokenladder", "quickstart", "--quiet"], folder, "a small quickstart")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_marks_are_known(page):
    marks = {block.mark for block in blocks(page)}
    unknown = {mark for mark in marks if mark not in {"", "test command", "cli"} and not mark.startswith("not run: ")}
    assert unknown == set()


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("*/README.md")), ids=lambda page: page.stem
)
def test_links_inside_the_checkout_lead_somewhere(page):
    text = FENCE.sub("", page.read_text())
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def anchors(page: Path) -> set[str]:
    """What links may name on a page: its headings, as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.stem)
def test_links_to_headings_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", FENCE.sub("", page.read_text()))
    known = {file: anchors(page.parent / file if file else page) for file, _ in targets}
    assert [f"{file}#{anchor}" for file, anchor in targets if anchor not in known[file]] == []


def test_architecture_names_modules_and_folders_that_are_there():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = text[text.index("| stage |") : text.index("The *functions*")].splitlines()[2:]
    cells = [row.split("|")[2:4] for row in rows if row]
    named = {
        ROOT / "pipelines" / (name if name.endswith("/") else f"{folder}/{name}.py")
        for row in cells
        for folder, cell in zip(("stages", "drivers"), row, strict=True)
        for name in re.findall(r"`([^`]+)`", cell)
    }
    assert len(named) > 40
    assert sorted(str(place) for place in named if not place.exists()) == []
    for start in ("", "filters/", "pipelines/"):
        parent = ROOT / start
        folders = {path.name for path in parent.iterdir() if path.is_dir() and any(path.glob("*.py"))}
        assert {folder for folder in folders if f"[{folder}/]({start}{folder})" not in text} == set()


def test_ci_runs_the_command_that_the_readme_shows():
    marked = [block.text for block in blocks(README) if block.mark == "test command"]
    shown = run(["bash", str(ROOT / ".ci" / "run"), "--show"], ROOT, ".ci/run --show")
    assert [shown] == marked
    assert shown.replace(" && ", "\n").splitlines() == [
        "python -m venv .venv",
        ".venv/bin/pip install -c constraints.txt -e '.[test]'",
        ".venv/bin/python -m pytest -n auto --dist worksteal",
    ]


def package_modules() -> list[str]:
    """Every module of the package by its import name; tokenizers/ has no __init__.py, so it is walked by hand."""
    packages = [*tokenladder.__path__], "tokenladder."
    unlisted = [str(ROOT / "tokenizers")], "tokenladder.tokenizers."
    found = itertools.chain(pkgutil.walk_packages(*packages), pkgutil.iter_modules(*unlisted))
    return sorted(module.name for module in found if not module.name.endswith(".__main__"))


NEEDS = {"tokenladder.training.reference.model": "torch", "tokenladder.training.torch_data": "torch"}
"""What a module imports that the tests do without."""


@pytest.mark.parametrize("name", package_modules())
def test_docstring_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{NEEDS[name]} is not installed")
    module = importlib.import_module(name)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_doctests_leave_hugging_faces_tokenizers_alone():
    import tokenizers

    assert hasattr(tokenizers, "Tokenizer")


def registered() -> list[tuple[str, type]]:
    """Every type name that a study file may give, with the dataclass of its section."""
    from tokenladder import filters
    from tokenladder.pipelines import formats
    from tokenladder.pipelines.study import file as study_file

    return [
        *((name, filters.family(name)) for name in filters.FAMILIES),
        *((name, formats.Source) for name in formats.FORMATS),
        *((name, section) for name, section in study_file.TOKENIZERS.items()),
    ]


def test_everything_a_study_may_name_is_documented():
    undocumented = []
    for name, section in registered():
        told = inspect.getdoc(section) or ""
        fields = [field.name for field in dataclasses.fields(section) if field.name != "type"]
        undocumented += [f"{section.__name__}.{field}" for field in fields if not re.search(rf"\b{field}\b", told)]
        if f"`{name}`" not in README.read_text() + GUIDE.read_text():
            undocumented.append(f"`{name}` in GUIDE.md")
    assert sorted(set(undocumented)) == []


def cli_reference() -> str:
    """The part of COMMANDS.md between the cli marks: what `--help` says, command by command."""
    import click

    from tokenladder.pipelines.commands.cli import cli

    settings = {**cli.context_settings, "max_content_width": 100, "terminal_width": 100}
    context = click.Context(cli, info_name="tokenladder", **settings)
    pieces = []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        if not command.hidden:
            inner = click.Context(command, parent=context, info_name=name, max_content_width=100, terminal_width=100)
            pieces.append(f"## `tokenladder {name}`\n\n```text\n{command.get_help(inner)}\n```\n")
    return "\n".join(["", *pieces, ""])


def test_cli_reference_is_what_help_says():
    found = CLI.search(COMMANDS.read_text())
    assert found, "COMMANDS.md has no <!-- cli --> … <!-- /cli --> section"
    assert found[0] == cli_reference(), "run `python tests/test_documentation.py` to write the section anew"


HEAVY = (
    "apache_beam",
    "matplotlib",
    "numba",
    "numpy",
    "pyarrow",
    "pydantic",
    "scipy",
    "sentencepiece",
    "tokenizers",
    "torch",
)


def test_help_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from tokenladder.pipelines.commands.cli import cli\n"
        "try:\n    cli(['--help'])\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        f"print('HEAVY', *(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    assert run([sys.executable, "-c", script], ROOT, "--help").splitlines()[-1].split() == ["HEAVY"]


def test_help_answers_at_once(tmp_path):
    # CPU time, the best of three: other processes on the machine and the first, uncached import do not count.
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run([sys.executable, "-m", "tokenladder", "--help"], tmp_path, "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.5


def study_page() -> str:
    from tokenladder.pipelines.study.json_schema import study_schema

    return render(study_schema())


def test_every_key_of_a_study_is_told_on_its_page():
    assert STUDY.read_text() == study_page(), "run `python tests/test_documentation.py` to write STUDY.md anew"
    silent = [line for line in STUDY.read_text().splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert silent == [], "keys without a word in their docstring"


def write_generated() -> None:
    text = COMMANDS.read_text()
    COMMANDS.write_text(CLI.sub(lambda _: cli_reference(), text))
    STUDY.write_text(study_page())


if __name__ == "__main__":
    write_generated()
