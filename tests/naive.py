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
    more = ("HENTAIGANA", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "HANGZHOU", "VERTICAL KANA", "VERTICAL IDEO")
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


# --- filters: tokens, lines ---------------------------------------------------------------------------------------


def is_wordly(character: str) -> bool:
    import unicodedata

    return unicodedata.category(character)[0] in "LNM"


def tokens(text: str) -> list[str]:
    """Words, and runs of one repeated symbol; white space is in none."""
    import unicodedata

    found: list[str] = []
    at = 0
    while at < len(text):
        end = at + 1
        if text[at].isspace():
            at = end
            continue
        if not is_wordly(text[at]):
            while end < len(text) and text[end] == text[at]:
                end += 1
        elif is_solo(text[at]):
            while end < len(text) and unicodedata.category(text[end])[0] == "M":
                end += 1
        else:
            while end < len(text):
                after = end + (text[end] in "'\u2019._,")
                if after == len(text) or not is_wordly(text[after]) or is_solo(text[after]):
                    break
                if text[end] == "," and (text[end - 1].isalpha() or text[after].isalpha()):
                    break
                end = after + 1
        found.append(text[at:end])
        at = end
    return found


def words(text: str) -> list[str]:
    return [token for token in tokens(text) if is_wordly(token[0])]


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def gopher(text: str, family) -> dict[str, object]:  # noqa: C901 (rule by rule)
    """Gopher's rules as datatrove's GopherQualityFilter writes them, on our tokens."""
    found, real, lines = tokens(text), words(text), text.splitlines()
    figures = {
        "words": len(real),
        "mean_word_length": share(sum(map(len, real)), len(real)),
        "hash_ratio": share(text.count("#"), len(found)),
        "ellipsis_ratio": share(text.count("...") + text.count("\u2026"), len(found)),
        "bullet_lines": share(sum(line.lstrip().startswith(("\u2022", "-")) for line in lines), len(lines)),
        "ellipsis_lines": share(sum(line.rstrip().endswith(("...", "\u2026")) for line in lines), len(lines)),
        "alpha_words": share(sum(any(each.isalpha() for each in token) for token in found), len(found)),
        "stop_words": len(set(family.stop_words) & set(real)),
    }
    if figures["words"] < family.min_words:
        reason = "short_doc"
    elif figures["words"] > family.max_words:
        reason = "long_doc"
    elif figures["mean_word_length"] < family.min_mean_word_length:
        reason = "below_avg_threshold"
    elif figures["mean_word_length"] > family.max_mean_word_length:
        reason = "above_avg_threshold"
    elif figures["hash_ratio"] > family.max_symbol_ratio:
        reason = "too_many_hashes"
    elif figures["ellipsis_ratio"] > family.max_symbol_ratio:
        reason = "too_many_ellipsis"
    elif figures["bullet_lines"] > family.max_bullet_lines:
        reason = "too_many_bullets"
    elif figures["ellipsis_lines"] > family.max_ellipsis_lines:
        reason = "too_many_end_ellipsis"
    elif figures["alpha_words"] < family.min_alpha_words:
        reason = "below_alpha_threshold"
    elif figures["stop_words"] < family.min_stop_words:
        reason = "enough_stop_words"
    else:
        reason = "pass"
    return {"reason": reason, **figures}


def lengths(text: str) -> dict[str, float]:
    lines = text.splitlines()
    return {
        "characters": len(text),
        "bytes": len(text.encode()),
        "words": len(words(text)),
        "lines": len(lines),
        "mean_line_length": share(sum(map(len, lines)), len(lines)),
        "max_line_length": max(map(len, lines), default=0),
        "alphanumeric": share(sum(map(str.isalnum, text)), len(text)),
    }


# --- pipelines: schedule ------------------------------------------------------------------------------------------


def integer_weights(weights, one: int) -> list[int]:
    """Largest remainder: to each the whole part, then one more for each of the largest remainders, first come."""
    from fractions import Fraction

    exact = [Fraction(weight) * one / sum(map(Fraction, weights)) for weight in weights]
    given = [int(weight) for weight in exact]
    while sum(given) < one:
        remainders = [weight - whole for weight, whole in zip(exact, given, strict=True)]
        given[remainders.index(max(remainders))] += 1
    return given


def schedule(weights, count: int) -> list[int]:
    """Tijdeman's rule in fractions: of those that may take the turn, the one that must take one soonest."""
    import math
    from fractions import Fraction

    shares = [Fraction(int(weight), int(sum(weights))) for weight in weights]
    strata = len(shares)
    if strata == 1:
        return [0] * count
    slack = Fraction(1, 2 * strata - 2)
    given, picks = [0] * strata, []
    for n in range(1, count + 1):
        owed = [share * n - had for share, had in zip(shares, given, strict=True)]
        may = [i for i in range(strata) if shares[i] and owed[i] >= slack]
        pick = min(may, key=lambda i: (math.ceil((1 - slack - owed[i]) / shares[i]), i))
        given[pick] += 1
        picks.append(pick)
    return picks


# --- pipelines: clusters, held-out set ----------------------------------------------------------------------------


def candidate_edges(pairs) -> list[tuple[int, int]]:
    """From (hash, key) pairs: the least key of each hash with each of its others."""
    edges = set()
    for hash_ in {hash_ for hash_, _ in pairs}:
        keys = sorted({key for other, key in pairs if other == hash_})
        edges |= {(keys[0], key) for key in keys[1:]}
    return sorted(edges)


def components(edges) -> dict[int, int]:
    """The least key of each key's component, found breadth first."""
    neighbours: dict[int, set[int]] = {}
    for a, b in edges:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found: dict[int, int] = {}
    for start in sorted(neighbours):
        queue = [start]
        while queue:
            key = queue.pop(0)
            if key not in found:
                found[key] = start
                queue += neighbours[key]
    return found


