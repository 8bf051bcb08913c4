"""The quickstart's corpus: web pages and source code that every machine with TokenLadder already holds.

*Web* is the documentation of the interpreter's standard library and of the packages that TokenLadder needs, rendered to
HTML and crawled into WARC files; *code* is their source trees, copied, so that the corpus stays as it is when a package
is upgraded. Nothing is downloaded, and no module that is read is imported.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import email.parser
import hashlib
import importlib.metadata
import importlib.resources
import json
import multiprocessing
import os
import platform
import re
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..engines.processors import processors
from . import crawl, pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CODE = re.compile(r"\.(py|pyi|pyx|pxd|pxi|c|h|cc|cpp|hpp|js|ts|sh|proto|toml|cfg)$")
_LICENCE = re.compile(r"(^|/)(LICEN[CS]E|COPYING|NOTICE)[^/]*$")
_SKIPPED = re.compile(
    r"(^|/)(__pycache__|site-packages|dist-packages|lib-dynload|config-[^/]*|_?tests?|testing|idle_test)/"
    r"|(^|/)(test_[^/]*|conftest|_sysconfigdata[^/]*|[^/]*_test)\.py$"
)
_LARGEST_FILE = 1_000_000
_CARD = "corpus.json"


@dataclasses.dataclass(frozen=True)
class Package:
    """The files of one installed package that the corpus may take.

    Args:
        name: as its metadata gives it; `python` for the standard library.
        version: likewise.
        files: pairs of the path inside the package's tree (with `/`) and the place on disk, sorted.
        description: the metadata's long description, empty where there is none.
    """

    name: str
    version: str
    files: tuple[tuple[str, str], ...]
    description: str = ""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much the corpus may take, in bytes of source files.

    Args:
        package: most that one package gives, to the pages and to the code alike.
        total: most that all packages give together; where they have more, each is cut to the same share.
        crawl: sources whose pages go into one WARC file.
    """

    package: int = 12_000_000
    total: int = 64_000_000
    crawl: int = 8_000_000

    def __post_init__(self) -> None:
        """Refuse limits that leave nothing.

        Raises:
            ValueError: A limit is under 1.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise ValueError(f"The quickstart's limit '{field.name}' is {value}: give at least 1 byte.")


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What `make_corpus` made.

    Args:
        folder: of the corpus; `web/` and `code/` are inside.
        crawls: the WARC files, in order.
        code: the folder with one folder of source files for each package.
        packages: name and version of each package, in order.
        pages: fetches in the WARC files, second forms of a page included.
        page_bytes: their content, uncompressed.
        crawl_bytes: size of the WARC files.
        files: source files.
        code_bytes: their size.
    """

    folder: Path
    crawls: tuple[Path, ...]
    code: Path
    packages: tuple[str, ...]
    pages: int
    page_bytes: int
    crawl_bytes: int
    files: int
    code_bytes: int


def study_text() -> str:
    """The quickstart's study file; its sources are `corpus/web` and `corpus/code` beside it.

    >>> study_text().splitlines()[0]
    '# The quickstart study of TokenLadder: edit it, then build it again.'
    """
    return importlib.resources.files("tokenladder.studies").joinpath("quickstart.toml").read_text(encoding="utf-8")


QUESTIONS = ("dedup", "quality", "epochs", "order")
"""Ready studies of common questions over the same corpus, left beside the quickstart's own."""


def write_studies(folder: Path) -> Path:
    """Write the quickstart's study and those of `QUESTIONS` into a folder; files that are there are the user's.

    Returns:
        The path of the quickstart's own study.
    """
    for name in ("study", *QUESTIONS):
        path = folder / f"{name}.toml"
        if not path.exists():
            shipped = "quickstart" if name == "study" else name
            text = importlib.resources.files("tokenladder.studies").joinpath(f"{shipped}.toml").read_text("utf-8")
            path.write_text(text, encoding="utf-8")
    return folder / "study.toml"


