r"""Text of a page that a browser does not show: what an extractor may take for content, and a reader never sees.

Hidden instructions and link farms stand in elements that are not displayed, moved off the screen, clipped to nothing,
set in no size, or in the colour of their background. Inline styles, the attribute ``hidden``, and rules of ``<style>``
elements for one class or id are understood; style sheets in other files and scripts are not. Much of what is hidden is
honest (menus, text for screen readers), so techniques are counted apart, and shares are for a recipe to judge.

It needs the page's markup, so it is no score of text: whoever reads pages calls it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from resiliparse.parse.html import ElementNode, HTMLTree, Node, TextNode

MAX_CSS = 200_000
"""Characters of ``<style>`` elements that are read."""

_UNSEEN = frozenset({"script", "style", "noscript", "template", "head", "title", "iframe", "object", "select"})
_AT_RULE = re.compile(r"@[^{};]{0,200}\{(?:[^{}]{0,2000}\{[^{}]{0,4000}\})*[^{}]{0,2000}\}|@[^{};]{0,500};")
_RULE = re.compile(r"([^{};]{1,500})\{([^{}]{0,4000})\}")
_SELECTOR = re.compile(r"[a-z0-9]{0,20}([.#])([\w-]{1,100})", re.IGNORECASE)
_LENGTH = re.compile(r"(-?\d{0,9}(?:\.\d{1,9})?)(px|r?em|pt|%|vw|vh|)")
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})")
_HEX = re.compile(r"#([0-9a-f]{6}|[0-9a-f]{3})\b")
_NAMES = {"white": (255, 255, 255), "black": (0, 0, 0), "red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}
_NAMES |= {"yellow": (255, 255, 0), "gray": (128, 128, 128), "grey": (128, 128, 128), "silver": (192, 192, 192)}
_PIXELS = {"px": 1.0, "": 1.0, "em": 16.0, "rem": 16.0, "pt": 1.33, "%": 10.0, "vw": 10.0, "vh": 10.0}
_FAR = -500.0  # pixels; styles that hide say -9999px or -100em
_SAME = 8  # of 255; colours that differ by no more in each channel cannot be told apart

Colour = tuple[int, int, int]


class Hidden(NamedTuple):
    """Characters of a page that are not white space.

    Attributes:
        characters: All of the body's text, hidden or not; scripts and styles are no text.
        display: In elements with ``display: none``, ``visibility: hidden``, ``opacity: 0`` or ``hidden``.
        offscreen: Moved out of sight by 500 pixels and more.
        clipped: Clipped, or overflowing a box of no height or width.
        size: In a font of at most one pixel.
        colour: In the colour of the background.
    """

    characters: int
    display: int
    offscreen: int
    clipped: int
    size: int
    colour: int

    @property
    def hidden(self) -> int:
        """Characters hidden by whatever technique; each counts once, for the first in the order above."""
        return sum(self[1:])

    @property
    def share(self) -> float:
        """The share of characters that are hidden; 0 for a page without text."""
        return self.hidden / self.characters if self.characters else 0.0


class _Style(NamedTuple):
    """What an element inherits: the technique that hides it, its colour, and the background's."""

    technique: str | None
    colour: Colour
    background: Colour


def hidden_text(html: bytes, encoding: str = "utf-8") -> Hidden:
    """Count the characters of a page that a browser would hide.

    Args:
        html: The page. Elements nested so deep that extraction refuses the page should be refused before.
        encoding: Of its bytes; what cannot be decoded is replaced.

    >>> hidden_text(b"<p>Seen</p><p style='position:absolute; left:-9999px'>Obey</p>").share
    0.5
    """
    tree = HTMLTree.parse_from_bytes(html, encoding)
    counts = dict.fromkeys(Hidden._fields, 0)
    if tree.body is None:
        return Hidden(**counts)
    sheets = tree.document.get_elements_by_tag_name("style") if tree.document is not None else []
    rules = _rules(" ".join(each.text or "" for each in sheets)[:MAX_CSS])
    pending: list[tuple[Node, _Style]] = [(tree.body, _Style(None, (0, 0, 0), (255, 255, 255)))]
    while pending:  # a stack of our own: pages may be deeper than Python's
        node, inherited = pending.pop()
        if isinstance(node, TextNode):
            size = len("".join((node.value or "").split()))
            counts["characters"] += size
            technique = inherited.technique or ("colour" if _alike(inherited.colour, inherited.background) else None)
            if technique is not None:
                counts[technique] += size
            continue
        if not isinstance(node, ElementNode) or node.tag in _UNSEEN:
            continue
        style = _style(node, inherited, rules)
        child = node.first_child
        while child is not None:
            pending.append((child, style))
            child = child.next_sibling
    return Hidden(**counts)


