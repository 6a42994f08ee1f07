"""HTML as text: elements that escape whatever is not HTML already."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

VOID = {"input", "meta", "br"}
SVG_VOID = {"line", "rect", "circle", "image", "path", "polygon"}


class Html(str):
    """Text that is HTML already, and so is not escaped again."""

    __slots__ = ()


def element(name: str, /, *content: Any, **attributes: Any) -> Html:
    """Return an element; content that is not `Html` is escaped, None and False are left out.

    Content may be nested in lists. An attribute True stands alone; `class_` is `class`, and an
    underscore within a name is a hyphen.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{html.escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in VOID | SVG_VOID:
        return Html(f"<{name}{written}>" if name in VOID else f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(content)}</{name}>")


def join(content: Any) -> Html:
    """Return nested content as one piece of HTML, escaping what is not HTML."""
    if content is None or content is False:
        return Html("")
    if isinstance(content, Html):
        return content
    if isinstance(content, (list, tuple)):
        return Html("".join(map(join, content)))
    return Html(html.escape(str(content)))


def number(value: float | None, form: str = ".1e") -> Html:
    """Return a number to read, with all its digits to be read by a machine; None is not finite."""
    if value is None or not math.isfinite(value):
        return element("data", "not finite", value="")
    if isinstance(value, int):
        return element("data", f"{value:,}".replace(",", " "), value=value)
    return element("data", format(value, form) if value else "0", value=repr(float(value)))


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    caption: str,
    class_: str | None = None,
    groups: Sequence[tuple[str, int]] = (),
) -> Html:
    """Return a table that scrolls sideways where it is too wide; each row's first cell heads it.

    `groups` are headings over so many columns each, from the left; an empty one is no heading.
    """
    over = [
        element("th", title, scope="colgroup", colspan=span)
        if title
        else element("td", colspan=span)
        for title, span in groups
    ]
    header = element("tr", [element("th", cell, scope="col") for cell in head])
    body = [
        element("tr", element("th", first, scope="row"), [element("td", cell) for cell in rest])
        for first, *rest in rows
    ]
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", over) if over else None, header),
            element("tbody", body),
            class_=class_,
        ),
        class_="scroll",
        role="region",
        aria_label=caption,
        tabindex=0,
    )


@cache
def style() -> Html:
    """Return the style sheet as an element."""
    return Html(f"<style>{files('verify.show.page').joinpath('style.css').read_text()}</style>")


def document(title: str, *content: Any) -> str:
    """Return a whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        style(),
    )
    body = element("body", element("main", content, class_="backproof page"))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