def installed_packages(root: str = "tokenladder") -> list[Package]:
    """The standard library and what a distribution needs, directly or through others, as far as it is installed.

    The distribution itself is left out, so that the corpus does not depend on where it was installed from.

    Raises:
        OSError: The standard library is not on disk as source files.
    """
    library = Path(sysconfig.get_path("stdlib"))
    names: list[str] = []
    for place, folders, here in os.walk(library):
        inner = Path(place).relative_to(library).as_posix().removeprefix(".")
        folders[:] = [name for name in folders if not _SKIPPED.search(f"{name}/")]  # site-packages may be huge
        names.extend(f"{inner}/{name}".lstrip("/") for name in here)
    files = _usable((name, library / name) for name in sorted(names))
    if not files:
        raise OSError(f"No source files in {library}: the quickstart reads Python's standard library from there.")
    found = {"python": Package("python", platform.python_version(), files)}
    waiting = [root]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[name] = _package(name, distribution)
        for requirement in distribution.requires or ():
            required = re.match(r"[A-Za-z0-9._-]+", requirement)
            if required and "extra" not in requirement.partition(";")[2]:
                waiting.append(required[0])
    found.pop(re.sub(r"[-_.]+", "-", root).lower(), None)
    return [found[name] for name in sorted(found) if found[name].files]


def _package(name: str, distribution: importlib.metadata.Distribution) -> Package:
    # A licence inside NAME.dist-info goes to the top of the tree, where a repository has it.
    inner = re.compile(r"^[^/]+\.dist-info/(licenses/)?")
    named = dict(sorted((inner.sub("", path.as_posix()), path) for path in distribution.files or ()))
    files = _usable((name, Path(str(distribution.locate_file(path)))) for name, path in named.items())
    metadata = email.parser.Parser().parsestr(distribution.read_text("METADATA") or "")
    description = metadata.get_payload()
    return Package(name, distribution.version, files, description if isinstance(description, str) else "")


def _usable(files: Iterator[tuple[str, Path]]) -> tuple[tuple[str, str], ...]:
    """Keep source files and licences: no tests, nothing above the tree, nothing huge."""
    return tuple(
        (name, str(path))
        for name, path in files
        if (_CODE.search(name) or _LICENCE.search(name))
        and not _SKIPPED.search(name)
        and name.isascii()
        and not name.startswith("/")
        and ".." not in name.split("/")
        and path.is_file()
        and path.stat().st_size <= _LARGEST_FILE
    )


