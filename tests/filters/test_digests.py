from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.provenance.digests import payload_matches, read_views, view_matches

PAGE = b"<p>page</p>"


@given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from(["md5", "sha1", "sha256", "sha512"]))
def test_a_digest_is_that_of_its_payload_alone(payload, other, algorithm):
    digest = hashlib.new(algorithm, payload).digest()
    for written in (
        digest.hex(),
        digest.hex().upper(),
        base64.b32encode(digest).decode(),
        base64.b32encode(digest).decode().rstrip("="),
    ):
        assert payload_matches(f"{algorithm}:{written}", payload) is True
        assert payload_matches(f" {algorithm.upper()}: {written}", other, payload) is True
        assert payload_matches(f"{algorithm}:{written}", other) is (other == payload)
        assert payload_matches(f"{algorithm}:{written}") is False


@pytest.mark.parametrize(
    "declared", ["", "sha1", "sha1:", "crc32:00000000", "sha1:abc", "sha1:" + "1" * 32, "sha1:" + "ü" * 40]
)
def test_what_is_no_digest_says_nothing(declared):
    assert payload_matches(declared, PAGE) is None


def test_a_page_that_was_replaced_is_seen():
    digest = hashlib.sha256(PAGE).hexdigest()
    views = read_views(
        ["# made in May", "", f"https://a.example/x,{digest}\n", f"https://a.example/y z\t{digest.upper()}"], "v"
    )
    assert views == {"https://a.example/x": digest, "https://a.example/y z": digest}
    assert view_matches(views, "https://a.example/x", PAGE) is True
    assert view_matches(views, "https://a.example/x", PAGE + b" ") is False
    assert view_matches(views, "https://a.example/", PAGE) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["https://a.example/ 12ab"],
            "views.txt, line 1: write an address and the SHA-256 of its page in 64 hex digits",
        ),
        (["0" * 64], "views.txt, line 1: write an address and the SHA-256"),
        (
            ["https://a.example/ " + "0" * 64, "", "https://a.example/ " + "1" * 64],
            "views.txt, line 3: https://a.example/ has another hash further up; keep one of them",
        ),
    ],
)
def test_lists_that_cannot_be_meant_are_refused(lines, message):
    with pytest.raises(ValueError, match=message):
        read_views(lines, "views.txt")
