"""Places in a card for a person's own words, which stay when the card is made again.

In Markdown a place stands between `<!-- words: NAME -->` and `<!-- /words -->`, at the top of the card, in YAML,
between `# words` and `# /words`.
"""

from __future__ import annotations

import re

YAML = "yaml"
"""The name of the place in the YAML at the top."""

PROMPTS = {
    "summary": "What this is and why one would train on it, in a few sentences.",
    "motivation": "Why it was made, for which question, by whom, and who paid for it.",
    "composition": "What the documents are about, what is missing, whom they speak about, what may offend or harm.",
    "collection": "Where each source comes from, who collected it, when, how, and with whose consent.",
    "uses": "What it has been used for, what it is good for, and what it should not be used for.",
    "distribution": "Who may have it, under which licence or terms, and what third parties ask for.",
    "maintenance": "Whom to write to, what is known to be wrong, whether and how it will be updated.",
}
"""Places that a card has, and what is asked for there until someone writes."""

_PLACE = re.compile(r"^<!-- words: ([a-z0-9-]+) -->\n(.*?)^<!-- /words -->$", re.DOTALL | re.MULTILINE)
_YAML = re.compile(r"\A---\n.*?^# words[^\n]*\n(.*?)^# /words$.*?^---$", re.DOTALL | re.MULTILINE)


def read_words(card: str) -> dict[str, str]:
    r"""What people wrote into a card.

    Args:
        card: Its text.

    Returns:
        Their words by the name of the place; not what a card asks for itself.

    >>> read_words("<!-- words: uses -->\nOnly for tests.\n<!-- /words -->")
    {'uses': 'Only for tests.'}
    """
    card = card.removeprefix("\ufeff").replace("\r\n", "\n")  # some editors write these
    found = {name: text.strip("\n") for name, text in _PLACE.findall(card)}
    top = _YAML.match(card)
    if top:
        found[YAML] = top[1].strip("\n")
    return {name: text for name, text in found.items() if text.strip() and text != _asked(name)}


def place(name: str, words: dict[str, str]) -> str:
    """A place for words: what was written there, or what is asked for.

    >>> print(place("uses", {"uses": "Only for tests."}))
    <!-- words: uses -->
    Only for tests.
    <!-- /words -->
    """
    return f"<!-- words: {name} -->\n{words.get(name, _asked(name))}\n<!-- /words -->"


def yaml_place(words: dict[str, str]) -> list[str]:
    """Lines of the place at the top of a card."""
    told = "# words: what stands until the next mark is kept when this card is made again"
    return [told, *words.get(YAML, "").splitlines(), "# /words"]


def own_keys(words: dict[str, str]) -> set[str]:
    r"""Keys of the top that a person gives; the card leaves out its own.

    >>> own_keys({"yaml": "license: cc-by-4.0\ntags_of_ours:\n- x"}) == {"license", "tags_of_ours"}
    True
    """
    return set(re.findall(r"^([A-Za-z_]+):", words.get(YAML, ""), re.MULTILINE))


def others(words: dict[str, str]) -> list[str]:
    """Places that a person has made, which no section of the card has: they come at its end."""
    return [place(name, words) for name in sorted(words) if name not in PROMPTS and name != YAML]


def only_words(words: dict[str, str]) -> str:
    """A card that holds nothing but words, for the time in which the rest would not be true."""
    head = ["---", *yaml_place(words), "---"] if YAML in words else []
    return (
        "\n\n".join(["\n".join(head)] * bool(head) + [place(name, words) for name in sorted(words) if name != YAML])
        + "\n"
    )


def _asked(name: str) -> str:
    return f"*Not written yet: {PROMPTS[name]}*" if name in PROMPTS else ""
