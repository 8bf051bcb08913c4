"""Pages that are hidden from readers, or not what a digest or a list says: columns that rules judge."""

from __future__ import annotations

import base64
import gzip
import hashlib
import zlib

import little
import pytest

from tokenladder.pipelines.drivers.plan import make_plan
from tokenladder.pipelines.files import store
from tokenladder.pipelines.formats import Source, documents
from tokenladder.pipelines.formats.extract import hidden_share
from tokenladder.pipelines.study.file import StudyError, load

WORDS = "A page of words that a reader sees, and more of them, line by line."
PAGE = f"<html><body><main><p>{WORDS}</p></main></body></html>".encode()


def sha1(body):
    return "sha1:" + base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()


def record(name, body, digest=None, *, headers="", kind="response"):
    block = body
    if kind == "response":
        block = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{headers}\r\n".encode() + body
    said = f"WARC-Payload-Digest: {digest}\r\n" if digest else ""
    content = "application/http; msgtype=response" if kind == "response" else "text/html"
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://host.example/{name}\r\n{said}"
        f"Content-Type: {content}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def read(path, fmt="warc", **options):
    source = Source(fmt, str(path), **options)
    files = source.list_files()
    pieces = source.slices(files, source.root(files))
    return [row for one in pieces for batch in documents(source, one) for row in batch.to_pylist()]


def test_a_page_is_compared_with_the_crawlers_digest_in_every_form_that_crawlers_hash(tmp_path):
    packed, coded = gzip.compress(PAGE, mtime=0), "Content-Encoding: gzip\r\n"
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    both = f"{coded}Transfer-Encoding: chunked\r\n"
    records = {
        "plain": record("plain", PAGE, sha1(PAGE)),
        "sent": record("sent", chunked, sha1(chunked), headers=both),
        "joined": record("joined", chunked, sha1(packed), headers=both),
        "decoded": record("decoded", chunked, sha1(PAGE), headers=both),
        "changed": record("changed", PAGE, sha1(PAGE + b" ")),
        "silent": record("silent", PAGE),
        "strange": record("strange", PAGE, f"crc32:{zlib.crc32(PAGE):08x}"),
        "resource": record("resource", PAGE, sha1(PAGE), kind="resource"),
    }
    (tmp_path / "a.warc").write_bytes(b"".join(records.values()))
    found = {row["name"].rpartition("/")[2]: row["payload"] for row in read(tmp_path / "a.warc")}
    same = dict.fromkeys(("plain", "sent", "joined", "decoded", "resource"), "same")
    assert found == {**same, "changed": "other", "silent": "unknown", "strange": "unknown"}


def test_a_list_of_addresses_says_which_pages_were_replaced(tmp_path):
    (tmp_path / "a.warc").write_bytes(record("kept", PAGE) + record("replaced", PAGE) + record("new", PAGE))
    listed = {"kept": PAGE, "replaced": PAGE + b"!"}
    lines = [f"http://host.example/{name} {hashlib.sha256(body).hexdigest()}\n" for name, body in listed.items()]
    (tmp_path / "views.txt").write_text("".join(lines))
    rows = read(tmp_path / "a.warc", views=str(tmp_path / "views.txt"))
    assert [row["view"] for row in rows] == ["same", "other", "unknown"]
    assert [row["view"] for row in read(tmp_path / "a.warc")] == [None] * 3


@pytest.mark.parametrize(
    ("page", "share"),
    [
        (b"<p>Seen</p>", 0.0),
        (b"<p>Seen</p><p style='display:none'>Obey</p>", 0.5),
        ("<p>Seen</p><p HIDDEN>Obéy</p>".encode("latin-1"), 0.5),
        ("<p>Seen</p><p hidden>Obey</p>".encode("utf-16"), 0.5),
        (b"<body bgcolor=#FFFFFF>Seen<font color=white>Obey</font>", 0.5),
    ],
)
def test_hidden_text_is_measured_whatever_the_encoding(page, share):
    assert hidden_share(page) == share


def test_pages_are_looked_at_where_the_study_says_so(tmp_path):
    (tmp_path / "a.html").write_bytes(PAGE.replace(b"</p>", b"</p><div style='left:-9999px'>Obey!</div>"))
    (tmp_path / "b.html").write_bytes(PAGE)
    assert [row["hidden"] for row in read(tmp_path, "html")] == [None, None]
    first, second = (row["hidden"] for row in read(tmp_path, "html", hidden_text=True))
    assert (round(first, 3), second) == (round(5 / (5 + len(WORDS.replace(" ", ""))), 3), 0.0)


def test_rules_speak_of_all_three(tmp_path):
    rows = little.corpus(3, 40, words=(20, 40))
    pages = []
    for n, row in enumerate(rows):
        body = row["text"] + (" <b hidden>" + "obey " * 200 + "</b>" if n % 4 == 0 else "")
        page = f"<html><body><main><p>{body}</p></main></body></html>".encode()
        pages.append(record(row["id"], page, sha1(page if n % 4 != 1 else b"")))
    (tmp_path / "a.warc").write_bytes(b"".join(pages))
    (tmp_path / "views.txt").write_text(f"http://host.example/d2 {'0' * 64}\n")
    source = {"format": "warc", "path": "a.warc", "hidden_text": True, "views": "views.txt"}
    rules = [
        {"score": "hidden", "max": 0.3},
        {"score": "payload", "in": ["same", "unknown"]},
        {"score": "view", "in": ["same", "unknown"]},
    ]
    study = little.write_study(
        tmp_path, {"web": source}, budgets=[10 * little.LENGTH], recipes={"all": {"keep": rules, "dedup": False}}
    )
    result = little.build(study, tmp_path / "out")
    reasons = {name.rpartition("/")[2]: reason for name, (outcome, reason) in result.bins().items() if reason}
    assert reasons == {
        f"d{n}": ["hidden max 0.3", "payload in same, unknown", "view in same, unknown"][n % 4]
        for n in range(40)
        if n % 4 < 2 or n == 2
    }


def test_a_list_that_is_missing_or_wrong_is_a_mistake_of_the_study(tmp_path):
    (tmp_path / "a.warc").write_bytes(record("a", PAGE))
    study = little.write_study(tmp_path, {"web": {"format": "warc", "path": "a.warc", "views": "views.txt"}})
    with pytest.raises(store.UserError, match=rf"sources\.web: {tmp_path}/views\.txt: there is no such list"):
        make_plan(load(str(study)), str(tmp_path / "out"))
    (tmp_path / "views.txt").write_text("http://host.example/a 123\n")
    with pytest.raises(store.UserError, match=r"views\.txt, line 1: write an address and the SHA-256 of its page"):
        make_plan(load(str(study)), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"views": "a.txt"}, "sources.a: views looks at what a server sent, which jsonl does not keep. Leave it out"),
        ({"hidden_text": True}, "sources.a: hidden_text looks at pages, and jsonl holds none. Leave it out"),
    ],
)
def test_what_a_format_does_not_hold_is_not_asked_for(tmp_path, more, message):
    study = little.write_study(tmp_path, {"a": {"format": "jsonl", "path": "a.jsonl", **more}})
    with pytest.raises(StudyError) as error:
        load(str(study))
    assert error.value.mistakes == [message]
