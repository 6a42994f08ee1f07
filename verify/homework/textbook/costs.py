"""Judges the cost by itself, on outputs and labels of ours."""

from __future__ import annotations

from dataclasses import replace

import manual
from verify.findings import Finding
from verify.homework.report import AGREE, DISAGREE
from verify.homework.run.calls import array_of, number_of
from verify.homework.textbook.network_comparison import (
    Blame,
    Numbers,
    findings_in,
    is_single,
)
from verify.homework.textbook.problems import L2, M, draw, forward
from verify.homework.textbook.roles import Role, blamed, depth, meaning
from verify.homework.textbook.submission import Submission


def judge_cost(submission: Submission, role: Role) -> None:
    """Judge the cross-entropy, with the penalty where it takes lambda."""
    if not any(meaning(argument, {"AL"}) for argument in role.arguments):
        return  # it is a network's part, and judged there
    regularised = any(meaning(argument, {"lambd"}) for argument in role.arguments)
    layers = {2: (3, 4, 1), 1: (4, 1)}.get(depth([role.node]) or 3, (4, 5, 3, 1))
    findings, remarks = _cost_findings(submission, role, layers, "sigmoid", regularised)
    if findings and any("softmax" in s.text for s in submission.extract.statements):
        multiple = (*layers[:-2], layers[-2] + 1, 3)
        other, its_remarks = _cost_findings(submission, role, multiple, "softmax", regularised)
        if not other:
            findings, remarks = other, its_remarks
    submission.remark(*remarks)
    submission.findings.extend(findings)
    submission.say(role, DISAGREE if findings else AGREE)


def _cost_findings(
    submission: Submission, role: Role, layers: tuple[int, ...], output: str, regularised: bool
) -> tuple[list[Finding], list[str]]:
    hidden = ("relu",) * (len(layers) - 2)
    problem = draw(
        layers, M, hidden=hidden, output=output, l2=L2 if regularised else 0.0,
        seed=(submission.seed, 2),
    )  # fmt: skip
    values = {
        "AL": forward(problem)[0],
        "Y": problem.Y,
        "X": problem.X,
        "parameters": dict(problem.params),
        "lambd": problem.l2,
        "m": problem.m,
    }
    found = submission.call(role, values)
    cost = number_of(found)
    if cost is None:
        array = array_of(found)
        what = "no number" if array is None else f"an array of the shape {array.shape}"
        says = "It returns {what}; a cost is one number."
        finding = Finding("not-a-number", "loss", says=says, values={"what": what})
        return [blamed(finding, role)], []
    _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
    findings, remarks = findings_in(
        submission.extract,
        Blame(None, role, None, True),
        problem,
        Numbers(float(cost), grads, {}, is_single(found)),
    )
    # The gradients were the textbook's, so what is said of them is nothing of the file's.
    return [replace(finding, follows=()) for finding in findings], remarks
