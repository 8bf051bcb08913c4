"""Documentation pages from Python sources, by reading them only: nothing is imported and nothing is run.

Modules are parsed with `ast`, so that building the quickstart's corpus has no side effects (importing `antigravity`
opens a browser), and docstrings are rendered by a small renderer that knows what docstrings mostly use: paragraphs,
lists, doctests, literal blocks, and the section headings of the Google and numpydoc styles. All text is escaped.
"""

from __future__ import annotations

import ast
import html
import inspect
import re
import warnings
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OWN_PAGE = {"function": 1200, "class": 4000}
"""Characters of documentation from which a function or a class has a page of its own, as on numpy's site."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page before it gets a site around it.

    Args:
        path: last part of the address, such as `json.decoder.html`.
        title: plain text, not yet escaped.
        sections: HTML of the main content, in order; all of it escaped.
    """

    path: str
    title: str
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one class or function says about itself.

    Args:
        name: name inside its module, such as `JSONDecoder.decode`.
        kind: `class` or `function`.
        signature: the text after the name, such as `(s, idx=0)`; empty where it is not known.
        text: the docstring without its indentation.
        members: the documented methods of a class.
    """

    name: str
    kind: str
    signature: str
    text: str
    members: tuple[Entry, ...] = ()

    @property
    def characters(self) -> int:
        """Length of the documentation, members included, in characters."""
        return len(self.text) + sum(member.characters for member in self.members)


def module_pages(dotted: str, source: bytes) -> list[Page]:
    r"""Render a module's documentation: one page for the module, one for each function or class with much to say.

    A source that does not parse gives no page, like a module without a docstring anywhere.

    Args:
        dotted: the module's name, such as `json.decoder`.
        source: the module's file.

    >>> pages = module_pages("shop", b'"Sell <things>."\ndef buy(count=1):\n    "Buy *some*."')
    >>> pages[0].path, pages[0].sections[0]
    ('shop.html', '<p>Sell &lt;things&gt;.</p>')
    >>> pages[0].sections[1]
    '<section id="buy"><h2>shop.buy<code>(count=1)</code></h2>\n<p>Buy <em>some</em>.</p></section>'
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            tree = ast.parse(source)
        return list(_topics(tree) if dotted == "pydoc_data.topics" else _pages(dotted, tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _pages(dotted: str, tree: ast.Module) -> Iterator[Page]:
    text = _docstring(tree)
    sections, own = [render(text)] if text else [], []
    for entry in _entries(tree.body, ""):
        full = f"{dotted}.{entry.name}"
        if entry.characters >= OWN_PAGE[entry.kind]:
            own.append(Page(f"{full}.html", f"{entry.kind} {full}", tuple(_sections(dotted, entry))))
            href, summary = html.escape(f"{full}.html"), html.escape(entry.text.split("\n\n")[0])
            sections.append(f'<section><h2><a href="{href}">{html.escape(full)}</a></h2>\n<p>{summary}</p></section>')
        else:
            sections.extend(_sections(dotted, entry))
    if sections:
        yield Page(f"{dotted}.html", f"module {dotted}", tuple(sections))
    yield from own


def text_page(path: str, title: str, text: str) -> Page:
    r"""Render a licence, a notice or a package's description.

    Args:
        path: last part of the page's address.
        title: its heading.
        text: plain text, reStructuredText or Markdown.

    >>> text_page("about.html", "About", "# Why\n\nBecause.").sections
    ('<h3>Why</h3>\n<p>Because.</p>',)
    """
    return Page(path, title, (render(inspect.cleandoc(text)),))


def _topics(tree: ast.Module) -> Iterator[Page]:
    """Read the topics of the language reference, which the interpreter ships as one dictionary of texts."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            name, text = _constant(key), _constant(value)
            if name and text:
                yield text_page(f"topic-{name}.html", f"topic {name}", text)


def _constant(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return (ast.get_docstring(node) or "").strip()


def _entries(body: Iterable[ast.stmt], prefix: str) -> Iterator[Entry]:
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _entries(node.body, prefix)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _added(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = _docstring(node)
            if text and not node.name.startswith("_"):
                yield Entry(prefix + node.name, "function", f"({ast.unparse(node.args)})", text)
        elif isinstance(node, ast.ClassDef):
            members = tuple(_entries(node.body, f"{prefix}{node.name}."))
            text = _docstring(node)
            if (text or members) and not node.name.startswith("_"):
                bases = ", ".join(ast.unparse(base) for base in node.bases)
                yield Entry(prefix + node.name, "class", f"({bases})" if bases else "", text, members)


def _added(call: ast.Call) -> Iterator[Entry]:
    """Find the docstrings of compiled functions, which numpy and scipy hand to a function named `add_newdoc`."""
    if isinstance(call.func, ast.Name) and call.func.id == "add_newdoc" and call.args:
        *names, last = call.args
        if isinstance(last, ast.Tuple) and last.elts:
            names, last = [*names, last.elts[0]], last.elts[-1]
        name, text = ".".join(_constant(part) or "" for part in names[-2:]).strip("."), _constant(last)
        if name and text:
            yield Entry(name, "function", "", inspect.cleandoc(text))


def _sections(dotted: str, entry: Entry) -> Iterator[str]:
    anchor, full = html.escape(entry.name), html.escape(f"{dotted}.{entry.name}")
    signature = f"<code>{html.escape(entry.signature, quote=False)}</code>" if entry.signature else ""
    yield f'<section id="{anchor}"><h2>{full}{signature}</h2>\n{render(entry.text)}</section>'
    for member in entry.members:
        yield from _sections(dotted, member)


_HEADINGS = re.compile(
    r"(Args|Arguments|Attributes|Example|Examples|Keyword Args|Note|Notes|Parameters|Raises|Returns|See Also|Todo|"
    r"Usage|Warning|Warnings|Yields):"
)
_UNDERLINE = re.compile(r"([=\-~^\"*#+])\1{2,}")
_BULLET = re.compile(r"(?:[*+\-•]|\(?\d{1,3}[.)])\s+")
_DIRECTIVE = re.compile(r"\.\. ([\w:-]+)::\s*(.*)")
_INLINE = [
    (re.compile(r"``([^`]+)``"), r"<code>\1</code>"),
    (re.compile(r":[\w:+.-]+:`~?([^`<>]+)`"), r"<code>\1</code>"),
    (re.compile(r"`([^`]+)`_{0,2}"), r"<code>\1</code>"),
    (re.compile(r"\[([^\]\[]+)\]\((https?://[^\s()<>*\"']+)\)"), r'<a href="\2">\1</a>'),
    (re.compile(r"(?<![\w*])\*\*([^*\s][^*]*)\*\*(?![\w*])"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])"), r"<em>\1</em>"),
]


def _inline(text: str) -> str:
    """Escape a piece of text first, then mark code, links and emphasis, so that markup in the text stays text."""
    escaped = html.escape(text)
    for pattern, replacement in _INLINE:
        escaped = pattern.sub(replacement, escaped)
    return escaped


def render(text: str) -> str:
    r"""Render a docstring, or reStructuredText or Markdown that is no harder than one, as HTML.

    Args:
        text: without its common indentation, as `inspect.cleandoc` leaves it.

    >>> print(render("Add.\n\nReturns:\n    The *sum*.\n\n>>> 1 < 2\nTrue"))
    <p>Add.</p>
    <h3>Returns</h3>
    <blockquote><p>The <em>sum</em>.</p></blockquote>
    <pre><code>&gt;&gt;&gt; 1 &lt; 2
    True</code></pre>
    """
    return "\n".join(_blocks(text.expandtabs().split("\n"), depth=0))


def _blocks(lines: list[str], depth: int) -> Iterator[str]:
    """Render the blocks of one level of indentation; `depth` bounds the nesting of quotes at 6."""
    literal = False
    for block in _split(lines):
        first, indented = block[0].strip(), block[0].startswith(" ")
        if indented and (literal or depth >= 6):
            yield _code(block)
        elif indented:
            width = min(len(line) - len(line.lstrip()) for line in block if line.strip())
            inner = "\n".join(_blocks([line[width:] for line in block], depth + 1))
            yield f"<blockquote>{inner}</blockquote>"
        elif first.startswith((">>>", "```")):
            yield _code([line for line in block if not line.startswith("```")])
        else:
            yield from _flow(block)
        literal = not indented and block[-1].rstrip().endswith("::")


def _split(lines: list[str]) -> Iterator[list[str]]:
    """Cut lines into blocks: at blank lines, and where indentation begins or ends. Indented blocks may hold blanks."""
    fenced = False
    block: list[str] = []
    for line in _joined(lines):
        indented = line.startswith(" ")
        blank = not line.strip()
        fence = line.startswith("```")
        starts = bool(block) and not fenced and not blank and (indented != block[0].startswith(" ") or fence)
        starts = starts and not block[0].startswith(">>>")
        ends = blank and bool(block) and not fenced and not block[0].startswith(" ")
        if starts or ends:
            yield _trimmed(block)
            block = []
        fenced ^= fence
        if not blank or block:
            block.append(line)
    if block:
        yield _trimmed(block)


def _joined(lines: list[str]) -> list[str]:
    """Put the indented lines that continue a list item on the item's own line."""
    joined: list[str] = []
    for line in lines:
        if line.startswith(" ") and line.strip() and joined and _BULLET.match(joined[-1]):
            joined[-1] += f"\n{line.strip()}"
        else:
            joined.append(line)
    return joined


def _trimmed(block: list[str]) -> list[str]:
    while len(block) > 1 and not block[-1].strip():
        block.pop()
    return block


def _code(block: list[str]) -> str:
    return "<pre><code>" + html.escape(inspect.cleandoc("\n".join(block)), quote=False) + "</code></pre>"


def _flow(block: list[str]) -> Iterator[str]:
    """Render unindented lines: headings, list items and paragraphs."""
    for is_item, group in groupby(block, key=lambda line: bool(_BULLET.match(line))):
        if is_item:
            items = "\n".join(f"<li>{_inline(_BULLET.sub('', line, count=1))}</li>" for line in group)
            yield f"<ul>{items}</ul>"
            continue
        paragraph: list[str] = []
        for line in map(str.strip, group):
            heading = None
            if _UNDERLINE.fullmatch(line):
                heading = paragraph.pop() if paragraph else ""
            elif _HEADINGS.fullmatch(line):
                heading = line[:-1]
            elif line.startswith("#") and line.lstrip("#").startswith(" "):
                heading = line.lstrip("# ")
            else:
                directive = _DIRECTIVE.fullmatch(line)
                paragraph.append(f"{directive[1].capitalize()}: {directive[2]}" if directive else line)
            if heading is not None:
                yield from _paragraph(paragraph)
                paragraph = []
                if heading:
                    yield f"<h3>{_inline(heading)}</h3>"
        yield from _paragraph(paragraph)


def _paragraph(lines: list[str]) -> Iterator[str]:
    text = "\n".join(lines).removesuffix("::").strip()
    if text:
        yield f"<p>{_inline(text)}</p>"
