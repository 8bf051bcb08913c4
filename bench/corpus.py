"""A corpus of real HTML in a dozen languages, as WARC files, from Debian's documentation packages.

    python bench/corpus.py --out DIR --megabytes 100 [--copies 4]

Needs `apt-get` and `dpkg` (Debian or Ubuntu; `apt-get update` once before), no root. Downloads the packages into
DIR/packages, and writes DIR/warc/00000.warc.gz … and DIR/corpus.json (packages with versions, pages, bytes, hashes).
The same packages give the same bytes.

Pages are taken in the order of a hash of their address, so that any size is the same blend of languages and packages.
Pages over 1 MiB are left out, because Common Crawl cuts there. Every record names its payload's type, because
datatrove's reader without it silently passes over most pages.

With --copies N each page comes N times, every copy under an address of its own and with every sixth word of Latin
script changed, so that most copies are new documents rather than near duplicates, as a larger corpus would bring. It is
for measuring how memory and time grow.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PACKAGES = (
    *(
        f"debian-reference-{language}"
        for language in ("de", "en", "es", "fr", "id", "it", "ja", "pt", "zh-cn", "zh-tw")
    ),
    *(f"developers-reference{language}" for language in ("", "-de", "-fr", "-it", "-ja", "-ru")),
    *(f"debian-faq{language}" for language in ("", "-de", "-fr", "-it", "-ja", "-ko", "-nl", "-pt", "-ru", "-zh-cn")),
    *(f"aptitude-doc-{language}" for language in ("cs", "en", "es", "fi", "fr", "it", "ja", "nl", "ru")),
    *(f"libreoffice-help-{language}" for language in ("de", "en-us", "es", "fr", "ja", "ru", "zh-cn")),
    *("apache2-doc", "debian-handbook", "git-doc", "installation-guide-amd64", "postgresql-doc-15"),
    *("python-django-doc", "python3.11-doc", "ruby3.1-doc", "sqlite3-doc"),
)
HTML = re.compile(r"\.x?html?(\.[a-z]{2}(-[a-z]{2})?)?(\.(utf8|iso\d+-\d+|euc-kr))?$", re.IGNORECASE)
LARGEST_PAGE = 1 << 20
WARC_BYTES = 8_000_000  # of each compressed file
TEXT = re.compile(rb"(?<=>)[^<]+(?=<)")
WORD = re.compile(rb"[^\W\d_]{3,}")


@dataclasses.dataclass(frozen=True)
class Page:
    """One HTML file of a package.

    Attributes:
        url: The address that the record is given, under the reserved name .example.
        path: Where it is unpacked.
        size: Bytes.
        date: The file's time in its package, as in WARC-Date.
    """

    url: str
    path: Path
    size: int
    date: str


def download(names: Sequence[str], folder: Path) -> list[Path]:
    """The packages' files, downloaded unless they are there; those that this release lacks are named and left out."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not list(folder.glob(f"{name}_*.deb"))]
    known = subprocess.run(["apt-cache", "pkgnames"], check=True, capture_output=True, text=True).stdout.split()
    absent = sorted(set(missing) - set(known))
    if absent:
        print("not in this Debian release:", *absent, file=sys.stderr)
    wanted = [name for name in missing if name not in absent]
    if wanted:
        subprocess.run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *wanted],
            check=True,
            cwd=folder,
            stdout=sys.stderr,
        )
    return sorted(path for name in names for path in folder.glob(f"{name}_*.deb"))


def pages(packages: Sequence[Path], folder: Path) -> list[Page]:
    """Every HTML page of the packages, unpacked into the folder, in the order of a hash of the address."""
    found = []
    for package in packages:
        name = package.name.partition("_")[0]
        subprocess.run(["dpkg", "-x", str(package), str(folder / name)], check=True)
        for path in sorted((folder / name).rglob("*")):
            if path.is_symlink() or not path.is_file() or not HTML.search(path.name):
                continue
            status = path.stat()
            if 0 < status.st_size <= LARGEST_PAGE:
                inside = path.relative_to(folder / name).as_posix()
                date = dt.datetime.fromtimestamp(int(status.st_mtime), dt.UTC)
                url = f"https://{name}.debian.example/{inside}"
                found.append(Page(url, path, status.st_size, f"{date:%Y-%m-%dT%H:%M:%SZ}"))
    return sorted(found, key=lambda page: hashlib.sha256(page.url.encode()).digest())


