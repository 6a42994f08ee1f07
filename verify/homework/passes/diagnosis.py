"""What is wrong with a gradient, by the numbers: found beside the derivative."""

from __future__ import annotations

from collections.abc import Sequence

from verify.findings import Finding
from verify.homework.passes.verdicts import Outcome
from verify.homework.read.discover import Candidate
from verify.homework.read.extract import Extract


def findings_of(found: Extract, candidate: Candidate, outcomes: Sequence[Outcome]) -> list[Finding]:
    """Return a finding for each gradient that is wrong in any setting."""
    findings = []
    seen: set[str] = set()
    for outcome in outcomes:
        for wrong in outcome.wrong:
            if wrong.tensor.gradient.label not in seen:
                seen.add(wrong.tensor.gradient.label)
                findings.append(
                    Finding(
                        "unknown",
                        wrong.tensor.gradient.label,
                        says="{tensor} is wrong.",
                        values={"tensor": wrong.tensor.gradient.label},
                        function=candidate.name,
                    )
                )
    return findings
