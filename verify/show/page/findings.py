"""Verdicts, findings and notes as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from verify.findings import Finding
from verify.show.page.markup import Html, element


def badge(verdict: str, text: Any = None) -> Html:
    """Return a verdict, or a text in its place, with the sign and the colour of the verdict.

    The sign makes it readable without its colour.
    """
    sign = {"agree": "✓", "disagree": "✗"}.get(verdict)
    kind = verdict if sign else "undecided"
    return element("strong", sign or "?", " ", text or verdict, class_=f"verdict {kind}")


def box(finding: Finding, heading: str, title: str) -> Html:
    """Return a finding under a heading: what is wrong, where, the formula found and the right one.

    `heading` is the name of an element, such as "h3".
    """
    terms = {finding.where: finding.source, "found": finding.found, "expected": finding.expected}
    return element(
        "section",
        element(heading, element("strong", title), " ", element("code", finding.bug)),
        element("p", finding.detail),
        definitions(terms),
        class_="finding",
    )


def definitions(terms: Mapping[str, str]) -> Html | None:
    """Return lines of code, each under its term; those that are empty are left out."""
    rows = [
        [element("dt", term), element("dd", element("code", text))]
        for term, text in terms.items()
        if text
    ]
    return element("dl", rows) if rows else None


def notes(remarks: Iterable[str]) -> list[Html]:
    """Return remarks, a paragraph each."""
    return [element("p", element("strong", "Note. "), text, class_="note") for text in remarks]
