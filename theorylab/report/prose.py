"""Docstrings as HTML: paragraphs, lists, **bold**, `code` (a link where it names a claim) and mathematics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from theorylab.report.mathematics import mathml

_ATOM = re.compile(r"\$\$(?P<display>.+?)\$\$|\$(?P<inline>[^$]+?)\$|``(?P<double>.+?)``|`(?P<code>[^`]+?)`", re.DOTALL)
_ITEM = re.compile(r"(?P<mark>-|\*|\d+\.) +(?P<text>.*)")


def formulas(text: str) -> list[str]:
    """Return all mathematics of a text, without its dollars.

    >>> formulas("$a$ and $$b$$ cost `$5`")
    ['a', 'b']
    """
    found = [match["display"] or match["inline"] for match in _ATOM.finditer(text)]
    return [latex for latex in found if latex]


def line_html(text: str, links: Mapping[str, str] | None = None) -> str:
    """Return one line of text as HTML; ``links`` maps names in code spans to the anchors that they link to.

    >>> line_html("at most `b` < **one**", {"b": "p-b"})
    'at most <a href="#p-b">b</a> &lt; <strong>one</strong>'
    """
    kept, atoms = _put_away(text, links or {})
    return _finished(kept, atoms)


def _put_away(text: str, links: Mapping[str, str]) -> tuple[str, list[str]]:
    """Replace mathematics and code by marks that no rule of the markup touches."""
    atoms: list[str] = []

    def put_away(match: re.Match[str]) -> str:
        atoms.append(_atom(match, links))
        return f"\0{len(atoms) - 1}\0"

    return _ATOM.sub(put_away, text), atoms


def _finished(text: str, atoms: list[str]) -> str:
    plain = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text, quote=False), flags=re.DOTALL)
    return re.sub(r"\0(\d+)\0([.,;:!?)\]’”]*)", lambda match: _held(atoms[int(match[1])], match[2]), plain)


def _held(atom: str, stop: str) -> str:
    """Keep the stop after a formula on its line; a browser would not."""
    head, cut, tail = atom.rpartition("<wbr/>")
    if not stop or not tail.startswith("<math>"):
        return atom + stop
    return f'{head}{cut}<span class="held">{tail}{stop}</span>'


def _atom(match: re.Match[str], links: Mapping[str, str]) -> str:
    display, inline = match["display"], match["inline"]
    if display or inline:
        try:
            return mathml(display or inline, display=bool(display))
        except ValueError:
            # Better the source than nothing; a test holds that no claim needs this.
            return f"<code>{escape(match[0])}</code>"
    word = match["double"] or match["code"]
    text = escape(word, quote=False)
    return f'<a href="#{links[word]}">{text}</a>' if word in links else f"<code>{text}</code>"


def html(text: str, links: Mapping[str, str] | None = None) -> str:
    r"""Return a docstring's text as HTML blocks.

    >>> html("One.\n\n- a\n- b")
    '<p>One.</p><ul><li>a</li><li>b</li></ul>'
    """
    kept, atoms = _put_away(text.strip(), links or {})
    blocks: list[tuple[str, list[str]]] = []  # ("p" | "ul" | "ol", texts)
    for paragraph in re.split(r"\n\s*\n", kept):
        fresh = True
        for line in paragraph.split("\n"):
            item = _ITEM.match(line.strip())
            if item:
                kind = "ol" if item["mark"][0].isdigit() else "ul"
                if not blocks or blocks[-1][0] != kind:
                    blocks.append((kind, []))
                blocks[-1][1].append(item["text"])
            elif fresh or (blocks[-1][0] != "p" and not line.startswith(" ")):
                blocks.append(("p", [line.strip()]))
            else:
                blocks[-1][1][-1] += "\n" + line.strip()
            fresh = False
    return "".join(_block(kind, [_finished(text, atoms) for text in texts]) for kind, texts in blocks)


def _block(kind: str, texts: list[str]) -> str:
    if kind == "p":
        return f"<p>{texts[0]}</p>"
    return f"<{kind}>" + "".join(f"<li>{text}</li>" for text in texts) + f"</{kind}>"
