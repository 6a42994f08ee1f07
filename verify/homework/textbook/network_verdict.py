"""A forward pass, a cost and a backward pass of a file, judged together.

The cost and the gradients are compared with the textbook's, which is `manual` and, through
`verify.diagnose`, the chain rule; and the gradients with differences of the file's own cost.

- The gradients are the textbook's: they are right.
- They are not the textbook's but those of the file's own cost: the forward pass or the cost is
  another function, and the backward pass is faithful to it.
- They are neither: the backward pass is wrong. If the forward pass is wrong as well, the backward
  pass is tried again on the textbook's values (`textbook_cache`), to see whether it is right.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

import manual
from verify.findings import Finding, listed
from verify.homework.passes.own_differences import compare_with_differences, is_derivative
from verify.homework.report import AGREE, DISAGREE, UNDECIDED
from verify.homework.run.calls import CallError, array_of, number_of
from verify.homework.textbook.corrected_cache import textbook_values
from verify.homework.textbook.forward_findings import forward_findings
from verify.homework.textbook.identification import CLOSE, Identified, identify
from verify.homework.textbook.network import (
    Network,
)
from verify.homework.textbook.network_comparison import (
    Blame,
    Numbers,
    findings_in,
    guard_of,
    is_single,
    plain,
    says_single,
    wrong_gradients,
)
from verify.homework.textbook.problems import M, draw, saturated
from verify.homework.textbook.replacements import once, replaced, wrong_within
from verify.homework.textbook.roles import Role, blamed
from verify.homework.textbook.submission import Submission


def judge_network(submission: Submission, network: Network) -> None:
    """Judge a forward pass, its cost and its backward pass together.

    If one of them raises, what is left is judged with the course's in its place.
    """
    try:
        _judge(submission, network)
    except CallError as fault:
        _give_up(submission, network, fault)
        rest = _without(network, fault)
        if rest is not None and rest.forward is network.forward:
            judge_network(submission, rest)
        elif rest is not None:
            # A backward pass may fail on the cache of another forward pass without being wrong.
            with contextlib.suppress(CallError):
                _judge(submission, rest)
        for role in _own_roles(submission, network):
            if submission.verdict_of(role) is None:
                says = f"Not judged, because {fault.function or 'the network'} cannot be run."
                submission.say(role, UNDECIDED, says)


def _without(network: Network, fault: CallError) -> Network | None:
    """Return a network with the course's in the place of the function that raised."""
    if network.is_propagate:
        return None
    if network.forward is not None and _is_of(fault, network.forward):
        # The cache of a method is in its object, where only its own forward pass can put it.
        if network.backward is None or network.backward.owner is not None:
            return None
        return replace(network, forward=None, makes_cost=False)
    if network.cost is not None and _is_of(fault, network.cost):
        return replace(network, cost=None)
    if network.backward is not None and _is_of(fault, network.backward):
        return replace(network, backward=None) if network.forward is not None else None
    return None


def _is_of(fault: CallError, role: Role) -> bool:
    return fault.function in (role.shown, role.name)


def _judge(submission: Submission, network: Network) -> None:
    """Judge a network. Raises CallError if one of its functions cannot be run."""
    wrong = wrong_within(submission, network.roles)
    try:
        attempt = _attempt(submission, network)
    except CallError:
        if not wrong:
            raise
        with replaced(submission, wrong):
            attempt = _attempt(submission, network)
            _conclude(submission, attempt, wrong)
        return
    if not (attempt.findings and wrong and not attempt.faithful):
        _conclude(submission, attempt, wrong if attempt.findings else [])
        return
    with replaced(submission, wrong):
        try:
            again = _attempt(submission, network)
        except CallError:
            # With the course's functions in their place the file does not run.
            names = listed(role.shown for role in wrong)
            for role in _own_roles(submission, network):
                says = f"Its results are wrong, and it uses {names}: mend that first."
                submission.say(role, DISAGREE, says)
            return
    _conclude(submission, again, wrong)


def _own_roles(submission: Submission, network: Network) -> list[Role]:
    """Return the roles whose verdict is found here: most costs have theirs already."""
    return [
        role for role in network.roles if role.role != "cost" or submission.verdict_of(role) is None
    ]


