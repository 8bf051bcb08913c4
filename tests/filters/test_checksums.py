from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenladder.filters.private import checksums

VALID = {
    checksums.luhn: "4539578763621486",
    checksums.iban: "DE89370400440532013000",
    checksums.spanish_dni: "12345678Z",
    checksums.french_nir: "255081416802538",
    checksums.german_tax_id: "86095742719",
    checksums.italian_codice_fiscale: "RSSMRA85T10A562S",
    checksums.dutch_bsn: "111222333",
    checksums.polish_pesel: "44051401359",
    checksums.brazilian_cpf: "52998224725",
    checksums.chinese_resident_id: "11010519491231002X",
}
BY_NAME = {check.__name__: check for check in [*VALID, checksums.card, checksums.us_ssn]}


@pytest.mark.parametrize("check", VALID, ids=lambda check: check.__name__)
def test_every_changed_digit_is_noticed(check):
    number = VALID[check]
    assert check(number)
    places = [place for place, each in enumerate(number) if each.isdigit()]
    wrong = [number[:place] + digit + number[place + 1 :] for place in places for digit in "0123456789"]
    assert [each for each in wrong if each != number and check(each)] == []


@pytest.mark.parametrize("name", sorted(BY_NAME))
@given(text=st.text(max_size=20) | st.text("0123456789XYZ²٣", max_size=19))
def test_text_of_any_form_is_answered(name, text):
    assert BY_NAME[name](text) in {True, False}


@pytest.mark.parametrize("number", ["4539578763621486", "5425233430109903", "374245455400126", "6250941006528599"])
def test_cards_of_several_issuers(number):
    assert checksums.card(number)


def test_a_corsican_birthplace_counts_as_a_number():
    body = 1_840_619_004_008  # department 2A is 19 in the key
    assert checksums.french_nir(f"184062A004008{97 - body % 97:02d}")


def test_each_country_has_one_length():
    countries = [country for some in checksums.IBAN_LENGTHS.values() for country in some]
    assert len(countries) == len(set(countries))
