"""Text with near duplicates: pages and code as they are found, and copies of some of them with graded edits.

The pages are the main content of corpus.py's HTML; the code and the documentation beside it are the text files of the
Python packages that this environment holds. Half of the bytes are to come from each. Both have near duplicates of their
own (translations, versions, licences); the *planted* ones are known by construction.

Everything follows from the files and the seed: numbers are drawn by SplitMix64 (Steele, Lea, Flood 2014, "Fast
splittable pseudorandom number generators"), so that the same packages give the same bytes under any version of Python.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fastwarc.warc import ArchiveIterator, WarcRecordType

from tokenladder.pipelines.formats.extract import ExtractionError, extract
from tokenladder.pipelines.formats.file_types import file_type

PROSE = {"Markdown", "reStructuredText", "Text"}
SUFFIXES = {".py", ".pyi", ".md", ".rst", ".txt", ".h", ".c", ".cpp", ".js", ".pyx", ".sh"}
LARGEST = 1 << 20
"""Bytes of a file, at most: beyond are tables of data."""
COPIED_WORDS = 60
"""Words of a document that is copied, at least: in a shorter one, one edit changes every shingle."""
FILE_BYTES = 16_000_000
RATES = (5, 10, 15, 20, 30, 50, 80)
"""Words in a thousand that an edit replaces. With 5 words a shingle, 23 give a Jaccard similarity of .8."""
SCHEMA = pa.schema(
    [pa.field("id", pa.string(), nullable=False), pa.field("text", pa.string()), pa.field("file_type", pa.string())]
)
WORD = re.compile(r"[^\W\d_]{3,}")
COMMENT = re.compile(r"\A(?:[ \t]*(?:#|//)[^\n]*\n|\s*\n)+")
HEADER = "Home\nProducts\nSupport\nContact us\nSign in\nYou are here: Home > {0} > {1}\n\n"
FOOTER = "\n\nWas this page helpful?\nShare this page with {0}\nTerms of use | Privacy | Imprint of {1}\n"
LICENCE = (
    "Copyright the authors of {0}. Permission is granted to use, copy, modify and distribute this file of",
    "{1} for any purpose, provided that this notice stays in all copies. The file comes as it is, with no",
    "warranty of any kind; in no event are the authors liable for a damage that its use may cause.",
)


@dataclasses.dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        text: What it says.
        file_type: Programming language, or None for a page.
    """

    text: str
    file_type: str | None

    @property
    def code(self) -> bool:
        """Whether it is source code."""
        return self.file_type is not None and self.file_type not in PROSE


@dataclasses.dataclass(frozen=True)
class Planted:
    """A copy and what it was made from; both by their number in the corpus.

    Attributes:
        copy: Number of the copy.
        original: Number of the original.
        edit: What was done to it.
    """

    copy: int
    original: int
    edit: str