def make_corpus(
    folder: Path, *, packages: Sequence[Package] | None = None, limits: Limits | None = None, workers: int | None = None
) -> Corpus:
    """Make the quickstart's corpus in a folder, or return the one that it holds.

    The same packages give the same bytes with any number of workers. A finished corpus is never written again: it
    stays the input of the studies made from it; remove the folder to have a new one. It appears under its name when it
    is whole.

    Args:
        folder: to be made; its parent too.
        packages: what to take; by default `installed_packages()`.
        limits: how much to take.
        workers: processes, by default one for each processor. With one, the work is done in this process; with more, a
            script that calls this needs the usual guard `if __name__ == "__main__":`.

    Raises:
        FileExistsError: The folder holds something else.
        ValueError: The packages give no page or no code.
        OSError: A file cannot be read or written.
    """
    folder = Path(folder)
    if (folder / _CARD).is_file():
        return _open(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty and holds no quickstart corpus: name a new folder, or empty it.")
    limits = limits or Limits()
    packages = installed_packages() if packages is None else packages
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    chosen = _draw(packages, limits)
    files, code_bytes = _copy(chosen, partial / "code")
    crawled = _crawl(chosen, partial / "web", limits.crawl, workers or processors())
    if not files or not crawled:
        raise ValueError("The packages hold no source files with docstrings: nothing to make a corpus from.")
    card = {
        "packages": [f"{package.name} {package.version}" for package in chosen],
        "crawls": [name for name, *_ in crawled],
        "pages": sum(count for _, count, _, _ in crawled),
        "page_bytes": sum(size for _, _, size, _ in crawled),
        "crawl_bytes": sum(size for *_, size in crawled),
        "files": files,
        "code_bytes": code_bytes,
    }
    (partial / _CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)
    return _open(folder)


def _open(folder: Path) -> Corpus:
    card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    crawls = tuple(folder / "web" / name for name in card.pop("crawls"))
    return Corpus(folder, crawls, folder / "code", tuple(card.pop("packages")), **card)


def _draw(packages: Sequence[Package], limits: Limits) -> list[Package]:
    """Cut packages to the limits; which files stay is drawn by a hash of their path, so that all corners are there."""
    sizes = {path: Path(path).stat().st_size for package in packages for _, path in package.files}
    allowed = [min(limits.package, sum(sizes[path] for _, path in package.files)) for package in packages]
    share = min(1.0, limits.total / max(1, sum(allowed)))
    chosen = []
    for package, allowance in zip(packages, allowed, strict=True):
        room = int(allowance * share)
        kept = []
        for name, path in sorted(package.files, key=lambda file: hashlib.sha256(file[0].encode()).digest()):
            if sizes[path] <= room:
                kept.append((name, path))
                room -= sizes[path]
        chosen.append(dataclasses.replace(package, files=tuple(sorted(kept))))
    return chosen


def _copy(packages: Sequence[Package], code: Path) -> tuple[int, int]:
    """Copy source files, without their times and rights; returns how many files and bytes."""
    count = size = 0
    for package in packages:
        for name, path in package.files:
            target = code / package.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            count += 1
            size += target.stat().st_size
    return count, size


@dataclasses.dataclass(frozen=True)
class _Task:
    """What one WARC file is made from: for each source its site, its name and where it is, or its text."""

    path: Path
    first: bool
    sources: tuple[tuple[crawl.Site, str, str | None, str], ...]


def _crawl(packages: Sequence[Package], web: Path, crawl_bytes: int, workers: int) -> list[tuple[str, int, int, int]]:
    """Write the WARC files; returns name, fetches, bytes of content and size of each."""
    web.mkdir(parents=True, exist_ok=True)
    groups: list[list[tuple[crawl.Site, str, str | None, str]]] = [[]]
    room = crawl_bytes
    for package in packages:
        for source in _sources(package):
            size = len(source[3]) if source[2] is None else Path(source[2]).stat().st_size
            if size > room and groups[-1]:
                groups.append([])
                room = crawl_bytes
            groups[-1].append(source)
            room -= size
    tasks = [_Task(web / f"crawl-{at:05}.warc.gz", at == 0, tuple(group)) for at, group in enumerate(groups)]
    if workers == 1:
        written = [_write(task) for task in tasks]
    else:
        # Parsing holds the GIL, so processes; spawned ones, because the caller may have threads.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context) as pool:
            written = list(pool.map(_write, tasks))
    return [result for result in written if result[1]]


def _sources(package: Package) -> Iterator[tuple[crawl.Site, str, str | None, str]]:
    """What the pages of a package are made from: its description, its licences, its modules."""
    label = f"{package.name} {package.version}"
    name, version = quote(package.name, safe=""), quote(package.version, safe="")
    home = crawl.Site(label, f"https://packages.example/project/{name}/")
    host = "docs.python.example" if name == "python" else f"{name}.docs.example"
    reference = crawl.Site(label, f"https://{host}/{version}/reference/")
    if package.description.strip():
        yield home, "index.html", None, package.description
    for file, path in package.files:
        if _LICENCE.search(file):
            yield home, f"{file}.html", path, ""
    for file, path in package.files:
        if file.endswith(".py"):
            yield reference, file, path, ""


def _write(task: _Task) -> tuple[str, int, int, int]:
    """Write one WARC file, or none where its sources give no page."""
    found: list[tuple[crawl.Site, pages.Page]] = []
    for site, name, path, text in task.sources:
        if name.endswith(".py") and path is not None:
            dotted = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            found.extend((site, page) for page in pages.module_pages(dotted, Path(path).read_bytes()))
        else:
            plain = text if path is None else Path(path).read_text(encoding="utf-8", errors="replace")
            found.append((site, pages.text_page(name, f"{site.package}: {name.removesuffix('.html')}", plain)))
    if not found:
        return task.path.name, 0, 0, 0
    fetches = crawl.crawl(_without_repeats(found))
    if task.first:
        manual, body = "https://docs.python.example/manual.pdf", b"%PDF-1.4\n" + bytes(range(256)) * 16
        fetches.append(crawl.Fetch(manual, body, content_type="application/pdf"))
    data = crawl.warc(task.path.name, fetches)
    task.path.write_bytes(data)
    return task.path.name, len(fetches), sum(len(fetch.body) for fetch in fetches), len(data)


def _without_repeats(found: list[tuple[crawl.Site, pages.Page]]) -> list[tuple[crawl.Site, pages.Page]]:
    """Keep the first page of an address: a function that is defined twice, under `if` and `else`, has two."""
    first = {(site.address, page.path): (site, page) for site, page in reversed(found)}
    return list(reversed(first.values()))
