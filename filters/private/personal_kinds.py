r"""What the score ``personal`` looks for: patterns and their checks.

Forms are the public ones of each kind. A number whose check digit one random number in ten passes is taken for an
identity number only near a word that says so. Phones are international numbers (E.164, with a country calling code in
use) and the national forms that are hard to take for anything else (North America, France, United Kingdom, Brazil,
Japan, China, Australia); any other number of seven to fifteen digits counts where a word for telephone stands before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..text.spans import Finder, Kind, compiled
from . import addresses, checksums

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[bytes, bytes, bytes], bool]

_DIGITS = b"0123456789"
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTERS = _UPPER + _UPPER.lower()

_MAIL = Finder(_LETTERS + _DIGITS + b"._%+-@", shortest=6, trigger=b"@")
# With no-break spaces (U+00A0, U+202F), which pages put into numbers.
_NUMBER = Finder(_DIGITS + _UPPER + b" -./()+\xc2\xa0\xe2\x80\xaf", shortest=7, counted=_DIGITS, least=7)
_QUAD = Finder(_DIGITS + b".", shortest=7, counted=b".", least=3)
_HEX = Finder(_DIGITS + b"abcdefABCDEF:", shortest=7, counted=b":", least=2)

_GAP = rb"(?: |-|\.|\xc2\xa0|\xe2\x80\xaf)"
_SPACE = rb"(?: |\xc2\xa0|\xe2\x80\xaf)"
_NOT_DIGITS = re.compile(rb"[^0-9]")
_NOT_CODE = re.compile(rb"[^0-9A-Z]")
_JOINED_BEFORE = compiled(rb"[0-9A-Za-z][-./]$|[+_@#=&?%]$")
_JOINED_AFTER = re.compile(rb"[-./][0-9A-Za-z]|[_%@]")
_DATE = re.compile(r"(?:19|20)\d\d[-./]\d\d[-./]\d\d|\d\d[-./]\d\d[-./](?:19|20)\d\d")
_LIKELY_VERSION = compiled(rb"(?i)version|updat|upgrad|releas|\broll|\bbump|\bv\d|\boid\b|[0-9][ ,]$|[:`]$")
"""Before a dotted quad with a one-digit first number: few machines have such addresses, many programs such versions."""
_VERSION = compiled(rb"(?i)(?:\bv|\bversions?|\bversion:|\brelease|\bbuild|\brev)[ =:\"']*$|[0-9A-Za-z][-.]$|[/_$]$")
_TELEPHONE = compiled(
    rb"(?i)(?:\btel\b|\btel[.:]|t\xc3\xa9l|telef|telephone|phone|\bfax\b|mobile|m\xc3\xb3vil|\bmob[.:]|\bcell|\bhandy|"
    rb"celular|\bfon\b|\xe2\x98\x8e|\xd1\x82\xd0\xb5\xd0\xbb|\xe7\x94\xb5\xe8\xaf\x9d|\xe9\x9b\xbb\xe8\xa9\xb1)"
    rb"[^0-9\n]{0,16}$"
)
_ROW_BEFORE = compiled(rb"[0-9][ ,]$")
_ROW_AFTER = re.compile(rb",? [0-9]{2}")
_FICTION = re.compile(
    r"(?:0\d){5}|1?[2-9]\d\d55501\d\d|(?:44|0)(?:1632960|2079460|7700900|1134960|1214960|1614960)\d{3}"
)
"""Numbers set aside for films and examples: 555-0100 to 555-0199 in North America, Ofcom's ranges in Britain."""
_LOGIN = re.compile(rb"://[^\s/@]*:$")
"""Before what looks like a mailbox: ``https://user:password@host`` is a secret instead."""
_CODES = (
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 "
    "86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 "
    "237 238 239 240 241 242 243 244 245 246 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 "
    "267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 "
    "381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 "
    "598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 850 852 853 855 856 "
    "880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 994 995 996 998"
).replace(" ", "|")
_CALLING = re.compile(rf"(?:{_CODES})(?!0)\d{{6,13}}")
"""Country calling codes of ITU-T E.164 and a national number; at most 15 digits."""

