r"""What the score ``secrets`` looks for: published forms of keys and tokens, and values that are assigned to secrets.

Most services give their keys a prefix so that scanners can find them. Forms are those that the services document and
that scanners such as gitleaks and detect-secrets share. A secret without a form of its own is found by where it stands
(``api_key = "…"``) and by the entropy of its characters. Placeholders and keys printed in documentation are left alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter

from ..text.spans import Finder, Kind

_DIGITS = b"0123456789"
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTERS = _UPPER + _UPPER.lower()

SHORTEST_VALUE = 16
"""Characters of the shortest value that is taken for a secret because of the name before it."""

_PREFIX = (
    rb"AKIA|ASIA|gh[opusr]_|github_pat_|gl(?:pat|ptt|dt|rt|soat)-|xox[abeoprs]-|xapp-|hooks\.slack\.com|AIza|GOCSPX-"
    rb"|[rs]k_live_|whsec_|sk-|hf_|npm_|pypi-|SG\.|eyJ"
)
"""What the keys and tokens below begin with."""
_KEY = Finder(_LETTERS + _DIGITS + b"_-./", shortest=20, holds=_PREFIX)
_VALUE = Finder(_LETTERS + _DIGITS + b"_-./+", shortest=SHORTEST_VALUE, counted=_DIGITS, least=2, led=b"=:>")
_ADDRESS = Finder(_LETTERS + _DIGITS + b"_-./+=:;,&%$!*()~?#@", shortest=12, trigger=b"@")
_PEM = Finder(_UPPER + _DIGITS + b" -", shortest=27, counted=b"-", least=10)

_PEM_BODY = re.compile(rb"[A-Za-z0-9+/=]{32}")
_PEM_END = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_REACH = 16_384  # bytes; an RSA key of 16,384 bits takes 12,500

_PLACEHOLDER = re.compile(
    rb"(?i)example|sample|dummy|placeholder|change-?_?me|redacted|replace|your[-_]?|my[-_]?(?:secret|token|key|pass)"
    rb"|2YotnFZFEjr1zCsicMWpAA|tGzv3JOkF0XG5Qx2TlKWIA"  # RFC 6749
    rb"|ed25519|sha256|base64|secp\d|x509"
    rb"|x{4}|\*{3}|\.{3}|0{8}|1234567|abcdefg|<|>|\$\{|\{\{|insert|foobar|deadbeef|todo"
)
_WORDS = re.compile(
    rb"(?i)^(?:pass(?:word|wd)?|pwd?|secret|user|root|admin|token|guest|login|postgres|mysql|\$.*|%.*)$"
)
_NAMED = (
    rb"(?i)(?:api[_-]?key|secret|token|passwd|password|passphrase|private[_-]?key|access[_-]?key|auth[_-]?key|credential"
    rb"|encryption[_-]?key|signing[_-]?key)[A-Za-z0-9_-]{0,16}[\"'`]?\]? {0,4}(?::=|=>|=|:) {0,4}[\"'`]?"
)
"""The name of a secret, and what assigns a value to it, before the value."""


def entropy(value: bytes) -> float:
    """Shannon's entropy of the bytes of a value, in bits each: 0 for one byte over and over, about 4 for English.

    >>> entropy(b"aaaa"), entropy(b"abcd")
    (0.0, 2.0)
    """
    size = len(value)
    return sum(-count / size * math.log2(count / size) for _, count in sorted(Counter(value).items())) + 0.0


def is_random(value: bytes) -> bool:
    """Whether a value has the look of a random one: digits among letters, 3 bits a character and more, no words.

    Hexadecimal values of n characters have at most 4 bits; 16 random ones have some 3.2. A path, a dotted name or
    words joined by hyphens consist of parts without digits, and fail for that.

    >>> is_random(b"9fQ2xLm0Zr7TbV4kWd1s"), is_random(b"/usr/share/doc/python3"), is_random(b"a-long-name-of-words")
    (True, False, False)
    """
    if _PLACEHOLDER.search(value) or entropy(value) < 3.0:
        return False
    parts = [part for part in re.split(rb"[-_./=+:]", value) if part]
    mixed = sum(len(part) for part in parts if re.search(rb"[0-9]", part) and re.search(rb"[A-Za-z]", part))
    digits = len(re.findall(rb"[0-9]", value))
    return 3 * mixed >= 2 * len(value) and digits >= 2 and digits < len(value) - 3


def _unlike_example(found: bytes, _before: bytes, _after: bytes) -> bool:
    return not _PLACEHOLDER.search(found) and entropy(found) >= 2.5


def _jwt(found: bytes, _before: bytes, _after: bytes) -> bool:
    head = found.split(b".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header


def _password(found: bytes, _before: bytes, after: bytes) -> bool:
    if _PLACEHOLDER.search(found) or _WORDS.match(found) or (len(found) < 8 and found.isalpha() and found.islower()):
        return False
    return not re.match(rb"@(?:[a-z0-9.-]*\.)?(?:example\.(?:com|net|org)|example|test|invalid)\b", after)


def _assigned(found: bytes, _before: bytes, after: bytes) -> bool:
    is_call = after[:1] in {b"(", b"["}
    return not is_call and is_random(found)


def _pem_end(after: bytes) -> int:
    """Bytes of a private key behind its first line, negative where no key follows but only talk of one."""
    end = _PEM_END.search(after)
    body = after[: end.start()] if end else after[:200]
    if not _PEM_BODY.search(body):
        return -1
    return end.end() if end else 0


KINDS = (
    Kind(
        "private_key",
        _PEM,
        rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        reach=_PEM_REACH,
        end=_pem_end,
    ),
    Kind("aws", _KEY, rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", _unlike_example),
    Kind(
        "github",
        _KEY,
        rb"\b(?:gh[opusr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})\b",
        _unlike_example,
    ),
    Kind("gitlab", _KEY, rb"\bgl(?:pat|ptt|dt|rt|soat)-[A-Za-z0-9_-]{20,64}", _unlike_example),
    Kind(
        "slack",
        _KEY,
        rb"\bxox[abeoprs]-[A-Za-z0-9-]{15,250}|\bxapp-\d-[A-Za-z0-9-]{20,250}"
        rb"|\bhooks\.slack\.com/services/T[A-Z0-9]{6,14}/B[A-Z0-9]{6,14}/[A-Za-z0-9]{20,28}\b",
        _unlike_example,
    ),
    Kind("google", _KEY, rb"\bAIza[A-Za-z0-9_-]{35}", _unlike_example),
    Kind("google", _KEY, rb"\bGOCSPX-[A-Za-z0-9_-]{28}", _unlike_example),
    Kind("stripe", _KEY, rb"\b(?:[rs]k_live_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9]{32,64})\b", _unlike_example),
    Kind(
        "model_provider",
        _KEY,
        rb"\bsk-(?:[A-Za-z0-9_-]{3,90}T3BlbkFJ[A-Za-z0-9_-]{20,90}|ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{80,110})"
        rb"|\bhf_[A-Za-z]{34}\b",
        _unlike_example,
    ),
    Kind(
        "package_registry",
        _KEY,
        rb"\bnpm_[A-Za-z0-9]{36}\b|\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,250}",
        _unlike_example,
    ),
    Kind("sendgrid", _KEY, rb"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", _unlike_example),
    Kind("jwt", _KEY, rb"\beyJ[A-Za-z0-9_-]{8,900}\.[A-Za-z0-9_-]{8,900}\.[A-Za-z0-9_-]{16,900}", _jwt),
    Kind("url_password", _ADDRESS, rb"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^/:@]{1,64}:([^/:@]{3,64})@", _password),
    Kind("assignment", _VALUE, rb"[A-Za-z0-9_./+-]{%d,250}" % SHORTEST_VALUE, _assigned, _NAMED),
)
