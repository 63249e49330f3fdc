r"""Mathematics for the page: ``\alpha \le \frac12`` as MathML, which the browser draws itself."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree as ET

_NAMES = frozenset({
    "arccos", "arcsin", "arctan", "arg", "argmax", "argmin", "cos", "cosh", "cot", "deg", "det", "diag", "dim", "exp",
    "gcd", "inf", "ker", "ln", "log", "max", "min", "mod", "Pr", "prox", "rank", "sign", "sin", "sinh", "sup", "tan",
    "tanh", "tr",
})  # fmt: skip
#: What the converter does not know, in terms of what it knows.
_REWRITTEN = {
    r"\\arg(?![a-zA-Z])": r"\\operatorname{arg}",
    r"\\(?:dots|ldots|dotsc)(?![a-zA-Z])": r"\\ldots ",
    r"\\(?:lVert|rVert|Vert)(?![a-zA-Z])": r"\\|",
    r"\\(?:lvert|rvert|vert)(?![a-zA-Z])": r"|",
    r"\\coloneqq(?![a-zA-Z])": ":=",
}
_PARTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}
_SAME_SIGN = {"~": "∼", "-": "−"}
#: Signs that the converter takes for letters, which have no space around them; and brackets, which do not grow.
_SIGNS, _BRACKETS = frozenset("~±⪰⪯⟂⟹⟺⧵;"), frozenset("⟨⟩⌈⌉⌊⌋")
_TIGHT = ("/", "|", "⊤", "⋆")
_CLOSING = (")", "]", "}", "⟩", "‖", "|", "!", "⌉", "⌋", "′")
_OPENING, _CLOSING_BRACKETS = ("(", "[", "{", "⟨", "⌈", "⌊"), (")", "]", "}", "⟩", "⌉", "⌋")
_BREAKS = frozenset("=≤≥<>≲≳≈∼≪≫∈⪰≻→⇒⟹,+−±")
_SHORT, _WIDE = 12, 26  # letters; a telephone shows about thirty side by side


@cache
def mathml(latex: str, *, display: bool = False) -> str:
    r"""Return LaTeX mathematics as a ``<math>`` element.

    Raises ValueError when a part of it is not understood; the message names the part.

    >>> mathml(r"\alpha \le 1")
    '<math><mi>α</mi><mo>≤</mo><mn>1</mn></math>'
    >>> mathml(r"\nosuch")
    Traceback (most recent call last):
    ...
    ValueError: latex='\\nosuch': \nosuch is not known; use LaTeX that MathML can show
    """
    from latex2mathml.converter import convert

    text = " ".join(latex.split())
    for pattern, replacement in _REWRITTEN.items():
        text = re.sub(pattern, replacement, text)
    try:
        root = ET.fromstring(convert(text).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', ""))
    except Exception as error:
        # The converter has a family of exceptions of its own, and passes on what its parts raise.
        raise ValueError(f"latex={latex!r}: not understood ({type(error).__name__}: {error})") from error
    unknown = next((node.text for node in root.iter() if "\\" in (node.text or "")), None)
    if unknown:
        raise ValueError(f"latex={latex!r}: {unknown} is not known; use LaTeX that MathML can show")
    incomplete = next((node.tag for node in root.iter() if len(node) != _PARTS.get(node.tag, len(node))), None)
    if incomplete:
        raise ValueError(f"latex={latex!r}: a part of it is missing (an <{incomplete}> is not complete)")
    root.attrib.clear()
    _unwrap(root)
    _join_letters(root)
    _space(root)
    _set_signs(root)
    if display:
        root.set("display", "block")
        return ET.tostring(root, encoding="unicode")
    return "<wbr/>".join(_written(piece) for piece in _pieces(root))


def _pieces(root: ET.Element) -> list[ET.Element]:
    """Cut a long formula after its outermost relations, sums and commas: browsers break no line inside a formula."""
    if _length(root) <= _SHORT:
        return [root]
    pieces, depth, bars = [ET.Element("math")], 0, 0
    for child in list(root):
        sign = child.text if child.tag == "mo" else ""
        depth += (sign in _OPENING) - (sign in _CLOSING_BRACKETS) if sign else 0
        bars += sign in ("|", "‖") if sign else 0
        pieces[-1].append(child)
        if sign and sign in _BREAKS and child.get("form") is None and depth == 0 and bars % 2 == 0:
            child.set("form", "infix")
            pieces.append(ET.Element("math"))
    return [piece for piece in pieces if len(piece)]


def _written(piece: ET.Element) -> str:
    text = ET.tostring(piece, encoding="unicode")
    return f'<span class="wide">{text}</span>' if _length(piece) > _WIDE else text


def _length(node: ET.Element) -> int:
    # A fraction is as long as the longer of its parts; scripts are small.
    parts = [_length(child) for child in node]
    if node.tag == "mfrac":
        return max(parts)
    return len((node.text or "").strip()) + sum(parts)


def _join_letters(parent: ET.Element) -> None:
    """Make one word of upright letters, and set a lone prime beside its letter: browsers raise it twice otherwise."""
    for child in parent:
        _join_letters(child)
        if child.tag == "mo" and child.text in _NAMES:
            child.tag = "mi"  # an operator would bring space of its own
        upright = [node.tag == "mi" and node.get("mathvariant") == "normal" for node in child]
        if child.tag == "mrow" and len(child) > 1 and all(upright):
            child.tag, child.text = "mi", "".join(node.text or "" for node in child)
            child[:] = []
        elif child.tag == "msup" and (child[1].text or "").strip("′″‴") == "" and not len(child[1]):
            child.tag = "mrow"
            child[1].tag, child[1].attrib = "mo", {"lspace": "0", "rspace": "0"}


def _space(parent: ET.Element) -> None:
    """Set names of functions apart from what stands around them, as TeX does: log x, not logx."""
    children = list(parent)
    for child in children:
        _space(child)
    if parent.tag not in ("mrow", "math", "mstyle", "mtd"):
        return
    added = 0
    for place, (before, after) in enumerate(pairwise(children), start=1):
        if (_is_name(before) or _is_name(after)) and _joins(before) and _joins(after):
            parent.insert(place + added, ET.Element("mspace", width=".17em"))
            added += 1


def _joins(node: ET.Element) -> bool:
    return node.tag not in ("mo", "mspace")  # brackets and signs bring their own space


def _is_name(node: ET.Element) -> bool:
    base = node[0] if node.tag in ("msub", "msup", "msubsup", "munder", "mover", "munderover") and len(node) else node
    while base.tag in ("mrow", "mstyle") and len(base) == 1:
        base = base[0]
    return base.tag in ("mi", "mtext") and (base.text or "").strip() in _NAMES


def _set_signs(parent: ET.Element) -> None:
    """Space signs as TeX does: none around /, | and transposition, a minus at the beginning of a term close to it."""
    before: ET.Element | None = None
    for child in parent:
        _set_signs(child)
        if child.tag == "mi" and child.text in _SIGNS | _BRACKETS:
            child.tag = "mo"
            child.attrib |= {"stretchy": "false"} if child.text in _BRACKETS else {}
        if child.tag == "mo":
            child.text = _SAME_SIGN.get(child.text or "", child.text)
            if child.text in _TIGHT:
                child.attrib |= {"lspace": "0", "rspace": "0"}
            elif child.text in ("−", "+", "±") and (
                before is None or (before.tag == "mo" and before.text not in _CLOSING)
            ):
                child.set("form", "prefix")
        before = child


def _unwrap(parent: ET.Element) -> None:
    """Take out rows of one element, which say nothing: a third of the bytes."""
    for place, child in enumerate(list(parent)):
        _unwrap(child)
        if child.tag == "mrow" and len(child) == 1 and not child.attrib:
            parent[place] = child[0]
    if parent.tag == "math" and len(parent) == 1 and parent[0].tag == "mrow" and not parent[0].attrib:
        row = parent[0]
        parent.remove(row)
        parent.extend(row)