_EMAIL = rb"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b"
_INTERNATIONAL = (
    rb"\+[1-9]\d{0,2}" + _GAP + rb"?(?:\(\d{1,4}\)" + _GAP + rb"?)?\d{1,5}(?:" + _GAP + rb"\d{2,8}){1,5}\b"
    rb"|\+[1-9]\d{9,14}\b"
)
_NATIONAL = (
    rb"\([2-9]\d\d\) ?[2-9]\d\d-\d{4}\b|\b(?:1-)?[2-9]\d\d-[2-9]\d\d-\d{4}\b|\b[2-9]\d\d\.[2-9]\d\d\.\d{4}\b"
    rb"|\b0[1-9](?:" + _GAP + rb"\d\d){4}\b"
    rb"|\b0(?:20[ -]\d{4}[ -]\d{4}|1\d\d[ -]\d{3}[ -]\d{4}|1\d{3}[ -]\d{5,6}|7\d{3} \d{3} ?\d{3})\b"
    rb"|\(\d\d\) ?9?\d{4}-\d{4}\b"
    rb"|\b0\d{1,3}-\d{2,4}-\d{4}\b"
    rb"|\b1[3-9]\d[ -]\d{4}[ -]\d{4}\b"
    rb"|\b04\d\d \d{3} \d{3}\b|\(0[2378]\) \d{4} \d{4}\b"
)
_NAMED_PHONE = rb"\(?\d[\d ()./-]{5,18}\d\b"
_CARD = (
    rb"\b(?:[2-6]\d{3}"
    + (_GAP + rb"\d{4}") * 3
    + rb"|3[47]\d\d"
    + _GAP
    + rb"\d{6}"
    + _GAP
    + rb"\d{5}"
    + rb"|3[0689]\d\d"
    + _GAP
    + rb"\d{6}"
    + _GAP
    + rb"\d{4}|[2-6]\d{12,18})\b"
)


def _ibans() -> bytes:
    """One alternative for each length: an account in groups of four must not take a word behind it for a group."""
    forms = []
    for length, countries in sorted(checksums.IBAN_LENGTHS.items()):
        groups, rest = divmod(length - 4, 4)
        form = rb"(?:%s)\d\d(?:%s?[0-9A-Z]{4}){%d}" % ("|".join(sorted(countries)).encode(), _SPACE, groups)
        forms.append(form + (rb"%s?[0-9A-Z]{%d}" % (_SPACE, rest) if rest else b""))
    return rb"\b(?:%s)\b" % b"|".join(forms)


def _apart(before: bytes, after: bytes) -> bool:
    """Whether a number stands alone, rather than in a path, a longer number, or an address."""
    return not _JOINED_BEFORE.search(before) and not _JOINED_AFTER.match(after)


def _number(check: Callable[[str], bool], near: bytes | None = None) -> Check:
    """A check of what is left without separators; with ``near``, one of these words must stand before it."""
    word = None if near is None else re.compile(rb"(?i)(?:^|[^a-z])(?:" + near + rb")(?:[^a-z]|$)")

    def accepts(found: bytes, before: bytes, after: bytes) -> bool:
        if not _apart(before, after) or (word is not None and not word.search(before)):
            return False
        return check(_NOT_CODE.sub(b"", found).decode())

    return accepts


_TEST_CARDS = frozenset(
    {
        "4111111111111111",
        "4242424242424242",
        "4012888888881881",
        "4000056655665556",
        "4222222222222",
        "5555555555554444",
        "5105105105105100",
        "5200828282828210",
        "2223003122003222",
        "378282246310005",
        "371449635398431",
        "378734493671000",
        "6011111111111117",
        "6011000990139424",
        "3530111333300000",
        "3566002020360505",
        "30569309025904",
        "38520000023237",
    }
)
"""Numbers that payment services print in their documentation."""


def _card(number: str) -> bool:
    return checksums.card(number) and number not in _TEST_CARDS


def _iban(account: str) -> bool:
    return sum(each.isdigit() for each in account) >= 7 and checksums.iban(account)  # the runs have seven digits