def leader_clusters(component, ids, signatures, bands, rows, *, needed, cap, empty, earlier=None, sets=None, least=0.0):  # noqa: C901 slow and plain
    """Walk in order: lead, unless similar to a leader of the component that shares a band; then join the most similar.

    (leader, similarity) of each. `needed` equal values make two similar; with `sets`, a Jaccard similarity of `least`
    as well. Of each band the first `cap` leaders count; who is in a band of more than `cap` documents also meets the
    first `cap` leaders of each band of half as many values.
    """
    from collections import Counter

    half = max(1, rows // 2)

    def bands_of(d, width):
        return [(component[d], width, b, tuple(signatures[d][b * width : (b + 1) * width])) for b in counts[width]]

    def places_of(d):
        coarse = bands_of(d, rows)
        return coarse + (bands_of(d, half) if any(crowd[place] > cap for place in coarse) else [])

    def similar(d):
        """Similar leaders that share a band with it: (less similarity, leader)."""
        found = []
        for other in {other for place in places_of(d) for other in shelves.get(place, [])}:
            equal = sum(x == y for x, y in zip(signatures[d], signatures[other], strict=True))
            similarity = equal / len(signatures[d])
            if equal < needed:
                continue
            if sets is not None:
                similarity = len(sets[d] & sets[other]) / max(1, len(sets[d] | sets[other]))
                if similarity < least:
                    continue
            found.append((-similarity, other))
        return sorted(found)

    counts = {rows: range(bands), half: range(bands * rows // half)}
    crowd = Counter(place for d in range(len(ids)) for place in bands_of(d, rows))
    shelves = {}
    first = [ids.index(one) for one in ids]
    leads = []
    for d, signature in enumerate(signatures):
        leads.append(
            first[d] == d and ((earlier is not None and earlier[d]) or signature[0] == empty or not similar(d))
        )
        if leads[d] and signature[0] != empty:
            for place in places_of(d):
                if len(shelves.setdefault(place, [])) < cap:
                    shelves[place].append(d)
    found = []
    for d in range(len(ids)):
        if first[d] != d:
            found.append(found[first[d]])
        elif leads[d]:
            found.append((d, 1.0))
        else:
            less, leader = similar(d)[0]
            found.append((leader, -less))
    return found


def contained(component, leaders, earlier, sketches, elements, *, threshold, asked, least, size):
    """(container or -1) of each document, from sketches given as ascending lists of at most `size` hashes."""
    heads = [d for d in range(len(leaders)) if leaders[d] == d]
    heads.sort(key=lambda d: (not earlier[d], -elements[d], d))

    def share(one, other):
        limit = min([max(each) for each in (one, other) if len(each) == size], default=2**32)
        compared = [value for value in one if value <= limit]
        return len(set(compared) & set(other)) / len(compared) if len(compared) >= least else 0.0

    inside = [-1] * len(leaders)
    containers = []
    for d in heads:
        members = [m for m in range(len(leaders)) if leaders[m] == d]
        for other in [] if earlier[d] else containers:
            meets = component[other] == component[d] and set(sketches[d][:asked]) & set(sketches[other])
            if meets and all(share(sketches[m], sketches[other]) >= threshold for m in members):
                for m in members:
                    inside[m] = other
                break
        else:
            containers.append(d)
    return inside


def nearest_held_out(signatures, held, needed: int) -> list[int]:
    """For each signature the first of the held-out ones with so many equal values, or -1: all are compared with all."""
    return [
        next(
            (n for n, other in enumerate(held) if sum(x == y for x, y in zip(one, other, strict=True)) >= needed),
            -1,
        )
        for one in signatures
    ]


# --- pipelines: choose, ladder, pack ------------------------------------------------------------------------------


def top_cut(rows, share: str):
    """Of rows that end in a weight: the last one in order that fits into a share of the whole weight, or the first."""
    from fractions import Fraction

    rows = sorted(rows)
    allowed = Fraction(share) * sum(row[-1] for row in rows)
    kept, held = [], 0
    for row in rows:
        held += row[-1]
        if held > allowed:
            break
        kept.append(row)
    return (kept or rows[:1])[-1][:-1] if rows else None


def groups(documents, tokens, need: int, size: int) -> list[tuple[int, int, int, int]]:
    """One stratum's buckets in groups (first, stop, base, tokens), each as short as holds `size` documents."""
    out, first = [], 0
    while first < len(documents) and sum(tokens[:first]) < need:
        stop = first + 1
        while stop < len(documents) and sum(documents[first:stop]) < size and sum(tokens[:stop]) < need:
            stop += 1
        if sum(tokens[first:stop]):
            out.append((first, stop, sum(tokens[:first]), sum(tokens[first:stop])))
        first = stop
    return out


def stream(documents, picks, length: int) -> list[list[int]]:
    """The sequences of the mixed stream.

    `documents` gives each stratum's token lists in order; its stream is all of them, over and over; each pick takes the
    stratum's next `length` tokens.
    """
    flat = [[token for document in stratum for token in document] for stratum in documents]
    taken = [0] * len(flat)
    out = []
    for pick in picks:
        start = taken[pick] * length
        out.append([flat[pick][n % len(flat[pick])] for n in range(start, start + length)])
        taken[pick] += 1
    return out


def stratum_weights(weights, text_bytes):
    """Shares of strata: named ones as named, the others of a source by text out of the source's own share."""
    from fractions import Fraction

    if weights is None:
        return {name: Fraction(size) for name, size in text_bytes.items() if size}
    out = {}
    for name, size in text_bytes.items():
        source = name.split("/")[0]
        if name in weights:
            out[name] = Fraction(str(weights[name]))
        elif source in weights:
            others = [n for n in text_bytes if n.split("/")[0] == source and n not in weights]
            total = sum(text_bytes[n] for n in others)
            out[name] = Fraction(str(weights[source])) * size / total if total else Fraction(0)
    return {name: share for name, share in out.items() if share}


# --- pipelines: curricula -----------------------------------------------------------------------------------------


def pace_share(settings, x):
    """The share of the sorted documents that may be drawn once the share `x` of the stream is behind."""
    import math

    start, full_at = settings["start"], settings["full_at"]
    if x >= full_at:
        return 1.0
    if settings["pace"] == "linear":
        return start + (1 - start) * x / full_at
    if settings["pace"] == "root":
        return math.sqrt(start**2 + (1 - start**2) * x / full_at)
    step = math.floor(settings["steps"] * x / full_at)
    if settings["pace"] == "step":
        return start + (1 - start) * step / settings["steps"]
    return start ** (1 - step / settings["steps"])


def place_items(tokens, seats, released, settings):
    """Sorted documents in the order of a curriculum, and how many came before `released` tokens of the stream."""
    from fractions import Fraction

    places = list(range(len(tokens)))
    before = [sum(tokens[:n]) for n in places]
    if "buckets" in settings:
        buckets = settings["buckets"]
        shares = [Fraction(1, buckets)] * buckets if isinstance(buckets, int) else [Fraction(str(n)) for n in buckets]
        ends = [sum(shares[: n + 1]) * sum(tokens) for n in range(len(shares))]
        bucket = [next((n for n, end in enumerate(ends) if at < int(end)), len(ends) - 1) for at in before]
        return sorted(places, key=lambda n: (bucket[n], seats[n], n)), 0
    if "sweeps" in settings:
        return [n for sweep in range(settings["sweeps"]) for n in places[sweep :: settings["sweeps"]]], 0
    if "pace" not in settings:
        return places, 0
    out, early, position = [], 0, 0
    while len(out) < len(places):
        left = [n for n in places if n not in out]
        allowed = [n for n in left if released[n] <= position]
        early += not allowed
        out.append(min(allowed, key=lambda n: (seats[n], n)) if allowed else left[0])
        position += tokens[out[-1]]
    return out, early


def spearman(values):
    """Pearson's correlation of mean ranks."""
    import math
    from fractions import Fraction

    if len(set(values)) < 2:
        return None
    ranks = [Fraction(sum(b < a for b in values) * 2 + sum(b == a for b in values) + 1, 2) for a in values]
    middle = Fraction(len(values) + 1, 2)
    both = sum((a - middle) * (n + 1 - middle) for n, a in enumerate(ranks))
    own, other = sum((a - middle) ** 2 for a in ranks), sum((n + 1 - middle) ** 2 for n in range(len(values)))
    return float(both) / math.sqrt(own * other)


# --- filters: importance ------------------------------------------------------------------------------------------


def importance(text: str, target, raw, buckets: int) -> tuple[float, int]:
    """The log ratio of likelihoods of a text's words and pairs, and how many those are."""
    import math

    def hashed(one):
        return [
            fmix64(value + (ngram << 32) & MASK64) % buckets
            for ngram in (1, 2)
            for value in elements(one, "words", ngram)
        ]

    counts = [[1] * buckets, [1] * buckets]
    for which, texts in enumerate((target, raw)):
        for one in set(texts):
            for bucket in hashed(one):
                counts[which][bucket] += list(texts).count(one)
    sums = [sum(each) for each in counts]
    mine = hashed(text)
    return sum(math.log(counts[0][b] / sums[0]) - math.log(counts[1][b] / sums[1]) for b in mine), len(mine)


# --- filters: source code -----------------------------------------------------------------------------------------


def encoded_runs(text: str) -> list[int]:
    """Lengths of all matches of StarCoder 2's patterns for encoded data, pattern by pattern."""
    import re

    patterns = [
        r"[a-zA-Z0-9+/\n=]{64,}",
        r"(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}",
        r"(?:\\u[0-9a-fA-F]{4}){8,}",
    ]
    return [len(match[0]) for pattern in patterns for match in re.finditer(pattern, text)]


def visible_text(page: str) -> str:
    """What stands outside tags, comments, and script and style elements."""
    import re

    return re.sub(
        r"<!--.*?(?:-->|\Z)|<(script|style)(?=[\x00-\x20>/]|\Z)[^>]*(?:>.*?(?:</\1(?=[\x00-\x20>/]|\Z)[^>]*(?:>|\Z)|\Z)|\Z)"
        r"|<[A-Za-z/!?][^>]*(?:>|\Z)",
        "",
        page,
        flags=re.DOTALL | re.IGNORECASE | re.ASCII,
    )


def comments(text: str, signs) -> list[str]:
    """Every comment of a text, by the signs of its language."""
    from tokenladder.filters.source_code import comments as kinds

    found, at, depth = [], 0, 0
    while at < len(text):
        for sign in sorted(signs, key=lambda each: -len(each.opens)):
            if not text.startswith(sign.opens, at):
                continue
            if sign.kind == kinds.SPACED and at and text[at - 1] > " ":
                continue
            if sign.kind == kinds.CHARACTER and _literal(text, at) is None:
                continue
            end = _comment_end(text, at, sign)
            before = text[max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1 : at]
            if before[-1:] and before[-1] in "rRuU":
                before = before[:-1]
            statement = depth == 0 and not before.strip(" \t")
            if sign.kind in {kinds.LINE, kinds.SPACED, kinds.BLOCK, kinds.NESTED} or (
                sign.kind == kinds.DOCSTRING and statement
            ):
                found.append(text[at:end])
            at = end
            break
        else:
            if any(sign.kind == kinds.DOCSTRING for sign in signs):
                depth = depth + 1 if text[at] in "([{" else max(0, depth - 1) if text[at] in ")]}" else depth
            at += 1
    return found


def _literal(text: str, at: int) -> int | None:
    """One past the character literal that begins here, if one does; an escape has at most 12 bytes."""
    body = text[at + 1 : at + 2]
    if body == "\\":
        end = at + 3
        while end < len(text) and text[end] not in (text[at], "\n") and len(text[at:end].encode()) < 12:
            end += 1
    elif body and body not in (text[at], "\n", "\r"):
        end = at + 2
    else:
        return None
    return end + 1 if text[end : end + 1] == text[at] else None


def _comment_end(text: str, at: int, sign) -> int:
    """One past what the sign opens here."""
    from tokenladder.filters.source_code import comments as kinds

    if sign.kind == kinds.CHARACTER:
        return _literal(text, at)
    end = at + len(sign.opens)
    level = 1
    while end < len(text):
        if sign.kind in {kinds.LINE, kinds.SPACED, kinds.STRING} and text[end] in "\n\r":
            return end
        if sign.kind in {kinds.STRING, kinds.LONG, kinds.DOCSTRING} and text[end] == "\\":
            end += 2
        elif sign.closes and text.startswith(sign.closes, end):
            end += len(sign.closes)
            level -= 1
            if level == 0:
                return end
        elif sign.kind == kinds.NESTED and text.startswith(sign.opens, end):
            end += len(sign.opens)
            level += 1
        else:
            end += 1
    return len(text)


def source_code(text: str, language: str | None, kind: str | None, family) -> dict[str, object]:
    """StarCoder's rules, one after the other."""
    from tokenladder.filters.source_code import comments as signs
    from tokenladder.filters.source_code import starcoder as module

    lines = text.splitlines()
    runs = encoded_runs(text)
    figures = {
        "lines": len(lines),
        "max_line_length": max(map(len, lines), default=0),
        "mean_line_length": share(sum(map(len, lines)), len(lines)),
        "alphabetic": share(sum(map(str.isalpha, text)), len(text)),
        "alphanumeric": share(sum(map(str.isalnum, text)), len(text)),
        "encoded": min(share(sum(runs), len(text)), 1.0),
        "longest_encoded": max(runs, default=0),
        "comments": None,
        "visible": None,
    }
    if language in signs.SYNTAX:
        figures["comments"] = share(sum(map(len, comments(text, signs.SYNTAX[language]))), len(text))
    seen = len(visible_text(text))
    if language in module.MARKUP:
        figures["visible"] = share(seen, len(text))
    wide = language in module.WIDE
    told = language in family.comment_languages and language in signs.SYNTAX
    rules = [
        *((each, kind == each) for each in family.kinds),
        ("too_many_lines", len(lines) > family.max_lines),
        ("long_line", figures["max_line_length"] > (family.max_wide_line_length if wide else family.max_line_length)),
        ("long_lines", not wide and figures["mean_line_length"] > family.max_mean_line_length),
        ("few_letters", figures["alphanumeric" if language in module.TERSE else "alphabetic"] < family.min_alphabetic),
        ("encoded_run", figures["longest_encoded"] > family.max_encoded_run),
        ("encoded_data", figures["encoded"] > family.max_encoded),
        ("long_data", language in module.DATA and len(lines) > family.max_data_lines),
        (
            "little_visible_text",
            language == "HTML" and (figures["visible"] < family.min_visible or seen < family.min_visible_characters),
        ),
        ("xml", language not in module.XML and "<?xml version=" in text[:100]),
        ("few_comments", told and figures["comments"] < family.min_comments),
        ("many_comments", told and figures["comments"] > family.max_comments),
    ]
    return {"reason": next((name for name, failed in rules if failed), "pass"), **figures}


# --- filters: lines and paragraphs --------------------------------------------------------------------------------


def folded_line(text: str) -> str:
    """What a line says: lower case, no diacritics, one space for every run of other characters."""
    import unicodedata

    out = ""
    for character in text:
        category = unicodedata.category(character)
        if category in {"Mn", "Me"} or (category == "Cf" and character != "\u200b"):
            continue
        if category[0] not in "LNM":
            out += " "
            continue
        lower = character.lower()
        plain = lower[0]
        if not 0xAC00 <= ord(character) <= 0xD7FF:
            letters = [each for each in unicodedata.normalize("NFD", lower) if unicodedata.category(each) != "Mn"]
            plain = letters[0] if len(letters) == 1 else lower[0]
        out += plain
    return " ".join(part for part in out.split(" ") if part)


def units(text: str, unit: str) -> list[tuple[str, str]]:
    """Lines or paragraphs that are not blank: what each says, and what stands between it and the next."""
    found: list[list[str]] = []
    gap = "blank"
    head = ""
    for line in text.splitlines(keepends=True):
        says = line[: len(line) - (2 if line.endswith("\r\n") else 1)] if line.splitlines()[0] != line else line
        end = line[len(says) :]
        if not says or says.isspace():
            if found:
                found[-1][1] += line
            else:
                head += line
            gap = "blank"
            continue
        if unit == "paragraph" and gap != "blank":
            found[-1][0] += found[-1][1] + says
            found[-1][1] = end
        else:
            found.append([head + says, end])
            head = ""
        gap = end
    return [(says, rest) for says, rest in found]


def line_hash(says: str, least: int) -> int:
    """The hash of a unit; 0 where it is too short to count."""
    folded = folded_line(says)
    return xxh64(folded.encode()) or 1 if len(folded) >= least else 0


def without_units(text: str, unit: str, cut: list[bool]) -> str:
    """A text without some of its units; where the last one is among them, it ends with what the last other one says."""
    kept = [one for one, away in zip(units(text, unit), cut, strict=True) if not away]
    whole = "".join(says + rest for says, rest in kept)
    return whole[: len(whole) - len(kept[-1][1])] if kept and cut[-1] else whole


def repeated_lines(documents, unit: str, least: int, many: int) -> dict[int, tuple[int, int]]:
    """For each repeated unit its documents and the least of their ids.

    `documents` are the (id, text) that count; a unit is repeated that stands in `many` of them.
    """
    stands: dict[int, list[int]] = {}
    for identity, text in documents:
        for one in {line_hash(says, least) for says, _ in units(text, unit)} - {0}:
            stands.setdefault(one, []).append(identity)
    return {one: (len(ids), min(ids)) for one, ids in stands.items() if len(ids) >= many}


# --- filters: personal data, secrets ------------------------------------------------------------------------------


def candidates(text: str, kinds) -> list[tuple[int, int, int, str]]:
    """First byte, byte behind the last with its sign turned, order of the kind, and name of all that patterns find."""
    import re

    raw = text.encode()
    found = []
    for order, kind in enumerate(kinds):
        for match in re.finditer(kind.pattern, raw):
            start, stop = match.span(match.re.groups)
            before = raw[max(0, start - 48) : start]
            after = raw[stop : stop + 48]
            if not re.search(kind.lead + rb"\Z", before) or not kind.accepts(raw[start:stop], before, after):
                continue
            more = 0 if kind.end is None else kind.end(raw[stop : stop + kind.reach])
            if more >= 0:
                found.append((start, -stop - more, order, kind.name))
    return sorted(found)


def finds(text: str, kinds) -> list[tuple[int, int, str]]:
    """First byte, byte behind the last, and name of what the patterns find in the whole text, with :mod:`re`."""
    kept: list[tuple[int, int, str]] = []
    for start, negative, _, name in candidates(text, kinds):
        if not kept or start >= kept[-1][1]:
            kept.append((start, -negative, name))
    return kept


def with_masks(text: str, kinds) -> str:
    """The text with a mask for every find, or for several that overlap, put in from the back."""
    raw = text.encode()
    for start, stop, name in reversed(
        merged([(start, -stop, name) for start, stop, _, name in candidates(text, kinds)])
    ):
        raw = raw[:start] + mask(name, stop - start) + raw[stop:]
    return raw.decode()


def mask(name: str, size: int) -> bytes:
    """The mask of a name for so many bytes."""
    length = min((length for length in (16, 32, 64) if length >= max(size, len(name) + 2)), default=64)
    return b"[" + name.encode() + b"_" * (length - 2 - len(name)) + b"]"


def merged(spans: list[tuple[int, int, object]]) -> list[tuple[int, int, object]]:
    """Spans (first byte, byte behind the last, name or None for a cut), those joined that share a byte.

    What is masked inside of a cut is gone; what is joined has the name of the first that has one.
    """
    cuts = [(start, stop) for start, stop, name in spans if name is None]
    inside = lambda start, stop: any(first <= start and stop <= last for first, last in cuts)  # noqa: E731
    left = [(start, stop, name) for start, stop, name in spans if name is None or not inside(start, stop)]
    out: list[tuple[int, int, object]] = []
    for start, stop, name in sorted(left, key=lambda one: (one[0], -one[1])):
        if out and start < out[-1][1]:
            first, last, said = out.pop()
            out.append((first, max(last, stop), name if said is None else said))
        else:
            out.append((start, stop, name))
    return out


# --- filters: manipulation ----------------------------------------------------------------------------------------


def letter_script(character: str) -> str:
    """LATIN, CYRILLIC, GREEK, or nothing."""
    import unicodedata

    name = unicodedata.name(character, "").split(" ")[0]
    return name if unicodedata.category(character)[0] == "L" and name in {"LATIN", "CYRILLIC", "GREEK"} else ""


def hidden_characters(text: str) -> dict[str, int]:
    """Tags, direction controls, zero-width characters and variation selectors that hide something."""
    import re
    import unicodedata

    zero = "\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff"
    opens, closes = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068", "\u202c\u2069"

    def wordy(character):
        return letter_script(character) != "" or unicodedata.category(character) == "Nd"

    found = {"tags": 0, "bidi": 0, "zero_width": 0, "selectors": 0}
    for at in range(1, len(text)):
        before, after = text[at - 1], text[at + 1 : at + 2]
        beside = before in zero or (after and after in zero)
        if text[at] in zero and (beside or (after and wordy(before) and wordy(after))):
            found["zero_width"] += 1
    tags = "[\U000e0001\U000e0020-\U000e007f]"
    found["tags"] = len(re.findall(tags, re.sub(f"\U0001f3f4{tags}*", "", text)))
    for run in re.findall("[\ufe00-\ufe0f\U000e0100-\U000e01ef]+", text):
        found["selectors"] += len(run) - 1
    for line in text.splitlines():
        opened = controls = 0
        for character in line:
            opened = opened + 1 if character in opens else max(0, opened - 1) if character in closes else opened
            controls += character in opens + closes
        letters = [each for each in line if unicodedata.category(each)[0] == "L" and not letter_script(each)]
        right_to_left = any(unicodedata.bidirectional(each) in {"R", "AL"} for each in letters)
        found["bidi"] += opened if right_to_left else controls
    return found


def mixed_words(text: str, looks) -> int:
    """Words of look-alikes; ``looks`` maps a letter to the scripts that it also looks like."""
    import itertools

    count = 0
    for lettered, word in itertools.groupby(text, key=lambda each: letter_script(each) != ""):
        letters = list(word)
        if not lettered or len(letters) < 4:
            continue
        latin = [each for each in letters if letter_script(each) == "LATIN"]
        for script in ("CYRILLIC", "GREEK"):
            others = [each for each in letters if letter_script(each) == script]
            rarer, other = (others, "LATIN") if len(others) <= len(latin) else (latin, script)
            if latin and others and all(other in looks(each) for each in rarer):
                count += 1
                break
    return count


def gibberish_tail(text: str) -> float:
    """Share of odd words among the last 16, less that among the first 64."""
    import itertools
    import re

    def case(character):
        for name, pattern in (("lower", "[a-z]"), ("upper", "[A-Z]"), ("digit", "[0-9]")):
            if re.fullmatch(pattern, character):
                return name
        return ""

    def odd(word):
        cases = [case(each) for each in word]
        changes = 0
        for at in range(1, len(word)):
            capitalised = cases[at - 1] == "upper" and cases[at] == "lower" and (at == 1 or not cases[at - 2])
            changes += bool(cases[at] and cases[at - 1] and cases[at] != cases[at - 1] and not capitalised)
        scripts = [letter_script(each) for each in word]
        clash = any(one and other and one != other for one, other in itertools.pairwise(scripts))
        return bool(re.search("[b-df-hj-np-tv-xz]{4}", word)) or (changes >= 3 and "digit" in cases) or clash

    found = [odd(word) for word in text.split() if len(word) >= 4]
    if len(found) < 32:
        return 0.0
    head = found[:-16][:64]
    return max(0.0, sum(found[-16:]) / 16 - sum(head) / len(head))


# --- filters: shingles, elements, sketches ------------------------------------------------------------------------


def after_licence(text: str) -> str:
    """A file without the comments that it begins with, up to the last of them that speaks of a licence."""
    import re

    comment = re.compile(
        r"/\*.*?(?:\*/|\Z)|<!(?=-).*?(?:->|\Z)|(?:(?:#(?![A-Za-z])|//|--|;|%)[^\n]*(?:\n|\Z)[ \t]*)+", re.DOTALL
    )
    found = 0
    at = 1 if text.startswith("\ufeff") and len(text) > 1 else 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip("".join(map(chr, range(0x21)))))
        match = comment.match(text, at)
        if match is None:
            return text[found:]
        at = match.end()
        if re.search("licen|copyright|spdx", match[0], re.IGNORECASE | re.ASCII):
            found = at


def code_tokens(text: str) -> list[str]:
    """Names, numbers and single signs of source code, without a licence and what decorates comments."""
    import re
    import unicodedata

    found: list[str] = []
    for line in re.split(r"[\r\n]", text):
        plain = re.sub(r"[/*]{2,}", lambda run: " " * len(run[0]), line)
        inside = False
        for character in re.sub(r"^[ \t\v\f#*/;%!=-]+", "", plain):
            part = character == "_" or is_wordly(character)
            if inside and (is_solo(character) or (is_solo(found[-1][0]) and unicodedata.category(character)[0] != "M")):
                inside = False
            if part and inside:
                found[-1] += character
            elif part or "!" <= character <= "~":
                found.append(character)
            inside = part
    return found


def shingle_tokens(text: str, unit: str) -> list[str]:
    if unit == "code":
        return code_tokens(after_licence(text)) or code_tokens(text)
    return folded_words(text) if unit == "words" else list("".join(folded_words(text)))


def token_hash(token: bytes) -> int:
    m1, m2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
    blocks = [token[:8], *(token[at : at + 8] for at in range(8, len(token) - 8, 8))]
    blocks += [token[-8:]] if len(token) > 8 else []
    first, *rest = (int.from_bytes(block, "little") for block in blocks)
    value = (first ^ (len(token) * m1 & MASK64)) * m2 & MASK64
    for block in rest:
        value = (value ^ (value >> 32) ^ block) * m1 & MASK64
    value = (value ^ (value >> 32)) * m2 & MASK64
    return value ^ (value >> 29)


def element(tokens: list[str]) -> int:
    """The 32-bit hash of a shingle."""
    total = 0
    for place, token in enumerate(tokens):
        value, turn = token_hash(token.encode()), 11 * place % 64
        total += ((value << turn) | (value >> (64 - turn))) & MASK64
    return fmix64(total & MASK64) & 0xFFFFFFFF


def elements(text: str, unit: str, ngram: int) -> list[int]:
    found = shingle_tokens(text, unit)
    span = min(ngram, len(found))
    return [element(found[first : first + span]) for first in range(len(found) - span + 1)] if found else []


def fmix32(value: int) -> int:
    """The 32-bit finaliser of MurmurHash3."""
    value = (value ^ (value >> 16)) * 0x85EBCA6B & 0xFFFFFFFF
    value = (value ^ (value >> 13)) * 0xC2B2AE35 & 0xFFFFFFFF
    return value ^ (value >> 16)


def datasketch_signature(hashes: list[int], permutations: int, seed: int, scheme: str) -> list[int]:
    from datasketch import MinHash

    sketch = MinHash(num_perm=permutations, seed=seed, scheme=scheme, hashfunc=lambda value: value)
    sketch.update_batch(hashes)
    return [int(value) for value in sketch.hashvalues]


def set_jaccard(one: set[int], two: set[int], most: int | None) -> float:
    """Of sets that are complete below the greatest value of each that has `most` values."""
    bound = min((max(each) for each in (one, two) if most and len(each) >= most), default=2**32)
    one, two = {value for value in one if value <= bound}, {value for value in two if value <= bound}
    return share(len(one & two), len(one | two))


def set_containment(one: set[int], two: set[int], most: int | None) -> float:
    bound = max(two) if most and len(two) >= most else 2**32
    one = {value for value in one if value <= bound}
    return share(len(one & two), len(one))


# --- filters: lists of words and domains --------------------------------------------------------------------------


def list_words(text: str) -> list[str]:
    """The words of a text without case and diacritics, for comparison with a list."""
    from tokenladder.filters.text import words as tables

    fold = tables.folded()

    def letter(character):
        to = int(fold[ord(character)])
        return "" if to == tables.DROPPED else character if to == tables.SEPARATES else chr(to)

    return ["".join(letter(each) for each in word) for word in words_and_numbers(text)]


def words_and_numbers(text: str) -> list[str]:
    """Tokens that are words."""
    return [token for token in tokens(text) if is_wordly(token[0])]


def listed_words(text: str, entries) -> tuple[int, int, int]:
    """Entries found, words in them, and all words: of those that end first, the longest, and none twice."""
    phrases = {tuple(list_words(entry)) for entry in entries}
    found = listed = free = 0
    have = list_words(text)
    for stop in range(1, len(have) + 1):
        for start in range(free, stop):
            if tuple(have[start:stop]) in phrases:
                found, listed, free = found + 1, listed + stop - start, stop
                break
    return found, listed, len(have)


def listed_address(name: str, domains, path_words) -> tuple[bool, int]:
    """Whether the host of an address is, or ends in, a listed domain; and how many listed words follow the host."""
    import re

    parts = re.fullmatch(r".*?://([^/?#]*)(.*)", name, re.DOTALL)
    if parts is None:
        return False, 0
    host = parts[1].rpartition("@")[2].partition(":")[0].removesuffix(".")
    lower = "".join(each.lower() if each.isascii() else each for each in host)
    ends = [".".join(lower.split(".")[at:]) for at in range(lower.count(".") + 1)]
    following = re.findall(r"[0-9A-Za-z\u0080-\U0010ffff]+", parts[2])
    return bool({*ends} & {*domains}), sum(
        "".join(each.lower() if each.isascii() else each for each in word) in path_words for word in following
    )


# --- filters: evaluation sets -------------------------------------------------------------------------------------


def contaminated(text: str, items, *, ngram: int, shortest: int, min_overlap: float, enough: int):
    """Greatest share, longest run, distinct n-grams, and the items found, with whether their answer stands near.

    ``items``: of each, its passages and its answer (or ""). No n-gram may stand in more than 16 of them.
    """
    import math

    have = folded_words(text)
    wanted = []
    for passages, _ in items:
        grams = set()
        for passage in map(folded_words, passages):
            span = min(ngram, len(passage))
            if len(passage) >= shortest:
                grams |= {tuple(passage[at : at + span]) for at in range(len(passage) - span + 1) if span}
        wanted.append(grams)
    known = set().union(*wanted)
    places = {}
    longest = 0
    for span in {len(gram) for gram in known}:
        run = 0
        for at in range(len(have) - span + 1):
            gram = tuple(have[at : at + span])
            run = run + 1 if gram in known else 0
            longest = max(longest, run + span - 1 if run else 0)
            if run:
                places.setdefault(gram, at)
    best, found = 0.0, []
    for number, (grams, (_, answer)) in enumerate(zip(wanted, items, strict=True)):
        mine = [gram for gram in grams if gram in places]
        if not mine:
            continue
        best = max(best, len(mine) / len(grams))
        least = min(len(grams), max(1, shortest - ngram + 1))
        if len(mine) >= max(least, min(enough, math.ceil(min_overlap * len(grams) - 1e-9))):
            start = max(0, min(places[gram] for gram in mine) - 64)
            stop = max(places[gram] + len(gram) for gram in mine) + 64
            near, said = have[start:stop], folded_words(answer)
            answered = any(said == near[at : at + len(said)] for at in range(len(near))) and bool(said)
            found.append((number, answered))
    return best, longest, len(places), found


# --- filters: language models -------------------------------------------------------------------------------------


def perplexity(text: str, arpa: str, *, lower: bool = False) -> tuple[float, float]:
    """Perplexity of a token and bits of a byte under a model of two words, from the file's own lines."""
    import math

    known, back = {}, {}
    for line in arpa.splitlines():
        fields = line.split("\t")
        if len(fields) > 1:
            words = tuple(fields[1].split(" "))
            known[words] = float(fields[0])
            back[words] = float(fields[2]) if len(fields) > 2 else 0.0

    def chance(before, word):
        if (before, word) in known:
            return known[before, word]
        return back.get((before,), 0.0) + known.get((word,), known["<unk>",])

    total = tokens = 0
    lines = [line for line in text.splitlines() if line.strip()]
    for line in lines:
        said = (line.lower() if lower else line).split()
        words = [word if (word,) in known else "<unk>" for word in said]
        total += sum(chance(a, b) for a, b in zip(["<s>", *words], [*words, "</s>"], strict=True))
        tokens += len(words) + 1
    if not tokens:
        return 0.0, 0.0
    return 10 ** (-total / tokens), -total * math.log2(10) / sum(len(line.encode()) for line in lines)


def kneser_ney(sentences, order: int, least) -> tuple[dict, dict]:  # noqa: C901 (formula by formula)
    """Logarithms of chances and of back-off weights, by words, from the formulas of Chen and Goodman."""
    import collections
    import math

    times = collections.Counter(word for sentence in sentences for word in sentence)
    special = {"<s>", "</s>", "<unk>"}
    kept = {word for word, n in times.items() if n >= least[0] and word not in special}
    texts = [["<s>", *(word if word in kept else "<unk>" for word in sentence), "</s>"] for sentence in sentences]
    counts = [collections.Counter() for _ in range(order + 1)]
    for text in texts:
        for n in range(1, order + 1):
            counts[n].update(tuple(text[at : at + n]) for at in range(len(text) - n + 1))
    for word in special:
        counts[1][word,] += 0
    own = [None, *(dict(one) for one in counts[1:])]
    for n in range(1, order):
        for gram in own[n]:
            if gram[0] != "<s>":
                own[n][gram] = sum(longer[1:] == gram for longer in counts[n + 1])
    own[1]["<s>",] = 0
    chances, backs, size = {}, {}, len(own[1]) - 1

    def taken(gram):
        n = len(gram)
        if n > 1 and counts[n][gram] < least[min(n, len(least)) - 1]:
            return own[n][gram]
        of = [sum(count == wanted for count in own[n].values()) for wanted in range(1, 5)]
        steps = [0.5, 1.0, 1.5]
        if all(of):
            found = [at - (at + 1) * of[0] / (of[0] + 2 * of[1]) * of[at] / of[at - 1] for at in (1, 2, 3)]
            steps = found if all(0 < step <= at for at, step in enumerate(found, 1)) else steps
        return [0, *steps][min(own[n][gram], 3)]

    def chance(gram):
        n = len(gram)
        beside = [one for one in own[n] if one[:-1] == gram[:-1]]
        total = sum(own[n][one] for one in beside)
        lower = chance(gram[1:]) if n > 1 else 1 / size
        if not total:
            return lower
        lost = sum(taken(one) for one in beside) / total
        return (max(own[n][gram] - taken(gram), 0) / total if gram in own[n] else 0) + lost * lower

    for n in range(1, order + 1):
        for gram in own[n]:
            if n > 1 and counts[n][gram] < least[min(n, len(least)) - 1]:
                continue
            chances[gram] = -99 if gram == ("<s>",) else math.log10(chance(gram))
            beside = [one for one in own[n + 1] if one[:-1] == gram] if n < order else []
            if n < order:
                total = sum(own[n + 1][one] for one in beside)
                backs[gram] = math.log10(sum(map(taken, beside)) / total) if total else 0.0
    return chances, backs


# --- scaling ------------------------------------------------------------------------------------------------------


def huber(residual, delta):
    """Huber's loss of one residual; absolute for 0, squared for infinity."""
    if delta == 0:
        return abs(residual)
    if abs(residual) <= delta:
        return residual**2 / 2
    return delta * (abs(residual) - delta / 2)


def objective(law, theta, runs, objective):
    """What a fit makes small, run by run."""
    import math

    import numpy as np

    total = 0.0
    for row in range(len(runs[law.target])):
        one = {name: np.array([float(runs[name][row])]) for name in law.columns}
        predicted, measured = float(law.predict(theta, one)[0]), float(runs[law.target][row])
        if objective.of == "log loss":
            predicted, measured = math.log(predicted), math.log(measured)
        total += huber(predicted - measured, objective.delta)
    return total


def law_gradient(law, theta, runs):
    """Derivatives of predictions by each parameter, from differences: (parameters, runs)."""
    import numpy as np

    rows = []
    for index in range(len(theta)):
        step = np.zeros(len(theta))
        step[index] = 1e-6 * max(abs(theta[index]), 1e-3)
        rows.append((law.predict(theta + step, runs) - law.predict(theta - step, runs)) / (2 * step[index]))
    return np.array(rows)


# ranges


def copy_ranges(source, starts, places, lengths, out):
    """Copies of ranges, one token after the other."""
    for start, place, length in zip(starts, places, lengths, strict=True):
        for k in range(length):
            out[place + k] = source[start + k]


def documents_of(stream, end: int):
    """A stream of tokens cut after each end-of-document token; the last piece may have none."""
    out, piece = [], []
    for token in stream:
        piece.append(token)
        if token == end:
            out.append(piece)
            piece = []
    return [*out, piece] if piece else out


# --- filters: heuristics (Gopher's quality and repetition, FineWeb's, C4's) ----------------------------------------


def spacy_tokens(text: str) -> list[str]:
    """What spaCy's blank English tokenizer makes of a text, white space included, each chunk by itself."""
    import re

    nlp = spacy_english()
    out = []
    for chunk in re.findall(r"\S+|\s+", text):
        if chunk.isspace():
            # One space belongs to the token before it, if there is one; what follows it is a token.
            rest = chunk[1:] if chunk[0] == " " and out else chunk
            out += [rest] if rest else []
        else:
            out += [token.text for token in nlp(chunk)]
    return out


def spacy_english():
    from spacy.lang.en import English

    if not hasattr(spacy_english, "nlp"):
        spacy_english.nlp = English().tokenizer
    return spacy_english.nlp


def datatrove_symbols() -> set[str]:
    """datatrove's PUNCTUATION_SET, from its own spelling of it."""
    listed = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"  # noqa: RUF001
    ranges = ((0, 9), (11, 13), (13, 32), (127, 160))
    return {*listed} | {chr(each) for first, stop in ranges for each in range(first, stop)} | terminal_punctuation()


def terminal_punctuation() -> set[str]:
    from tokenladder.filters.text.punctuation import TERMINAL, classes

    return {chr(point) for point in classes().nonzero()[0] if classes()[point] & TERMINAL}


def sentence_ends() -> set[str]:
    from spacy.pipeline.sentencizer import Sentencizer

    return {*Sentencizer.default_punct_chars}


def cut_words(text: str, rule: str) -> list[str]:
    return tokens(text) if rule == "unicode" else [token for token in spacy_tokens(text) if token.strip()]


def is_counted(token: str, rule: str) -> bool:
    return is_wordly(token[0]) if rule == "unicode" else any(each not in datatrove_symbols() for each in token)


def word_figures(text: str, rule: str, stop_words) -> dict[str, float]:
    found = cut_words(text, rule)
    real = [token for token in found if is_counted(token, rule)]
    return {
        "words": len(real),
        "mean_word_length": share(sum(map(len, real)), len(real)),
        "hash_ratio": share(text.count("#"), len(found)),
        "alpha_words": share(sum(any(each.isalpha() for each in token) for token in found), len(found)),
        "stop_words": len({*stop_words} & {*(real if rule == "unicode" else found)}),
    }


def duplicates(pieces) -> tuple[int, int]:
    """How many pieces occurred before, and their characters."""
    again = [piece for n, piece in enumerate(pieces) if piece in pieces[:n]]
    return len(again), sum(map(len, again))


def repetition(text: str, rule: str) -> dict[str, float]:
    """Gopher's repetition figures, counted as datatrove's GopherRepetitionFilter counts."""
    import re

    paragraphs, lines, found = re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text), cut_words(text, rule)
    figures = {
        "dup_para_frac": share(duplicates(paragraphs)[0], len(paragraphs)),
        "dup_para_char_frac": share(duplicates(paragraphs)[1], len(text)),
        "dup_line_frac": share(duplicates(lines)[0], len(lines) * bool(text)),
        "dup_line_char_frac": share(duplicates(lines)[1], len(text)),
    }
    for n in (2, 3, 4):
        grams = [" ".join(found[at : at + n]) for at in range(len(found) - n + 1)]
        top = max(grams, key=lambda gram: (grams.count(gram), -grams.index(gram)), default="")
        figures[f"top_{n}_gram"] = share(len(top) * grams.count(top), len(text))
    for n in range(5, 11):
        seen, characters, at = set(), 0, 0
        while at + n <= len(found):
            gram = "".join(found[at : at + n])
            characters += len(gram) * (gram in seen)
            at += n if gram in seen else 1
            seen.add(gram)
        figures[f"duplicated_{n}_n_grams"] = share(characters, len(text))
    return figures


def fineweb(text: str, family) -> dict[str, object]:
    """FineWeb's rules as datatrove's FineWebQualityFilter writes them."""
    lines = [line for line in text.split("\n") if line.strip()]
    found = cut_words(text, family.words)
    figures = {
        "lines": len(lines),
        "line_punct_ratio": share(sum(line[-1] in terminal_punctuation() for line in lines), len(lines)),
        "short_line_ratio": share(sum(len(line) <= family.short_line_length for line in lines), len(lines)),
        "char_dup_ratio": share(duplicates(lines)[1], len(text.replace("\n", ""))),
        "list_ratio": share(text.count("\n") * bool(lines), len(found)),
    }
    if not lines:
        reason = "empty"
    elif figures["line_punct_ratio"] < family.min_line_punct_ratio:
        reason = "line_punct_ratio"
    elif figures["short_line_ratio"] > family.max_short_line_ratio:
        reason = "short_line_ratio"
    elif figures["char_dup_ratio"] > family.max_char_dup_ratio:
        reason = "char_dup_ratio"
    elif figures["list_ratio"] > family.max_list_ratio:
        reason = "list_ratio"
    else:
        reason = "pass"
    return {"reason": reason, **figures}


def sentences(text: str, rule: str) -> int:
    """Sentences as spaCy's sentencizer counts them."""
    import unicodedata

    count, ended = 1, False
    for token in tokens(text) if rule == "unicode" else spacy_tokens(text):
        ends = token in sentence_ends()
        punctuation = all(unicodedata.category(each)[0] == "P" for each in token)
        if ended and not ends and not punctuation:
            count, ended = count + 1, False
        ended = ended or ends
    return count


def c4(text: str, family) -> dict[str, object]:  # noqa: C901 (rule by rule)
    """C4's rules as datatrove's C4QualityFilter writes them, but all lines are counted before a document is dropped."""
    import re

    lines = ("kept", "too_long_word", "no_terminal_punc", "too_few_words")
    counts = dict.fromkeys((*lines, "lorem_ipsum", "javascript", "curly_bracket", "policy"), 0)
    phrases = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
    found, kept_characters, dropped = 0, 0, None
    for raw in text.splitlines():
        line = raw.strip()
        words = line.split()
        if family.remove_citations:
            line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", line)
        lower = line.lower()
        if any(len(word) > family.max_word_length for word in words):
            kind = "too_long_word"
        elif family.terminal_punctuation and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            kind = "no_terminal_punc"
        elif len(words) < family.min_words_per_line:
            kind = "too_few_words"
        elif family.lorem_ipsum and "lorem ipsum" in lower:
            kind = "lorem_ipsum"
        elif family.javascript and "javascript" in lower:
            kind = "javascript"
        elif family.curly_bracket and "{" in line:
            kind = "curly_bracket"
        elif family.policy and any(phrase in lower for phrase in phrases):
            kind = "policy"
        else:
            kind = "kept"
            found += sentences(line, family.words)
            kept_characters += len(line)
        counts[kind] += 1
        if kind in {"lorem_ipsum", "curly_bracket"}:
            dropped = dropped or kind
    return {
        "reason": dropped or ("too_few_sentences" if found < family.min_sentences else "pass"),
        "sentences": found,
        "kept_share": share(kept_characters, len(text)),
        "lines": len(text.splitlines()),
        **{f"{kind}_lines": count for kind, count in counts.items()},
        "long_lines": sum(len(line) >= 200 for line in re.split(r"\n+", text)),
    }


# --- training: the order of a run, and where documents begin --------------------------------------------------------


def permute(number: int, key: int, length: int) -> int:
    """A Feistel network of six rounds over the smallest power of four from `length` on (4 at least), walked."""
    half = 1
    while 4**half < length:
        half += 1
    while True:
        left, right = divmod(number, 2**half)
        for turn in range(6):
            mixed = fmix64((key + (right + turn * 2**32) * 0x9E3779B97F4A7C15) & MASK64) % 2**half
            left, right = right, left ^ mixed
        number = left * 2**half + right
        if number < length:
            return number


def mixture(shares: list[int], count: int) -> list[int]:
    """The schedule of whole shares: among those that may be next, the one whose deadline is the earliest."""
    from fractions import Fraction

    total, k, given, picks = sum(shares), len(shares), [0] * len(shares), []
    slack = Fraction(1, 2 * k - 2) if k > 1 else Fraction(0)
    for step in range(1, count + 1):
        best = None
        for n, share in enumerate(shares):
            weight = Fraction(share, total)
            if not share or weight * step - given[n] < slack:
                continue
            deadline = -((-(given[n] + 1 - slack)) // weight)
            if best is None or deadline < best[0]:
                best = (deadline, n)
        picks.append(best[1])
        given[best[1]] += 1
    return picks


def segments(starts: list[int], length: int) -> tuple[list[int], list[int]]:
    """Number of the document at each position, and the position's place since the last start."""
    begins = sorted({0, *starts})
    numbers = [sum(begin <= at for begin in begins) - 1 for at in range(length)]
    return numbers, [at - begins[number] for at, number in enumerate(numbers)]


def refinedweb(text: str, family) -> dict[str, object]:
    """RefinedWeb's line corrections, by regular expressions."""
    import re

    def lowered(line: str) -> str:
        return "".join(each.lower() if each.isascii() else each for each in line)

    def kind(line: str) -> str | None:
        plain, lower = "".join(line.split()), lowered(line)
        counter = re.fullmatch(r"[\W_]*[0-9][0-9,.]*[kmb]?(\s+)(.*?)[\W_]*", lower)
        if sum(map(str.isupper, plain)) > family.max_uppercase * len(plain):
            return "uppercase_lines"
        if plain.isdecimal():
            return "numeric_lines"
        # An entry that ends in signs is found by its own comparison below.
        if counter and any(
            lower[counter.start(2) :].startswith(each)
            and not re.search(r"[^\W_]", lower[counter.start(2) + len(each) :])
            for each in map(lowered, family.counters)
        ):
            return "counter_lines"
        if len(line.split()) == 1:
            return "one_word_lines"
        if len(line.split()) <= family.short_line and (
            lower.startswith(tuple(map(lowered, family.first_phrases)))
            or lower.endswith(tuple(map(lowered, family.last_phrases)))
            or any(lowered(each) in lower for each in family.phrases)
        ):
            return "phrase_lines"
        return None

    counts = dict.fromkeys(("uppercase_lines", "numeric_lines", "counter_lines", "one_word_lines", "phrase_lines"), 0)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    flagged = 0
    for line in lines:
        found = kind(line)
        if found is not None:
            counts[found] += 1
            flagged += len(line.split())
    urls = re.findall(r"(?<![^\W_])(?:[hH][tT][tT][pP][sS]?://|[wW][wW][wW]\.)\S+", text)
    ratio = share(flagged, len(text.split()))
    return {
        "reason": "flagged_words" if ratio > family.max_flagged_words else "pass",
        "flagged_words": ratio,
        "lines": len(lines),
        **counts,
        "urls": len(urls),
        "url_share": share(sum(map(len, urls)), len(text)),
    }


# --- pipelines: weights that change along the stream --------------------------------------------------------------


def due(bends, position):
    """What is due after so many sequences: the area below straight lines between bends (place, weights), in fractions.

    Before the first bend and after the last, weights are constant; of two bends at one place the later one goes on.
    """
    from fractions import Fraction

    places = [place for place, _ in bends]
    rows = [[Fraction(int(weight), 1 << 32) for weight in weights] for _, weights in bends]
    total = [Fraction(0)] * len(rows[0])
    for left, right, low, high in zip(
        [0, *places], [*places, max(places[-1], position) + 1], [rows[0], *rows], [*rows, rows[-1]], strict=True
    ):
        stop = min(right, position)
        if stop <= left:
            continue
        for i, (a, b) in enumerate(zip(low, high, strict=True)):
            end = a + (b - a) * Fraction(stop - left, right - left)
            total[i] += (stop - left) * (a + end) / 2
    return total


def course(bends, count: int) -> list[int]:
    """Tijdeman's rule for weights that change: of those that may take the turn, the one that must take it soonest."""
    from fractions import Fraction

    strata = len(bends[0][1])
    if strata == 1:
        return [0] * count
    slack, far = Fraction(1, 2 * strata - 2), 4 * count + 9
    # one unit of 2**-32 is what rounding down may keep back in each piece; here nothing is rounded
    table = [due(bends, n) for n in range(far)]
    given, picks = [0] * strata, []

    def first(i, wanted):
        return next((n for n in range(far) if table[n][i] >= wanted), far)

    for n in range(1, count + 1):
        may = [i for i in range(strata) if table[n][i] - given[i] >= slack]
        pick = min(may, key=lambda i: (first(i, given[i] + 1 - slack), i))
        given[pick] += 1
        picks.append(pick)
    return picks


# --- filters: bursts ----------------------------------------------------------------------------------------------


def runs(text: str, count: int) -> list[tuple[tuple[str, ...], str | None, str | None]]:
    """Runs of so many words, with the word before and after each where no line ends in between."""
    found = []
    for number, line in enumerate(text.splitlines()):
        found += [(word, number) for word in folded_words(line)]
    out = []
    for first in range(len(found) - count + 1):
        inside = found[first : first + count]
        before = found[first - 1] if first else ("", -1)
        after = found[first + count] if first + count < len(found) else ("", -1)
        sides = ((before, inside[0]), (after, inside[-1]))
        beside = [word if number == own else None for (word, number), (_, own) in sides]
        out.append((tuple(word for word, _ in inside), beside[0], beside[1]))
    return out


def bursts(documents, count: int, many: int, few: int, alike: float):
    """Runs that so many of (text, host, counted) have, of few hosts, with their documents, hosts, begins and ends."""
    seen: dict = {}
    for text, host, counted in documents:
        mine = {}
        for words, before, after in runs(text, count):
            mine.setdefault(words, ((text,) if host is None else host, before, after))
        for words, one in mine.items():
            if counted:
                seen.setdefault(words, []).append(one)

    def same(values) -> bool:
        words = [value for value in values if value is not None]
        pairs = sum(one == other for at, one in enumerate(words) for other in words[:at])
        return pairs <= alike * len(words) * (len(words) - 1) / 2 and 2 * len(words) >= max(2, len(values))

    out = {}
    for words, those in seen.items():
        hosts = len({host for host, _, _ in those})
        if len(those) >= many and hosts <= few:
            out[words] = len(those), hosts, same([one[1] for one in those]), same([one[2] for one in those])
    return out


def burst_phrases(text: str, known, count: int) -> list[tuple[int, int]]:
    """The first and last run of each phrase of a text, as numbers of its runs."""
    spans, inside = [], []
    for n, (words, _, _) in enumerate([*runs(text, count), ((), None, None)]):
        if words in known:
            inside.append((n, *known[words][2:]))
            continue
        begun = [at for at, begins, _ in inside if begins]
        ended = [at for at, _, ends in inside if begun and ends and at >= begun[0]]
        spans += [(begun[0], ended[-1])] if ended else []
        inside = []
    return spans


def farthest_first(signatures):
    """How far each row is from the nearest of those before it, where the farthest row always comes next."""

    def distance(one, other):
        return sum(a != b for a, b in zip(one, other, strict=True)) / len(one)

    out = {}
    nearest = [1.0] * len(signatures)
    while len(out) < len(signatures):
        best = min((n for n in range(len(signatures)) if n not in out), key=lambda n: (-nearest[n], n))
        out[best] = nearest[best]
        nearest = [min(far, distance(signatures[best], row)) for far, row in zip(nearest, signatures, strict=True)]
    return [out[n] for n in range(len(signatures))]


def best_fit(tokens, length):
    """(sequence, place) of each document of one block, by best-fit decreasing; ties go to what came to a room last."""
    bins = []  # [room, when it came to that room, documents]
    for step, n in enumerate(sorted(range(len(tokens)), key=lambda n: (-tokens[n], n))):
        fits = [one for one in bins if one[0] >= tokens[n]]
        chosen = min(fits, key=lambda one: (one[0], -one[1])) if fits else [length, 0, []]
        if not fits:
            bins.append(chosen)
        chosen[0], chosen[1] = chosen[0] - tokens[n], step
        chosen[2].append(n)
    out = {}
    for sequence, (_, _, inside) in enumerate(sorted(bins, key=lambda one: one[2][0])):
        place = 0
        for n in sorted(inside):
            out[n] = (sequence, place)
            place += tokens[n]
    return [out[n] for n in range(len(tokens))]


def pieces(priority, text_bytes, tokens, most):
    """(start, tokens, priority) of each piece of a document; `most` tokens in a piece, 0 cuts nothing."""
    if not most:
        return [(0, tokens, priority)]
    possible = max(1, (text_bytes + 2 + most - 1) // most)
    out = []
    for start in range(0, tokens, most):
        number = start // most % possible
        own = mix64(0x70696563, priority, number) if number else priority
        out.append((start, min(most, tokens - start), own))
    return out


# --- pipelines: stretches between rungs in bytes or documents -----------------------------------------------------


def stretch(bounds, rank) -> int:
    """How many of some documents come before one: each as priority, both halves of its id, tie and key."""
    return sum(tuple(bound) < tuple(rank) for bound in bounds)


def pieces_inside(priority, tokens, low, high, most):
    """(start, tokens, priority) of each piece of a document, of which the later ones fall anywhere in its stretch."""
    out = []
    for number, start in enumerate(range(0, tokens, most or tokens)):
        chance = mix64(0x70696563, priority, number) >> 32
        out.append(
            (start, min(most or tokens, tokens - start), low + (chance * (high - low) >> 32) if number else priority)
        )
    return out


def whole_rungs(texts, targets, size):
    """For each target, how many documents of a pass, and how many passes before it, reach it."""
    every = [size(text) for text in texts]
    out = []
    for target in targets:
        passes, rest = divmod(target, sum(every))
        count = next(n for n in range(len(every) + 1) if sum(every[:n]) >= rest)
        out.append((passes, count))
    return out


def groups_of(listed, strata, buckets):
    """The number of the group of a stratum that holds each bucket, or -1."""
    inside = [
        [n for n, one in enumerate(listed) if one["stratum"] == s and one["first"] <= b < one["stop"]]
        for s, b in zip(strata, buckets, strict=True)
    ]
    return [held[0] if held else -1 for held in inside]