def take(found: Sequence[Page], size: int) -> list[Page]:
    """The first pages that hold `size` bytes of HTML.

    Raises:
        SystemExit: There is less HTML than that.
    """
    taken, total = [], 0
    for page in found:
        if total >= size:
            break
        taken.append(page)
        total += page.size
    if total < size:
        raise SystemExit(f"the packages hold {total / 1e6:.0f} MB of HTML; --megabytes must not be more")
    return taken


def changed(html: bytes, copy: int) -> bytes:
    """The page with every sixth word of its text made another word; markup and addresses stay as they are."""
    suffix = b"".join(b"aeiou"[int(digit) : int(digit) + 1] + b"x" for digit in f"{copy % 5}{copy // 5 % 5}")
    counter = copy

    def word(found: re.Match[bytes]) -> bytes:
        nonlocal counter
        counter += 1
        return found[0] + suffix if counter % 6 == 0 else found[0]

    return TEXT.sub(lambda text: WORD.sub(word, text[0]), html)


def record(page: Page, url: str, html: bytes) -> bytes:
    """A WARC response record as its own gzip member."""
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(html) + html
    head = (
        "WARC/1.1\r\n"
        "WARC-Type: response\r\n"
        f"WARC-Record-ID: <urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, url)}>\r\n"
        f"WARC-Date: {page.date}\r\n"
        f"WARC-Target-URI: {url}\r\n"
        "WARC-Identified-Payload-Type: text/html\r\n"
        "Content-Type: application/http;msgtype=response\r\n"
        f"Content-Length: {len(http)}\r\n"
        "\r\n"
    )
    return gzip.compress(head.encode() + http + b"\r\n\r\n", compresslevel=6, mtime=0)


def records(taken: Sequence[Page], copies: int) -> Iterator[bytes]:
    """All records: every copy of the first page, then of the second, and so on."""
    for page in taken:
        html = page.path.read_bytes()
        yield record(page, page.url, html)
        for copy in range(1, copies):
            yield record(page, page.url.replace("https://", f"https://copy{copy}."), changed(html, copy))


def write(members: Iterator[bytes], folder: Path) -> list[dict[str, object]]:
    """The records in files of about 8 MB; each file's name, size and hash."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files: list[dict[str, object]] = []
    pending: list[bytes] = []

    def close() -> None:
        data = b"".join(pending)
        pending.clear()
        name = f"{len(files):05d}.warc.gz"
        (folder / name).write_bytes(data)
        files.append({"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})

    held = 0
    for member in members:
        pending.append(member)
        held += len(member)
        if held >= WARC_BYTES:
            close()
            held = 0
    if pending:
        close()
    return files


def make(out: Path, megabytes: int, copies: int = 1) -> dict[str, Any]:
    """Make the corpus below `out`; what corpus.json says."""
    packages = download(PACKAGES, out / "packages")
    with tempfile.TemporaryDirectory() as unpacked:
        taken = take(pages(packages, Path(unpacked)), megabytes * 1_000_000)
        files = write(records(taken, copies), out / "warc")
    made: dict[str, Any] = {
        "packages": [package.name for package in packages],
        "copies": copies,
        "pages": len(taken) * copies,
        "html_bytes": sum(page.size for page in taken) * copies,  # a copy's changed words add about 3 % more
        "files": files,
    }
    (out / "corpus.json").write_text(json.dumps(made, indent=1) + "\n")
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--megabytes", type=int, default=100, help="HTML of the corpus before copies (default 100)")
    parser.add_argument("--copies", type=int, default=1, help="times each page comes, changed each time (default 1)")
    arguments = parser.parse_args()
    made = make(arguments.out, arguments.megabytes, arguments.copies)
    files = len(made["files"])
    print(f"{made['pages']} pages, {made['html_bytes']} bytes of HTML, {files} files in {arguments.out / 'warc'}")


if __name__ == "__main__":
    main()
