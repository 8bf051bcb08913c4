"""Slow, obvious twins of the kernels: what each must equal."""

from __future__ import annotations


# --- filters: hashes ----------------------------------------------------------------------------------------------

MASK64 = (1 << 64) - 1


def xxh64(data: bytes, seed: int = 0) -> int:
    """XxHash64, from its specification (version 0.1.1), in Python's integers."""
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

    def rotate(value, bits):
        value &= MASK64
        return ((value << bits) | (value >> (64 - bits))) & MASK64

    def step(lane, block):
        return rotate(lane + block * p2, 31) * p1 & MASK64

    at = 0
    if len(data) >= 32:
        lanes = [(seed + p1 + p2) & MASK64, (seed + p2) & MASK64, seed, (seed - p1) & MASK64]
        while at + 32 <= len(data):
            for lane in range(4):
                block = data[at + 8 * lane : at + 8 * lane + 8]
                lanes[lane] = step(lanes[lane], int.from_bytes(block, "little"))
            at += 32
        value = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK64
        for lane in lanes:
            value = ((value ^ step(0, lane)) * p1 + p4) & MASK64
    else:
        value = (seed + p5) & MASK64
    value = (value + len(data)) & MASK64
    while at + 8 <= len(data):
        value = (rotate(value ^ step(0, int.from_bytes(data[at : at + 8], "little")), 27) * p1 + p4) & MASK64
        at += 8
    if at + 4 <= len(data):
        value = (rotate(value ^ (int.from_bytes(data[at : at + 4], "little") * p1 & MASK64), 23) * p2 + p3) & MASK64
        at += 4
    for byte in data[at:]:
        value = rotate(value ^ (byte * p5 & MASK64), 11) * p1 & MASK64
    value = (value ^ (value >> 33)) * p2 & MASK64
    value = (value ^ (value >> 29)) * p3 & MASK64
    return value ^ (value >> 32)


def fmix64(value: int) -> int:
    """The 64-bit finaliser of MurmurHash3."""
    value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCD & MASK64
    value = (value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53 & MASK64
    return value ^ (value >> 33)


def mix64(seed: int, high: int, low: int) -> int:
    return fmix64(fmix64(fmix64((seed + 0x9E3779B97F4A7C15) & MASK64) ^ high) ^ low)


# --- filters: words -----------------------------------------------------------------------------------------------


def is_solo(character: str) -> bool:
    """A letter of Chinese, Japanese, Thai, Lao, Khmer or Burmese, told by its name rather than by blocks."""
    import unicodedata

    if unicodedata.category(character) not in {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"}:
        return False
    name = unicodedata.name(character, "")
    scripts = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA")
    more = ("THAI ", "LAO ", "KHMER ", "MYANMAR ", "HANGZHOU NUMERAL", "VERTICAL KANA", "VERTICAL IDEOGRAPHIC")
    return name.startswith((*scripts, *more)) or name in {
        "IDEOGRAPHIC ITERATION MARK",
        "IDEOGRAPHIC CLOSING MARK",
        "IDEOGRAPHIC NUMBER ZERO",
        "KATAKANA-HIRAGANA PROLONGED SOUND MARK",
        "MASU MARK",
    }


def folded_words(text: str) -> list[str]:
    """A text's words as MinHash reads them: lower case, no diacritics, no symbols; solo letters apart."""
    import unicodedata

    words: list[str] = []
    inside = solo = False
    for character in text:
        category = unicodedata.category(character)
        if category in {"Mn", "Me"} or (category == "Cf" and character != "\u200b"):
            continue
        if category[0] not in "LNM":
            inside = False
            continue
        lower = character.lower()
        plain = lower[0]
        if not 0xAC00 <= ord(character) <= 0xD7FF:
            letters = [each for each in unicodedata.normalize("NFD", lower) if unicodedata.category(each) != "Mn"]
            plain = letters[0] if len(letters) == 1 else lower[0]
        if not inside or is_solo(character) or (solo and category[0] != "M"):
            words.append("")
            inside, solo = True, is_solo(character)
        words[-1] += plain
    return words


def shingles(text: str, ngram: int) -> list[bytes]:
    words = folded_words(text)
    if not words:
        return []
    span = min(ngram, len(words))
    return [" ".join(words[first : first + span]).encode() for first in range(len(words) - span + 1)]


def signature(text: str, ngram: int, permutations: int, seed: int) -> list[int] | None:
    """The signature that datasketch makes of the shingles, each hashed with xxHash64."""
    from datasketch import MinHash

    elements = shingles(text, ngram)
    if not elements:
        return None
    sketch = MinHash(num_perm=permutations, seed=seed, hashfunc=lambda data: xxh64(data) & 0xFFFFFFFF)
    sketch.update_batch(elements)
    return [int(value) for value in sketch.hashvalues]
