"""SVG files made fit for the page: no metadata, ids of their own, colours that follow the page, styles shared."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
#: Colours of the figures -> variables of the page's style sheet, which has a light and a dark value for each.
COLOURS = {
    "#222222": "ink", "#000000": "ink", "#5a5a5a": "grey", "#444444": "grey", "#e4e4e4": "grid", "#ffffff": "card",
    "#0072b2": "blue", "#cc79a7": "pink", "#56b4e9": "sky", "#009e73": "green", "#e69f00": "yellow",
    "#d55e00": "red", "#882255": "wine", "#6e6e6e": "control", "#8c8c8c": "control-2", "#9a9a9a": "control-3",
}  # fmt: skip


class Styles:
    """What the figures of a page share: style attributes, each written once as a class, and a count of figures."""

    __slots__ = ("_figures", "_names")

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._figures = 0

    def next_figure(self) -> str:
        """Return a prefix for the ids of one more figure."""
        self._figures += 1
        return f"g{self._figures}"

    def name(self, style: str) -> str:
        """Return the class of a style attribute."""
        return self._names.setdefault(style, f"f{len(self._names)}")

    def css(self) -> str:
        """Return the style sheet of all classes."""
        return "\n".join(f".{name}{{{style}}}" for style, name in self._names.items())


def inline(svg: str, label: str, styles: Styles) -> str:
    """Return an SVG document as an element for an HTML page.

    Parameters
    ----------
    svg
        The document, as matplotlib writes it. A group with the id "header" is cut off.
    label
        Text alternative of the whole figure.
    styles
        Takes up the style attributes, which become classes, and gives ids a prefix, so that figures do not collide.

    Raises
    ------
    ValueError
        The text is not an SVG document.
    """
    try:
        root = ET.fromstring(svg)
    except ET.ParseError as error:
        raise ValueError(f"svg={svg[:40]!r}... is not an SVG document: {error}") from error
    if root.tag != f"{_SVG}svg":
        raise ValueError(f"svg has the root {root.tag!r}; it must be an SVG document")
    box = _cut_header(root)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    prefix = styles.next_figure()
    slim = ET.Element("svg", {"viewBox": box, "role": "img", "aria-label": label})
    for child in root:
        _copy(child, slim, prefix, used, styles)
    return ET.tostring(slim, encoding="unicode")


def _cut_header(root: ET.Element) -> str:
    """Remove the header group and return the view box of what is below it."""
    x, y, width, height = (float(part) for part in root.get("viewBox", "0 0 648 300").split())
    for parent in root.iter(f"{_SVG}g"):
        for group in list(parent):
            if group.get("id") == "header":
                frame = group.find(f".//{_SVG}path")
                ends = re.findall(r"-?[\d.]+", frame.get("d", "") if frame is not None else "")
                bottom = max((float(part) for part in ends[1::2]), default=0.0)
                parent.remove(group)
                y, height = y + bottom, height - bottom
    return " ".join(f"{part:.6g}" for part in (x, y, width, height))


def _copy(node: ET.Element, parent: ET.Element, prefix: str, used: set[str], styles: Styles) -> None:
    tag = node.tag.removeprefix(_SVG)
    if tag in ("metadata", "title", "style") or not isinstance(node.tag, str):
        return
    attributes = _attributes(node, prefix, used, styles)
    if tag == "g" and not attributes:
        for child in node:
            _copy(child, parent, prefix, used, styles)
        return
    if tag in ("g", "defs") and not len(node):
        return
    copied = ET.SubElement(parent, tag, attributes)
    if tag in ("text", "tspan"):
        copied.text, copied.tail = node.text, node.tail if tag == "tspan" else None
    for child in node:
        _copy(child, copied, prefix, used, styles)


def _attributes(node: ET.Element, prefix: str, used: set[str], styles: Styles) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in node.attrib.items():
        if name == "id":
            if value in used:
                found["id"] = f"{prefix}{value}"
        elif name == "style":
            style = _style(value)
            if style:
                found["class"] = styles.name(style)
        elif name == f"{_XLINK}href":
            found["href"] = f"#{prefix}{value[1:]}" if value.startswith("#") else value
        elif name == "clip-path":
            found[name] = value.replace("#", f"#{prefix}")
        elif name == "d":
            found[name] = re.sub(r"(?<=[A-Za-z]) | (?=[A-Za-z-])", "", value)
        elif name == "transform":
            turned = re.sub(r"rotate\(-?0 [^)]*\) ?", "", value)
            found |= {"transform": re.sub(r"(\.\d\d)\d+", r"\1", turned)} if turned else {}
        else:
            found[name] = value
    return found


def _style(style: str) -> str:
    """Return a style with the page's colours and without the font's name, which the page sets once."""
    parts = [part.strip() for part in style.split(";") if part.strip() and not part.strip().startswith("font-family")]
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: _colour(found[0]), ";".join(parts))


def _colour(code: str) -> str:
    name = COLOURS.get(code.lower())
    return f"var(--{name})" if name else code