def _rules(css: str) -> dict[str, dict[str, str]]:
    """``.class`` or ``#id`` → declarations. Rules inside of @media and the like may never hold and are left out."""
    rules: dict[str, dict[str, str]] = {}
    for match in _RULE.finditer(_AT_RULE.sub(" ", css)):
        declarations = _declarations(match[2])
        for selector in match[1].split(","):
            named = _SELECTOR.fullmatch(selector.strip())
            if named is not None and declarations:
                rules.setdefault(named[1] + named[2], {}).update(declarations)
    return rules


def _declarations(style: str) -> dict[str, str]:
    found = {}
    for declaration in style[:10_000].lower().replace("!important", "").split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            found[name.strip()] = value.strip()
    return found


def _style(node: ElementNode, inherited: _Style, rules: dict[str, dict[str, str]]) -> _Style:
    declared: dict[str, str] = {}
    if rules:
        for name in [f".{each}" for each in (node.class_name or "").split()[:50]] + [f"#{node.id}"]:
            declared |= rules.get(name, {})
    declared |= _declarations(node.getattr("style") or "")
    if not declared and not node.attrs:  # most elements
        return inherited
    colour = _colour(declared.get("color") or (node.getattr("color") or "").lower()) or inherited.colour
    ground = declared.get("background-color") or declared.get("background") or (node.getattr("bgcolor") or "").lower()
    technique = inherited.technique or ("display" if node.hasattr("hidden") else _technique(declared))
    return _Style(technique, colour, _colour(ground) or inherited.background)


def _technique(declared: dict[str, str]) -> str | None:
    pixels = {name: _pixels(value) for name, value in declared.items()}
    if declared.get("display") == "none" or declared.get("visibility") in {"hidden", "collapse"}:
        return "display"
    if pixels.get("opacity") == 0:
        return "display"
    moved = [
        pixels.get(name) for name in ("left", "top", "right", "bottom", "text-indent", "margin-left", "margin-top")
    ]
    if any(each is not None and each <= _FAR for each in moved):
        return "offscreen"
    boxed = [pixels.get(name) for name in ("height", "width", "max-height", "max-width")]
    clips = declared.get("overflow", "").startswith("hidden") and any(each is not None and each <= 1 for each in boxed)
    nothing = declared.get("clip", "").replace(" ", "").startswith(("rect(0", "rect(1px,1px"))
    if clips or nothing or declared.get("clip-path", "").replace(" ", "").startswith("inset(50%"):
        return "clipped"
    size = pixels.get("font-size")
    return "size" if size is not None and size <= 1 else None


def _pixels(value: str) -> float | None:
    match = _LENGTH.fullmatch(value)
    try:
        return float(match[1]) * _PIXELS[match[2]] if match is not None else None
    except ValueError:
        return None


def _colour(value: str) -> Colour | None:
    if not value or len(value) > 1000:
        return None
    rgb = _RGB.search(value)
    if rgb is not None:
        return int(rgb[1]), int(rgb[2]), int(rgb[3])
    digits = _HEX.search(value)
    if digits is not None:
        wide = digits[1] if len(digits[1]) == 6 else "".join(2 * each for each in digits[1])
        return int(wide[:2], 16), int(wide[2:4], 16), int(wide[4:], 16)
    return next((_NAMES[word] for word in value.split() if word in _NAMES), None)


def _alike(one: Colour, other: Colour) -> bool:
    return all(abs(first - second) <= _SAME for first, second in zip(one, other, strict=True))
