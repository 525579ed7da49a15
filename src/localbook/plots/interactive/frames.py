"""Several drawings as the frames of one ``<svg>`` element, which holds what they share once."""

import hashlib
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence

from localbook.errors import ConfigError
from localbook.plots.figure import salt_of

_WORTH_SHARING = 90  # characters; a reference to a shared piece takes about 30
_STYLE = "stroke-linejoin: round; stroke-linecap: butt"  # what matplotlib sets for all elements


def stack(drawings: Sequence[str], start: int) -> ET.Element:
    """Return one ``<svg>`` with a ``<g class="lb-frame">`` a drawing, that of ``start`` shown.

    The drawings are of one size and have one salt. Definitions (glyphs, clips, markers) and
    whatever else two frames draw alike, such as axes and ticks, are written once and referred to.
    """
    roots = [_bare(ET.XML(drawing)) for drawing in drawings]
    if len({root.get("viewBox") for root in roots}) > 1:
        raise ConfigError("draw returned figures of different sizes; make all of them of one size.")
    whole = ET.Element("svg", {k: roots[0].attrib[k] for k in ("width", "height", "viewBox")})
    whole.set("style", _STYLE)
    shared: dict[str, ET.Element] = {}
    for root in roots:
        _take_definitions(root, shared)
    often = Counter(_text(e) for root in roots for e in root.iter())
    frames = ET.Element("g")
    for number, root in enumerate(roots):
        frame = ET.SubElement(frames, "g", {"class": "lb-frame"})
        if number != start:
            frame.set("display", "none")
        frame.extend(_shared(root, often, shared))
    ET.SubElement(whole, "defs").extend(shared.values())
    whole.append(frames)
    _rename(whole, list(shared))
    return whole


def _bare(root: ET.Element) -> ET.Element:
    """Drop namespaces, which HTML does not need, blanks, and digits finer than a pixel."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.text = element.tail = None
        element.attrib = {k.rpartition("}")[2]: _short(k, v) for k, v in element.attrib.items()}
    return root


def _short(name: str, value: str) -> str:
    match name:
        case "d":
            return re.sub(r"\s*([A-Za-z])\s*", r"\1", value).strip()
        case "x" | "y":
            return _tenths(value)
        case "transform":
            return re.sub(r"translate\([^)]*\)", lambda move: _tenths(move[0]), value)
        case "style":
            return value.replace("; ", ";").replace(": ", ":")
    return value


def _tenths(text: str) -> str:
    return re.sub(r"(\.\d)\d+", r"\1", text)


def _take_definitions(root: ET.Element, shared: dict[str, ET.Element]) -> None:
    """Move what is in ``<defs>`` from a drawing to ``shared``, by its id."""
    for parent in list(root.iter()):
        for definitions in parent.findall("defs"):
            parent.remove(definitions)
            for element in definitions:
                if element.tag != "style":
                    shared.setdefault(element.attrib["id"], element)


def _text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")


def _shared(
    parent: ET.Element, often: Counter[str], shared: dict[str, ET.Element]
) -> Iterator[ET.Element]:
    """Yield a group's children, with each piece that is drawn more than once as a reference."""
    for element in parent:
        text = _text(element)
        if often[text] > 1 and len(text) > _WORTH_SHARING:
            name = f"piece-{hashlib.sha256(text.encode()).hexdigest()}"
            shared.setdefault(name, _named(element, name))
            yield ET.Element("use", {"href": f"#{name}"})
        elif element.tag == "g" and not element.attrib:
            yield from _shared(element, often, shared)
        elif element.attrib != {"d": element.get("d"), "style": "fill:none"}:  # else invisible
            kept = ET.Element(element.tag, element.attrib)
            kept.extend(_shared(element, often, shared))
            yield kept


def _named(element: ET.Element, name: str) -> ET.Element:
    group = ET.Element("g", {"id": name})
    group.append(element)
    return group


def _rename(whole: ET.Element, names: list[str]) -> None:
    """Give short ids that no other figure of a page has, unless it is the same figure."""
    salt = salt_of(_text(whole))
    new = {name: f"{salt}-{number:x}" for number, name in enumerate(names)}
    for element in whole.iter():
        if element.get("id") not in new:  # such as that of an image, which nothing refers to
            element.attrib.pop("id", None)
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, new[value])
            elif key == "href" and value.startswith("#"):
                element.set(key, f"#{new[value[1:]]}")
            elif value.startswith("url(#"):
                element.set(key, f"url(#{new[value[5:-1]]})")