def _phone(found: bytes, before: bytes, after: bytes) -> bool:
    digits = _NOT_DIGITS.sub(b"", found).decode()
    if len(digits) > 15 or _FICTION.fullmatch(digits) or not _apart(before, after):
        return False
    if not found.startswith(b"+"):  # a row of numbers is no telephone number
        return not before[-1:].isalnum() and not _ROW_BEFORE.search(before) and not _ROW_AFTER.match(after)
    digits = digits if b"(0)" not in found else _NOT_DIGITS.sub(b"", found.replace(b"(0)", b"")).decode()
    return bool(_CALLING.fullmatch(digits)) and not before[-1:].isalnum()


def _named_phone(found: bytes, before: bytes, after: bytes) -> bool:
    if not _TELEPHONE.search(before) or _JOINED_AFTER.match(after):
        return False
    digits = _NOT_DIGITS.sub(b"", found).decode()
    return 7 <= len(digits) <= 15 and not _FICTION.fullmatch(digits) and not _DATE.match(found.decode())


def _mailbox(found: bytes, before: bytes, _after: bytes) -> bool:
    return not _LOGIN.search(before) and addresses.mailbox(found.decode())


def kinds(*, private: bool) -> list[Kind]:
    """All patterns, in the order in which they count where finds of one length begin at one place.

    Args:
        private: Whether addresses in private networks are finds.
    """

    def quad(found: bytes, before: bytes, after: bytes) -> bool:
        if _VERSION.search(before) or (found[1:2] == b"." and _LIKELY_VERSION.search(before)):
            return False
        if re.match(rb"[.-]?[0-9A-Za-z_]", after):
            return False
        return addresses.ipv4(found.decode(), private=private)

    def hexes(found: bytes, before: bytes, after: bytes) -> bool:
        edge = before[-1:] + after[:1]
        return not re.search(rb"[0-9A-Za-z_:]", edge) and addresses.ipv6(found.decode(), private=private)

    return [
        Kind(
            "email", _MAIL, rb"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b", _mailbox
        ),
        Kind("ipv4", _QUAD, rb"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", quad),
        Kind("ipv6", _HEX, rb"\b[0-9A-Fa-f]{4}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{1,4}\b", hexes),
        Kind("iban", _NUMBER, _ibans(), _number(_iban)),
        Kind("card", _NUMBER, _CARD, _number(_card)),
        Kind("us_ssn", _NUMBER, rb"\b\d{3}-\d\d-\d{4}\b", _number(checksums.us_ssn)),
        Kind("spanish_dni", _NUMBER, rb"\b(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]\b", _number(checksums.spanish_dni)),
        Kind(
            "french_nir",
            _NUMBER,
            rb"\b[1-478]G?\d\dG?\d\dG?\d[0-9AB]G?\d{3}G?\d{3}G?\d\d\b".replace(b"G", _SPACE),
            _number(checksums.french_nir),
        ),
        Kind(
            "german_tax_id",
            _NUMBER,
            rb"\b[1-9]\d[ /]?\d{3}[ /]?\d{3}[ /]?\d{3}\b",
            _number(checksums.german_tax_id, rb"steuer\S*|st-?id\S*|id-?nr\.?|tax id\S*|tin"),
        ),
        Kind(
            "italian_codice_fiscale",
            _NUMBER,
            rb"\b[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]\b",
            _number(checksums.italian_codice_fiscale),
        ),
        Kind(
            "dutch_bsn",
            _NUMBER,
            rb"\b\d{4}[ .]?\d\d[ .]?\d{3}\b",
            _number(checksums.dutch_bsn, rb"bsn(?:-?nummer)?|burgerservicenummer|sofi-?nummer"),
        ),
        Kind("polish_pesel", _NUMBER, rb"\b\d{11}\b", _number(checksums.polish_pesel, rb"pesel")),
        Kind("brazilian_cpf", _NUMBER, rb"\b\d{3}\.\d{3}\.\d{3}-\d\d\b", _number(checksums.brazilian_cpf)),
        Kind("brazilian_cpf", _NUMBER, rb"\b\d{11}\b", _number(checksums.brazilian_cpf, rb"cpf")),
        Kind("chinese_resident_id", _NUMBER, rb"\b[1-9]\d{16}[0-9X]\b", _number(checksums.chinese_resident_id)),
        Kind("phone", _NUMBER, _INTERNATIONAL, _phone),
        Kind("phone", _NUMBER, _NATIONAL, _phone),
        Kind("phone", _NUMBER, _NAMED_PHONE, _named_phone),
    ]
