"""Check digits of card, bank account and national identity numbers: which sequences of characters can be one at all.

All functions take text without separators and never raise on text of another form: they answer False.
"""

from __future__ import annotations

import datetime as dt

IBAN_LENGTHS = {
    length: frozenset(countries.split())
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "PT ST",
        26: "IS TR",
        27: "FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        32: "LC",
    }.items()
}
"""Characters of an IBAN → the countries whose accounts have so many (ISO 13616 registry)."""

_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (*[1, 0, 5, 7, 9, 13, 15, 17, 19, 21] * 2, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)  # codice fiscale: values of characters at odd places (decree of 12 March 1974)
_NUMBER = {digit: value for value, digit in enumerate("0123456789")}
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_RESIDENT_CHECK = "10X98765432"


def _digits(text: str, length: int) -> list[int]:
    """The digits of a text of that length; empty if it is not one."""
    return [_NUMBER[each] for each in text] if len(text) == length and set(text) <= set(_NUMBER) else []


def _weighted(digits: list[int], weights: tuple[int, ...]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(number: str) -> bool:
    """Luhn's formula (ISO/IEC 7812-1, annex B).

    >>> luhn("4539578763621486"), luhn("4539578763621487")
    (True, False)
    """
    digits = _digits(number, len(number))
    total = sum(digits[-1::-2]) + sum(2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])
    return bool(digits) and total % 10 == 0


def card(number: str) -> bool:
    """A payment card: an issuer's prefix with one of its lengths, and Luhn's formula.

    Visa, Mastercard, American Express, Discover, Diners Club, JCB and UnionPay.

    >>> card("4539578763621486"), card("9539578763621481")
    (True, False)
    """
    if not luhn(number) or len(number) < 13 or len(set(number)) < 3:
        return False
    size, two, three, four = len(number), int(number[:2]), int(number[:3]), int(number[:4])
    return (
        (number[0] == "4" and size in {13, 16, 19})
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and size == 16)
        or (two in {34, 37} and size == 15)
        or ((four == 6011 or 644 <= three <= 649 or two == 65) and 16 <= size <= 19)
        or ((300 <= three <= 305 or two in {36, 38, 39}) and size in {14, 16})
        or (3528 <= four <= 3589 and 16 <= size <= 19)
        or (two == 62 and 16 <= size <= 19)
    )


def iban(account: str) -> bool:
    """An international bank account number: its country's length, and ISO 7064 mod 97-10.

    >>> iban("DE89370400440532013000"), iban("DE89370400440532013001"), iban("DE8937040044053201300")
    (True, False, False)
    """
    if account[:2] not in IBAN_LENGTHS.get(len(account), frozenset()):
        return False
    moved = account[4:] + account[:4]
    if not (moved.isascii() and moved.isalnum() and moved == moved.upper()):
        return False
    return int("".join(str(int(each, 36)) for each in moved)) % 97 == 1


def us_ssn(number: str) -> bool:
    """A United States social security number that can have been issued: no check digit, but numbers never given out.

    >>> us_ssn("536904399"), us_ssn("666904399"), us_ssn("536004399")
    (True, False, False)
    """
    if not _digits(number, 9) or number in {"078051120", "219099999", "123456789"}:  # printed in advertisements
        return False
    return number[:3] not in {"000", "666"} and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def spanish_dni(number: str) -> bool:
    """A Spanish DNI or NIE: eight digits, or X, Y or Z and seven, and a letter (mod 23).

    >>> spanish_dni("12345678Z"), spanish_dni("X1234567L"), spanish_dni("12345678A")
    (True, True, False)
    """
    body = number[:1].translate(str.maketrans("XYZ", "012")) + number[1:-1]
    return bool(_digits(body, 8)) and number[-1] == _DNI_LETTERS[int(body) % 23]


def french_nir(number: str) -> bool:
    """A French NIR (numéro de sécurité sociale): 13 digits, 2A or 2B for Corsica, and a key (mod 97).

    >>> french_nir("255081416802538"), french_nir("255081416802539")
    (True, False)
    """
    body = number[:13].replace("2A", "19").replace("2B", "18") if number[5:7] in {"2A", "2B"} else number[:13]
    return bool(_digits(body, 13)) and bool(_digits(number[13:], 2)) and 97 - int(body) % 97 == int(number[13:])


def german_tax_id(number: str) -> bool:
    """A German Steuer-Identifikationsnummer: 11 digits, one of the first ten twice or thrice, ISO 7064 mod 11,10.

    >>> german_tax_id("86095742719"), german_tax_id("86095742710")
    (True, False)
    """
    digits = _digits(number, 11)
    if not digits or digits[0] == 0:
        return False
    often = sorted((digits[:10].count(digit) for digit in range(10)), reverse=True)
    if often[0] not in {2, 3} or often[1] > 1:
        return False
    product = 10
    for digit in digits[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == digits[10]


def italian_codice_fiscale(code: str) -> bool:
    """An Italian codice fiscale: 16 letters and digits with a check letter. Its form is the pattern's matter.

    >>> italian_codice_fiscale("RSSMRA85T10A562S"), italian_codice_fiscale("RSSMRA85T10A562T")
    (True, False)
    """
    if len(code) != 16 or not set(code) <= set(_ODD):
        return False
    total = sum(_ODD[each] for each in code[0:15:2])
    total += sum(int(each) if each in _NUMBER else ord(each) - ord("A") for each in code[1:15:2])
    return code[15] == chr(ord("A") + total % 26)


def dutch_bsn(number: str) -> bool:
    """A Dutch burgerservicenummer: nine digits that pass the eleven test.

    >>> dutch_bsn("111222333"), dutch_bsn("111222334")
    (True, False)
    """
    digits = _digits(number, 9)
    return any(digits) and _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def polish_pesel(number: str) -> bool:
    """A Polish PESEL: a date of birth with the century in the month, a serial number, a check digit.

    >>> polish_pesel("44051401359"), polish_pesel("44051401358")
    (True, False)
    """
    digits = _digits(number, 11)
    if not digits or (10 - _weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3))) % 10 != digits[10]:
        return False
    century, month = divmod(int(number[2:4]), 20)
    return _is_date((1900, 2000, 2100, 2200, 1800)[century] + int(number[:2]), month, int(number[4:6]))


def brazilian_cpf(number: str) -> bool:
    """A Brazilian CPF: nine digits and two check digits (mod 11).

    >>> brazilian_cpf("52998224725"), brazilian_cpf("52998224724"), brazilian_cpf("11111111111")
    (True, False, False)
    """
    digits = _digits(number, 11)
    if len(set(digits)) < 2:
        return False
    first = _weighted(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2)) * 10 % 11 % 10
    second = _weighted(digits, (11, 10, 9, 8, 7, 6, 5, 4, 3, 2)) * 10 % 11 % 10
    return [first, second] == digits[9:]


def chinese_resident_id(number: str) -> bool:
    """A Chinese resident identity number (GB 11643): region, date of birth, serial number, check (ISO 7064 mod 11-2).

    >>> chinese_resident_id("11010519491231002X"), chinese_resident_id("110105194912310021")
    (True, False)
    """
    digits = _digits(number[:17], 17)
    if not digits or len(number) != 18 or not _is_date(int(number[6:10]), int(number[10:12]), int(number[12:14])):
        return False
    total = sum(digit * (2 ** (17 - place) % 11) for place, digit in enumerate(digits))
    return "1" <= number[0] <= "9" and number[17] == _RESIDENT_CHECK[total % 11]


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        dt.date(year, month, day)
    except ValueError:
        return False
    return True