def _give_up(submission: Submission, network: Network, fault: CallError) -> None:
    """Say which function could not be run, and why."""
    own = _own_roles(submission, network)
    for role in [role for role in network.roles if _is_of(fault, role)] or own[-1:]:
        if role in own:
            submission.say(role, fault.verdict, str(fault))


class Attempt(NamedTuple):
    """What was found in a network; `faithful`: its gradient is that of the file's own cost."""

    findings: list[Finding]
    faithful: bool | None
    identified: Identified


def _attempt(submission: Submission, network: Network) -> Attempt:
    """Return what is wrong with a network, on the first problem on which anything is."""
    attempts = []
    for number, sizes in enumerate(network.sizes):
        identified = identify(submission, network, sizes, number)
        findings, remarks = _findings(submission, identified)
        faithful = None
        if network.backward is not None and (number == 0 or findings):
            faithful = _is_derivative(identified)
        if identified.course is not None and not findings:
            has = " and ".join(dict.fromkeys(identified.problem.hidden))
            due = identified.course[0]
            submission.remark(f"The hidden layers are {has}, where the course has {due}.")
        elif identified.course is not None:
            findings = _by_the_course(submission, identified, number=number) or findings
        submission.remark(*remarks)
        attempts.append(Attempt(findings, faithful, identified))
        if findings:
            return attempts[-1]
    return attempts[0]


_MIXED = "forward-activation-mixed"
"""The mistake of one activation in the forward pass and the course's in the backward pass."""


def _by_the_course(
    submission: Submission, identified: Identified, number: int
) -> list[Finding] | None:
    """Return the mistake of a forward pass whose backward pass is right for the course's network.

    None if the backward pass is wrong for that too.
    """
    network, problem = identified.network, identified.problem
    forward = network.forward
    if forward is None or network.backward is None or problem.masks is not None:
        return None
    assert identified.course is not None
    other = draw(
        problem.layers, M, hidden=identified.course, output=problem.output, l2=problem.l2,
        seed=(submission.seed, number),
    )  # fmt: skip
    runner = replace(identified.runner, problem=other)
    if _by_itself(submission, Identified(runner, runner.evaluate(), False)) != []:
        return None
    finding = Finding(
        _MIXED,
        "A1",
        1,
        says="The hidden layers are {has} in the forward pass; they should be {due}, whose "
        "derivative the backward pass uses.",
        wrong="A1 = {has}(Z1)",
        right="A1 = {due}(Z1)",
        values={"has": problem.hidden[0], "due": identified.course[0]},
    )
    return [blamed(finding, forward)]


def _findings(submission: Submission, identified: Identified) -> tuple[list[Finding], list[str]]:
    """Return the mistakes by comparison with the textbook, and the remarks."""
    network, problem = identified.network, identified.problem
    cost = number_of(identified.evaluated.cost)
    if cost is None:
        raise CallError(identified.runner.cost_name, "does not return one number")
    grads, intermediates = _given(identified)
    right = identified.forward_is_right and not network.makes_cost
    blame = Blame(network.forward, network.cost, network.backward, right)
    AL = identified.evaluated.forward.AL
    single = is_single(AL, identified.evaluated.cost, *grads.values())
    numbers = Numbers(float(cost), grads, intermediates, single)
    findings, remarks = findings_in(submission.extract, blame, problem, numbers)
    findings += _mask_findings(identified)
    remarks += _shape_remarks(identified, grads)
    if network.cost is not None and submission.verdict_of(network.cost) == AGREE:
        # The cost was judged by itself, and is right.
        findings = [_not_the_cost(finding, network) for finding in findings]
    return findings, remarks


def _shape_remarks(identified: Identified, grads: Mapping[str, Any]) -> list[str]:
    """Remark on a gradient of one number in other brackets than its parameter's."""
    if identified.network.is_propagate:
        return []
    return [
        f"d{name} has the shape {value.shape} and {name} has {right.shape}, which broadcasts."
        for name, right in identified.problem.params.items()
        if isinstance(value := grads.get(name), np.ndarray)
        and value.shape != right.shape
        and value.size == right.size == 1
    ]


