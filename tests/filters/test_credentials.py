from __future__ import annotations

import base64
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.private.credential_kinds import KINDS, is_random
from tokenladder.filters.private.credentials import NAMES, Secrets
from tokenladder.filters.private.personal import MASKS

import naive

# Written in two halves, so that no scanner of repositories takes a test for a leak.
R20, R36 = "9fQ2xLm0Zr7TbV4kWd1s", "k3J9sLq8Zx2Vb7Nm4Tg6Hy1Rf5Dc0Pw9Ae3U"


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


JWT = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded({'sub': 'ada', 'role': 'x'})}.{R36}"
BODY = "\n".join(f"{R36}{R20}{n:08d}" for n in range(5, 9))
PEM = f"-----BEGIN RSA PRIVATE{' KEY'}-----\n{BODY}\n-----END RSA PRIVATE{' KEY'}-----"
FOUND = {
    "private_key": [PEM, f"-----BEGIN PRIVATE{' KEY'}-----\\n{R36}{R20}\\n-----END PRIVATE{' KEY'}-----"],
    "aws": ["AKIA" + "2E0A8F3B9C7D6E5F"],
    "github": ["ghp_" + R36, "github_pat_" + R20 + "aB_" + R36 + R20 + "x1Y"],
    "gitlab": ["glpat-" + R20],
    "slack": [
        "xoxb-" + "2345678901-" + R20,
        "https://hooks.slack.com/services/" + "T0A1B2C3D/B4E5F6G7H/" + R20 + "Q2w9",
    ],
    "google": ["AIza" + R36[:35], "GOCSPX-" + R36[:28]],
    "stripe": ["sk_live_" + R20 + "Zq31", "whsec_" + R36],
    "model_provider": ["sk-proj-" + R20 + "T3BlbkFJ" + R20, "hf_" + "kJsLqZxVbNmTgHyRfDcPwAeUkJsLqZxVbN"],
    "package_registry": ["npm_" + R36, "pypi-AgEIcHlwaS5vcmc" + R36 + R20],
    "sendgrid": ["SG." + R20 + "aB." + R36 + "q7W4e2R"],
    "jwt": [JWT],
    "url_password": ["postgres://ada:h7&Kp2!x@db.analytical.org/x"],
    "assignment": [
        f'api_key = "{R20}"',
        f"SECRET_TOKEN={R20}",
        f'"client_secret": "{R20}"',
        f"password: {R20}",
        f"config['auth-key'] = '{R20}'",
    ],
}
LEFT_ALONE = [
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    f"-----BEGIN PUBLIC KEY-----\n{BODY}\n-----END PUBLIC KEY-----",
    "AKIAIOSFODNN7" + "EXAMPLE ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ghp_short",
    "AIzaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "eyJub3QganNvbg.eyJub3QganNvbg.abcdefghijklmnopqrst",
    "https://user:password@analytical.org https://ada:h7Kp2x@db.example.com/ ftp://u:${PASS}@h http://host:80/@x",
    "token = get_token_from_the_environment_2_3(x) password=hunter2 key_length = 2048",
    "secret: /usr/share/doc/python3/secret-file-2024.txt",
    "api_key: your-api-key-goes-here-1234",
    f"commit {R20}, checksum = {R20}, {R36}",
    "tokens = 12345678901234567890",
]
GLUE = st.sampled_from(["", " ", "\n", '"', "'", "=", ":", "-", "_", ".", "x", "7", "é", "日", "/", "@"])
PIECES = [piece for some in FOUND.values() for piece in some] + [part for line in LEFT_ALONE for part in line.split()]
PIECES += ["secret", "password", "token", "=", ": ", R20, "a" * 255, "k9" * 130]
MADE = st.lists(st.tuples(st.sampled_from(PIECES), GLUE), max_size=6).map(lambda some: "".join(a + b for a, b in some))
TEXT = MADE | st.text(st.sampled_from("aZ09_-./+=:@ '\"\n"), max_size=80) | st.text(max_size=60)


def batch(texts):
    return pa.record_batch({"text": pa.array(texts, pa.string())})


def found(text):
    row = Secrets().score(batch([text])).to_pylist()[0]
    return {name: row[name] for name in NAMES if row[name]}


@given(st.lists(st.none() | TEXT, max_size=5), st.integers(0, 2))
def test_finds_and_masks_equal_those_of_patterns_over_the_whole_text(texts, skipped):
    family = Secrets(masks=NAMES)
    sliced = batch(texts).slice(skipped)
    scored = family.score(sliced)
    scored.validate(full=True)
    assert scored.schema == family.columns
    masked = family.mask(sliced.column("text")).column
    for row, text, mask in zip(scored.to_pylist(), texts[skipped:], masked.to_pylist(), strict=True):
        if text is None:
            assert (row, mask) == (dict.fromkeys(family.columns.names), None)
            continue
        names = [name for _, _, name in naive.finds(text, KINDS)]
        reason = next((name for name in NAMES if name in names), "pass")
        edits = [row.pop(name) for name in MASKS.names]
        assert row == {"reason": reason, "total": len(names), **{name: names.count(name) for name in NAMES}}
        merged = naive.merged([(start, -stop, name) for start, stop, _, name in naive.candidates(text, KINDS)])
        assert list(zip(*edits, strict=True)) == [(start, stop, NAMES.index(name)) for start, stop, name in merged]
        assert mask == naive.with_masks(text, KINDS)


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, some in FOUND.items() for text in some])
def test_what_is_found(kind, text):
    assert found(f"see\n{text}\nbelow") == {kind: 1}
    assert found(text) == {kind: 1}


@pytest.mark.parametrize("line", LEFT_ALONE)
def test_what_is_left_alone(line):
    assert found(line) == {}


def test_a_private_key_is_masked_to_its_last_line():
    masked = Secrets(masks=("private_key",)).mask(pa.array([f"before\n{PEM}\nafter"])).column.to_pylist()
    assert masked == [f"before\n[private_key{'_' * 51}]\nafter"]


def test_only_the_value_of_an_assignment_and_the_password_of_an_address_are_masked():
    texts = [f'api_key = "{R20}";', "postgres://ada:h7&Kp2!x@db.analytical.org"]
    masked = Secrets(masks=("assignment", "url_password")).mask(pa.array(texts))
    assert masked.column.to_pylist() == [
        f'api_key = "[assignment{"_" * 20}]";',
        "postgres://ada:[url_password__]@db.analytical.org",
    ]
    assert masked.counts.tolist() == [[0, 1], [1, 0]]


def test_a_value_is_random_by_its_characters():
    assert [
        is_random(value) for value in (b"3f786850e387550fdab836ed7e6dc881", b"aaaaaaaa1111aaaa", b"12345678901234567")
    ] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kinds": ("azure",)}, "secrets: kinds has 'azure', which is none of private_key, aws"),
        ({"kinds": ("aws",), "masks": ("jwt",)}, "secrets: masks has 'jwt', but kinds has not; add it there too"),
    ],
)
def test_impossible_parameters_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Secrets(**fields)