class Draws:
    """A stream of integers from a seed, by SplitMix64."""

    def __init__(self, *seed: object) -> None:
        """Start the stream that these values name."""
        self._state = int.from_bytes(hashlib.sha256(repr(seed).encode()).digest()[:8], "little")

    def below(self, bound: int) -> int:
        """The next integer in [0, bound); its bias is under 2^-32 for the bounds that stand here.

        >>> [Draws(1).below(6) for _ in range(2)] == [Draws(1).below(6)] * 2
        True
        """
        self._state = (self._state + 0x9E3779B97F4A7C15) & (1 << 64) - 1
        value = self._state
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        value = (value ^ value >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        return (value ^ value >> 31) % bound


def replace_words(text: str, draws: Draws, rate: int) -> str:
    """The text with `rate` of a thousand words made another word of the same text."""
    words = WORD.findall(text)
    return WORD.sub(lambda found: words[draws.below(len(words))] if draws.below(1000) < rate else found[0], text)


def delete_lines(text: str, draws: Draws, rate: int) -> str:
    """The text without two to four lines for each thousandth of `rate` in four hundred; at least one stays."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines[1:] if draws.below(400) >= rate) + lines[0]


def move_paragraphs(text: str, draws: Draws, rate: int) -> str:
    """The text with one to four of its blocks of lines elsewhere."""
    lines = text.splitlines(keepends=True)
    for _ in range(1 + rate // 25):
        first = draws.below(len(lines))
        block = lines[first : first + 1 + len(lines) // 10]
        del lines[first : first + len(block)]
        place = draws.below(len(lines) + 1)
        lines[place:place] = block
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def frame(text: str, draws: Draws, rate: int) -> str:
    """The text with a site's header and footer, and some of its words replaced."""
    site = [f"site{draws.below(100_000)}" for _ in range(2)]
    return HEADER.format(*site) + replace_words(text, draws, rate // 4) + FOOTER.format(*site)


def indent(text: str, draws: Draws, rate: int) -> str:
    """Code with tabs for its indentation, blank lines elsewhere, and some of its words replaced."""
    lines = replace_words(text, draws, rate // 8).splitlines()
    moved = (re.sub(r"\A +", lambda spaces: "\t" * -(-len(spaces[0]) // 4), line) for line in lines if line.strip())
    return "".join(f"{line}\n\n" if draws.below(10) == 0 else f"{line}\n" for line in moved)


def license_anew(text: str, draws: Draws, rate: int) -> str:
    """Code with another licence in place of its first comment, and some of its words replaced."""
    sign = "//" if text.lstrip().startswith(("//", "/*")) else "#"
    name = f"project{draws.below(100_000)}"
    header = "".join(f"{sign} {line.format(name, name)}\n" for line in LICENCE)
    return header + replace_words(COMMENT.sub("", text), draws, rate // 8)


EDITS: dict[str, Callable[[str, Draws, int], str]] = {
    "copy": lambda text, _draws, _rate: text,
    "words": replace_words,
    "lines deleted": delete_lines,
    "paragraphs moved": move_paragraphs,
    "header and footer": frame,
    "indented": indent,
    "licence": license_anew,
}
OF_PROSE = ("copy", "words", "words", "words", "words", "lines deleted", "paragraphs moved", "header and footer")
OF_CODE = ("copy", "words", "words", "lines deleted", "paragraphs moved", "indented", "indented", "licence")


def plant(found: Sequence[Document], seed: int = 1) -> tuple[list[Document], list[Planted]]:
    """The documents with edited copies of every fourth among them.

    A document that is copied has one copy, or three of them once in eight.

    Args:
        found: Documents.
        seed: Of the choice, the edits and the order.

    Returns:
        Documents in an order without meaning, and what was planted.
    """
    made: list[tuple[Document, int | None, str]] = [(document, None, "") for document in found]
    for number, document in enumerate(found):
        draws = Draws(seed, "copies", number)
        if draws.below(4) or len(WORD.findall(document.text)) < COPIED_WORDS:
            continue
        for copy in range(1 if draws.below(8) else 3):
            draws = Draws(seed, "edit", number, copy)
            kinds = OF_CODE if document.code else OF_PROSE
            edit, rate = kinds[draws.below(len(kinds))], RATES[draws.below(len(RATES))]
            made.append((Document(EDITS[edit](document.text, draws, rate), document.file_type), number, edit))
    order = sorted(range(len(made)), key=lambda n: Draws(seed, "order", n).below(1 << 62))
    place = {n: at for at, n in enumerate(order)}
    planted = [
        Planted(place[n], place[original], edit) for n, (_, original, edit) in enumerate(made) if original is not None
    ]
    return [made[n][0] for n in order], sorted(planted, key=lambda pair: pair.copy)


def web(folder: Path) -> Iterator[Document]:
    """Main content of the pages of corpus.py's WARC files."""
    for file in sorted(folder.glob("*.warc.gz")):
        with file.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                try:
                    text = extract(record.reader.read())
                except ExtractionError:
                    continue
                if text.strip():
                    yield Document(text, None)


def installed(folders: Iterable[Path]) -> Iterator[Document]:
    """Text files of installed packages, in the order of a hash of their paths, so that any size is the same blend."""
    files = (
        (hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest(), path)
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES and path.is_file() and not path.is_symlink()
    )
    for _, path in sorted(files):
        if 0 < path.stat().st_size <= LARGEST:
            try:
                text = path.read_text(encoding="utf-8", errors="strict")
            except UnicodeDecodeError:
                continue
            if text.strip():
                yield Document(text, file_type(path.name, text))


def up_to(documents: Iterable[Document], size: int) -> list[Document]:
    """The first documents that hold `size` bytes, or all."""
    taken, total = [], 0
    for document in documents:
        if total >= size:
            break
        taken.append(document)
        total += len(document.text.encode())
    return taken


def write(documents: Sequence[Document], folder: Path) -> int:
    """The documents as Parquet files of about 16 MB of text; how many bytes of text."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    total, held, number = 0, 0, itertools.count()
    rows: list[dict[str, str | None]] = []
    for n, document in enumerate(documents):
        rows.append({"id": f"{n:08d}", "text": document.text, "file_type": document.file_type})
        held += len(document.text.encode())
        if held >= FILE_BYTES or n == len(documents) - 1:
            pq.write_table(
                pa.Table.from_pylist(rows, SCHEMA), folder / f"{next(number):05d}.parquet", row_group_size=4096
            )
            total, held, rows = total + held, 0, []
    return total


def make(corpus: Path, megabytes: int) -> Path:
    """The folder of a corpus with planted duplicates, made once: documents/, tiny/, planted.parquet.

    Args:
        corpus: What corpus.py wrote; without its warc/, all text comes from installed packages.
        megabytes: Text before copies are planted, 10⁶ bytes.

    Raises:
        SystemExit: There is less text than that.
    """
    folder = corpus / f"dedup-{megabytes}"
    if (folder / "planted.parquet").exists():
        return folder
    pages = up_to(web(corpus / "warc"), megabytes * 500_000)
    left = megabytes * 1_000_000 - sum(len(page.text.encode()) for page in pages)
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")} | {str(Path(sysconfig.__file__).parent)}
    files = up_to(installed(sorted(map(Path, folders))), left)
    print(f"{len(pages)} pages and {len(files)} files of installed packages", file=sys.stderr)
    if sum(len(file.text.encode()) for file in files) < left - LARGEST:
        raise SystemExit(f"there is less text here than --megabytes {megabytes}: make corpus.py's corpus larger")
    documents, planted = plant(pages + files)
    write(documents, folder / "documents")
    write(documents[:20], folder / "tiny")
    table = pa.Table.from_pylist([dataclasses.asdict(pair) for pair in planted])
    pq.write_table(table, folder / "planted.parquet")
    return folder
