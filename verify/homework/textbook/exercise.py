"""A file as an exercise of the course: its functions by their roles, judged in order.

First every single function (`single_functions`), then the networks that they make up
(`network_verdict`), then the file's own gradient checking (`gradient_checks`). A function that
uses another which is wrong is tried again with the course's in its place (`replacements`), so
that only the function with the mistake is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from verify.homework.read.extract import Extract
from verify.homework.report import AGREE
from verify.homework.run.namespace import open_workspace
from verify.homework.textbook import gradient_checks
from verify.homework.textbook.course_modules import HELPERS
from verify.homework.textbook.network import networks
from verify.homework.textbook.network_verdict import judge_network
from verify.homework.textbook.replacements import once, replaced, wrong_within
from verify.homework.textbook.roles import FORWARDS, Role
from verify.homework.textbook.single_functions import SINGLE_FUNCTIONS, judge_function
from verify.homework.textbook.submission import Submission


def judge_exercise(
    found: Extract, roles: Sequence[Role], tell: Callable[[Submission, str], None], seed: int
) -> Submission:
    """Judge the functions of a file that have a role, in this process, which runs them.

    `tell` is given the name of each function before it is judged. Inputs are drawn from `seed`.
    """
    workspace = open_workspace(found, helpers=HELPERS)
    submission = Submission(workspace, roles, remarks=list(workspace.remarks), seed=seed)
    for kind in SINGLE_FUNCTIONS:
        for role in (role for role in roles if role.role == kind):
            tell(submission, role.shown)
            _judge_function(submission, role)
    for network in networks(roles):
        tell(submission, (network.backward or network.forward or roles[0]).shown)
        judge_network(submission, network)
    for role in roles:
        if role.role == "gradient_check" or "1d" in role.qualifiers:
            tell(submission, role.shown)
            gradient_checks.judge(submission, role)
    if gone := ", ".join(sorted(workspace.numpy.legacy)):
        submission.remark(f"NumPy no longer has {gone}; ours was used instead.")
    return submission


def _judge_function(submission: Submission, role: Role) -> None:
    """Judge a single function; what it uses that is wrong is replaced by the course's."""
    # A backward function is called with the cache of the forward function that belongs to it.
    partners = [submission.role(name, role) for name in FORWARDS.get(role.role, ())]
    users = [role, *(p for p in partners if p is not None)]
    wrong = [used for used in wrong_within(submission, users) if used is not role]
    if wrong:
        alone = Submission(submission.workspace, submission.roles, seed=submission.seed)
        with replaced(submission, wrong):
            judge_function(alone, role)
        if alone.verdict_of(role) == AGREE:
            submission.say(role, AGREE, once(wrong))
            return
    judge_function(submission, role)
