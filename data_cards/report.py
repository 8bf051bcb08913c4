"""The report: one page that shows what a build made of its input, without any other file and without the network.

Whatever comes from data is escaped by the template, or stands in a block of JSON that no browser runs; a content
security policy allows this page's own style and script by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
import unicodedata
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from . import charts, report_views

MOST_STRATA = 12
"""Strata that tables of the mixture show, the largest ones."""


def render_report(manifest: dict[str, Any], found: dict[str, Any], *, samples: bool = True) -> str:
    """A study's report.html.

    Args:
        manifest: As `manifest.json` holds it.
        found: The numbers that the manifest does not tell, as `pipelines.drivers.findings.gather` gives them.
        samples: Whether documents' texts are shown.

    Returns:
        HTML; the same text for the same numbers, whatever the order of their keys.
    """
    style, script = (_file(name) for name in ("report.css", "report.js"))
    recipes = sorted(manifest["recipes"])
    rules = report_views.rules(manifest, found)
    strata = report_views.strata(manifest)
    data = {
        "recipes": recipes,
        "rules": [one["data"] for every in rules.values() for one in every if one["data"]],
        "samples": [_readable(one) for one in found["samples"]] if samples else [],
    }
    return _template().render(
        manifest=manifest,
        found=found,
        recipes=recipes,
        totals=report_views.totals(manifest),
        funnels={name: report_views.funnel(manifest["recipes"][name]) for name in recipes},
        mixtures={name: report_views.mixture(manifest["recipes"][name], strata, MOST_STRATA) for name in recipes},
        values=report_views.values(found, recipes),
        labels=report_views.labels(found, recipes),
        rules=rules,
        diversity=report_views.diversity(manifest),
        duplicates=report_views.duplicates(manifest, found),
        curricula=report_views.curricula(manifest, found),
        lost=report_views.lost(manifest),
        comparison=report_views.comparison(manifest, found),
        charts=charts,
        samples=samples,
        style=Markup(style),  # noqa: S704 our own file
        script=Markup(script),  # noqa: S704 our own file
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=_json(data),
    )


@functools.cache
def _template() -> jinja2.Template:
    """The page, compiled once: 0.1 s, as long as a little build takes for all else."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "share": _share, "size": _size, "short": _short, "visible": visible}
    return environment.get_template("report.html.jinja")


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(value: Any) -> Markup:
    """JSON that cannot end the block it stands in: no sign in it means anything to HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 escaped just above


_JOINERS = "\u200c\u200d"
"""Signs without a width that words of Persian and Indic scripts are spelled with, and that make one emoji of some."""


def visible(value: object) -> str:
    """Text in which signs that cannot be seen, or that turn the direction of writing, are replaced.

    Spaces of any width, ends of lines and joiners stay.

    >>> visible(f"a{chr(0x202E)}b") == f"a{chr(0xFFFD)}b"
    True
    """
    return "".join(sign if _is_seen(sign) else "\N{REPLACEMENT CHARACTER}" for sign in str(value))


def _is_seen(sign: str) -> bool:
    return sign.isprintable() or sign in "\n\t" or sign in _JOINERS or unicodedata.category(sign) == "Zs"


def _readable(sample: dict[str, Any]) -> dict[str, Any]:
    return {
        **sample,
        **{key: visible(sample[key]) for key in ("name", "record")},
        "text": None if sample["text"] is None else visible(sample["text"].replace("\r\n", "\n")),
        "scores": {name: _told(value) for name, value in sample["scores"].items()},
    }


def _told(value: str | float | None) -> str | float | None:
    """A score, as JSON has it: Python would write Infinity, at which a browser gives up the whole page."""
    if isinstance(value, str):
        return visible(value)
    return value if value is None or math.isfinite(value) else str(value)


def _number(value: float) -> str:
    return f"{value:,}"


def _short(value: float) -> str:
    """A number of a scale, in few signs.

    >>> _short(0.125), _short(1536.0), _short(786432.0), _short(999_936)
    ('0.125', '1,536', '786k', '1M')
    """
    if abs(value) >= 1e4:
        value = float(f"{value:.3g}")  # first, or 999,936 would be 1e+03k
        bound, unit = next(one for one in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= one[0])
        return f"{value / bound:.3g}{unit}" if abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _share(part: float, whole: float = 1) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _size(value: float) -> str:
    """Bytes for people.

    >>> _size(15_938_353), _size(12)
    ('15.9 MB', '12 B')
    """
    for bound, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= bound:
            return f"{value / bound:,.1f} {unit}"
    return f"{value:,} B"