def _mask_findings(identified: Identified) -> list[Finding]:
    """Return the mistake where the masks keep what should be dropped, by the draws behind them."""
    forward, problem = identified.network.forward, identified.problem
    if forward is None or problem.masks is None:
        return []
    keep_prob = identified.network.keep_prob
    for layer, mask in enumerate(problem.masks, start=1):
        for values in identified.evaluated.draws:
            uniform = values.shape == mask.shape and len(np.unique(values)) > 2
            if uniform and np.array_equal(mask, values >= keep_prob):
                finding = Finding(
                    "forward-mask-wrong-share",
                    f"D{layer}",
                    layer,
                    says="{D} keeps a unit where rand > keep_prob: with the probability "
                    "1 - keep_prob, while A is divided by keep_prob.",
                    wrong="{D} = rand > keep_prob",
                    right="{D} = rand < keep_prob",
                    values={"D": f"D{layer}"},
                )
                return [blamed(finding, forward)]
    return []


def _not_the_cost(finding: Finding, network: Network) -> Finding:
    cost, forward = network.cost, network.forward
    if cost is None or finding.function != cost.shown or forward is None:
        return finding
    return blamed(finding, forward)


def _given(identified: Identified) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the file's gradients, or the textbook's where it has no backward pass."""
    problem = identified.problem
    if identified.network.backward is None:
        _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
        return grads, {}
    grads, intermediates = identified.runner.backward(identified.evaluated.values, problem.params)
    if identified.network.is_propagate:
        intermediates = {}
    return plain(grads), plain(intermediates)


def _is_derivative(identified: Identified) -> bool | None:
    """Say whether the gradient is that of the file's own cost; None if that is not known."""
    problem, runner = identified.problem, identified.runner

    def loss(params: Mapping[str, np.ndarray]) -> Any:
        return np.asarray(runner.loss(params))

    def grads(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found, _ = runner.grads(params)
        arrays = {name: array_of(found.get(name)) for name in params}
        if any(array is None or array.size != params[n].size for n, array in arrays.items()):
            raise CallError(runner.network.roles[-1].shown, "returns no gradient of some parameter")
        return {n: np.asarray(array).reshape(params[n].shape) for n, array in arrays.items()}

    return is_derivative(compare_with_differences(loss, grads, problem.params))


def _conclude(submission: Submission, attempt: Attempt, wrong: Sequence[Role]) -> None:
    """Set the verdicts of a network's functions from its findings and from its own forward pass."""
    if attempt.findings:
        _conclude_wrong(submission, attempt)
        return
    found, network = submission.extract, attempt.identified.network
    doubt = attempt.faithful is False and not wrong
    doubt = doubt and not guard_of(found) and not says_single(found)
    for role in _own_roles(submission, network):
        within = [w for w in wrong if w in wrong_within(submission, [role])]
        if doubt and role is network.backward:
            sentence = (
                f"{role.shown} is the textbook's gradient, but not that of the file's own cost "
                "near these parameters."
            )
            submission.say(role, UNDECIDED, sentence)
        else:
            submission.say(role, AGREE, once(within) if within else "")
    if not wrong:
        _remark_on_saturation(submission, attempt.identified)


def _conclude_wrong(submission: Submission, attempt: Attempt) -> None:
    """Set the verdicts of a network's functions where mistakes were found."""
    findings, faithful, identified = attempt
    network = identified.network
    if network.is_propagate:
        findings = [_of_propagate(finding) for finding in findings]
    of_forward = [f for f in findings if f.kind in ("cost", "forward", "loss")]
    of_backward = [f for f in findings if f not in of_forward]
    misshapen = [f for f in of_backward if f.kind == "shape"]
    if network.is_propagate:
        faithful = bool(faithful and of_forward)
    else:
        faithful = bool(faithful and not identified.forward_is_right)
    if not identified.forward_is_right:
        right = not of_backward and network.backward is not None
        of_forward = forward_findings(network, identified, of_forward, faithful, right)
    if faithful:
        of_backward = misshapen
    elif of_forward and of_forward[0].bug == _MIXED:
        of_backward = []
    elif of_forward and network.backward is not None and not network.is_propagate:
        by_itself = _by_itself(submission, identified)
        of_backward = of_backward if by_itself is None else by_itself
    if not faithful:
        of_forward = [_without_consequence(finding) for finding in of_forward]
    submission.findings.extend([*of_forward, *of_backward])
    if of_backward and network.backward is not None:
        submission.gradients.extend(
            wrong_gradients(network.backward.shown, identified.problem, _given(identified)[0])
        )
    wrong = {finding.function for finding in (*of_forward, *of_backward)}
    for role in network.roles:
        if role.shown in wrong:
            submission.say(role, DISAGREE)
        elif role is network.backward and faithful:
            submission.say(role, AGREE, "It is the exact gradient of the file's own cost.")
        elif role in _own_roles(submission, network):
            submission.say(role, AGREE)


def _without_consequence(finding: Finding) -> Finding:
    """Return the finding of a forward pass without what it says of the gradients."""
    said = ("gradients-right", "gradients-faithful")
    return replace(finding, follows=tuple(key for key in finding.follows if key not in said))


def _of_propagate(finding: Finding) -> Finding:
    """Return a finding of a one-layer network in the names of logistic regression."""
    values = {
        name: _LOGISTIC.get(value, value) if isinstance(value, str) else value
        for name, value in finding.values.items()
    }
    evidence = finding.evidence
    return replace(
        finding,
        tensor=_LOGISTIC.get(finding.tensor, finding.tensor),
        values=values,
        extents=tuple(replace(e, tensor=_LOGISTIC[e.tensor]) for e in finding.extents),
        evidence=evidence
        and replace(evidence, tensors=tuple(_LOGISTIC[t] for t in evidence.tensors)),
    )


_LOGISTIC = {
    "W1": "w",
    "b1": "b",
    "Z1": "Z",
    "A1": "A",
    "dW1": "dw",
    "db1": "db",
    "dZ1": "dZ",
    "dZ1 @ X.T": "X @ dZ.T",
    " + l2 / m * W1": " + l2 / m * w",
}
"""What `propagate` calls the arrays of a network's first layer."""


def _by_itself(submission: Submission, identified: Identified) -> list[Finding] | None:
    """Return the findings that a backward pass has on the textbook's values.

    None if it does not take them.
    """
    values = textbook_values(identified)
    if values is None:
        return None
    try:
        grads, intermediates = identified.runner.backward(values, identified.problem.params)
    except CallError:
        return None
    network = identified.network
    blame = Blame(network.forward, network.cost, network.backward, True)
    single = is_single(*grads.values())
    numbers = Numbers(None, plain(grads), plain(intermediates), single)
    found, _ = findings_in(submission.extract, blame, identified.problem, numbers)
    return found


def _remark_on_saturation(submission: Submission, identified: Identified) -> None:
    """Try outputs of exactly 0 and 1, where a composed gradient or a bare log breaks down."""
    problem = saturated(identified.problem)
    runner = replace(identified.runner, problem=problem)
    try:
        evaluated = runner.evaluate()
        cost = number_of(evaluated.cost)
        grads: dict[str, Any] = {}
        if runner.network.backward is not None:
            grads, _ = runner.backward(evaluated.values, problem.params)
    except CallError:
        submission.remark("Where its outputs are exactly 0 or 1 it raises.")
        return
    arrays = [array for value in grads.values() if (array := array_of(value)) is not None]
    if any(not np.isfinite(array).all() for array in arrays):
        submission.remark("Where its outputs are exactly 0 or 1 its gradient is not a number.")
    expected = float(manual.loss(*problem.arguments, **problem.options))
    if cost is not None and not np.isfinite(cost):
        submission.remark("Where its outputs are exactly 0 or 1 its cost is not a number.")
    elif cost is not None and abs(float(cost) - expected) > CLOSE * expected:
        submission.remark(
            f"Where its outputs are exactly 0 or 1 its cost is {float(cost):.3g}, and flat; from "
            f"the logits it would be {expected:.3g}."
        )
