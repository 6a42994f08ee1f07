"""A forward pass, a cost and a backward pass of a file, judged together.

The cost and the gradients are held against the textbook's, which is `manual` and through
`verify.diagnose` the chain rule; against JAX's derivative of the file's own forward pass; and
against differences of the file's own cost. From who agrees with whom:

- the textbook agrees with the gradient: it is right;
- the file's own forward pass agrees, the textbook does not: the forward pass or the cost is
  another function, and the backward pass is faithful to it;
- neither agrees: the backward pass is wrong. If the forward pass is wrong as well, the backward
  pass is tried again on the textbook's values (`caches`), to see whether it is right by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import manual
from verify.findings import Finding
from verify.homework.passes.derivative import Own, own_gradient
from verify.homework.report import AGREE, DISAGREE, UNDECIDED
from verify.homework.run.calls import CallError, array_of, number_of
from verify.homework.textbook.caches import textbook_values
from verify.homework.textbook.draws import M, draw, saturated
from verify.homework.textbook.findings import (
    Blame,
    Numbers,
    findings_in,
    guard_of,
    is_single,
    plain,
    says_single,
)
from verify.homework.textbook.forwards import forward_findings
from verify.homework.textbook.gradients import wrong_gradients
from verify.homework.textbook.network import (
    Network,
    Runner,
)
from verify.homework.textbook.recognise import Role, blamed
from verify.homework.textbook.recognised_network import CLOSE, Trial, find_trial
from verify.homework.textbook.replaced import names_of, once, replaced, wrong_within
from verify.homework.textbook.workbench import Bench


def judge_network(bench: Bench, network: Network) -> None:
    """Judge a forward pass, its cost and its backward pass together.

    If one of them raises, what is left is judged with the course's in its place.
    """
    try:
        _judge(bench, network)
    except CallError as fault:
        _give_up(bench, network, fault)
        rest = _without(network, fault)
        if rest is not None and rest.forward is network.forward:
            judge_network(bench, rest)
        elif rest is not None:
            # What the backward pass raises on another's cache is no fault of its own.
            with contextlib.suppress(CallError):
                _judge(bench, rest)
        for role in _own_roles(bench, network):
            if bench.outcome.verdict_of(role.shown) is None:
                says = f"It was not judged: {fault.function or 'the network'} cannot be run."
                bench.outcome.say(role, UNDECIDED, says)


def _without(network: Network, fault: CallError) -> Network | None:
    """Return a network with the course's in the place of the function that raised."""
    if network.is_propagate:
        return None
    if network.forward is not None and _is_of(fault, network.forward):
        # What a method finds in its object, only its own forward pass can have put there.
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


def _judge(bench: Bench, network: Network) -> None:
    """Judge a network. Raises CallError if one of its functions cannot be run."""
    outcome = bench.outcome
    wrong = wrong_within(bench, network.roles)
    try:
        findings, own, trial = _attempt(bench, network)
    except CallError:
        if not wrong:
            raise
        with replaced(bench, wrong):
            findings, own, trial = _attempt(bench, network)
            _conclude(bench, network, trial, findings, own, wrong)
        return
    if findings and wrong and not (own is not None and own.faithful):
        with replaced(bench, wrong):
            try:
                again, its_own, its_trial = _attempt(bench, network)
            except CallError:
                again = None
        if again is None:
            # The course's functions do not fit into the file's: its mistakes are not told apart.
            for role in _own_roles(bench, network):
                says = f"{role.shown} is wrong as long as {names_of(wrong)} is."
                outcome.say(role, DISAGREE, says)
            return
        _conclude(bench, network, its_trial, again, its_own, wrong)
        return
    _conclude(bench, network, trial, findings, own, wrong if findings else [])


def _own_roles(bench: Bench, network: Network) -> list[Role]:
    """Return the roles whose verdict is found here: most costs have theirs already."""
    return [
        role
        for role in network.roles
        if role.role != "cost" or bench.outcome.verdict_of(role.shown) is None
    ]


def _give_up(bench: Bench, network: Network, fault: CallError) -> None:
    """Say which function could not be run, and why."""
    own = _own_roles(bench, network)
    for role in [role for role in network.roles if _is_of(fault, role)] or own[-1:]:
        if role in own:
            bench.outcome.say(role, fault.verdict, str(fault))


def _attempt(bench: Bench, network: Network) -> tuple[list[Finding], Own | None, Trial]:
    """Return what is wrong with a network, on the first problem on which anything is."""
    findings: list[Finding] = []
    for number, sizes in enumerate(network.sizes):
        trial = find_trial(bench, network, sizes, number)
        findings, remarks = _findings(bench, trial)
        own = None
        if network.backward is not None and (number == 0 or findings):
            own = _own(bench, trial)
            if own is not None and own.remark:
                remarks = [
                    *remarks,
                    f"{network.backward.shown}: {own.remark}; finite differences stood in.",
                ]
        if trial.course is not None and not findings:
            remarks = [_other_activations(trial), *remarks]
        elif trial.course is not None:
            findings = _by_the_course(bench, trial, seed=number) or findings
        for remark in remarks:
            bench.outcome.remark(remark)
        if number == 0:
            first = (findings, own, trial)
        if findings:
            return findings, own, trial
    return first


def _other_activations(trial: Trial) -> str:
    assert trial.course is not None
    has = " and ".join(dict.fromkeys(trial.problem.hidden))
    return f"The hidden layers are {has}, where the course has {trial.course[0]}."


_MIXED = "forward-activation-mixed"
"""The mistake of one activation in the forward pass and the course's in the backward pass."""


def _by_the_course(bench: Bench, trial: Trial, seed: int) -> list[Finding] | None:
    """Return the mistake of a forward pass whose backward pass is right for the course's network.

    None if the backward pass is wrong for that too.
    """
    network, problem = trial.runner.network, trial.problem
    forward = network.forward
    if forward is None or network.backward is None or problem.masks is not None:
        return None
    assert trial.course is not None
    other = draw(
        problem.layers, M, hidden=trial.course, output=problem.output, l2=problem.l2, seed=seed
    )
    runner = Runner(network, bench.plain, other)
    again = Trial(other, runner, runner.evaluate(other.params), False)
    findings = _by_itself(bench, network, again)
    if findings is None or findings:
        return None
    finding = Finding(
        _MIXED,
        "A1",
        1,
        says="The hidden layers are {has} in the forward pass; they should be {due}, whose "
        "derivative the backward pass rightly has.",
        wrong="A1 = {has}(Z1)",
        right="A1 = {due}(Z1)",
        values={"has": problem.hidden[0], "due": trial.course[0]},
    )
    return [blamed(finding, forward)]


def _findings(bench: Bench, trial: Trial) -> tuple[list[Finding], list[str]]:
    """Return what the textbook says is wrong, and what is to be remarked."""
    network, problem = trial.runner.network, trial.problem
    cost = number_of(trial.evaluated.cost)
    if cost is None:
        raise CallError(trial.runner.cost_name, "does not return one number")
    grads, intermediates = _given(trial)
    blame = Blame(
        network.forward,
        network.cost,
        network.backward,
        trial.forward_is_right and not network.makes_cost,
    )
    numbers = Numbers(
        float(cost),
        grads,
        intermediates,
        is_single(trial.evaluated.forward.AL, trial.evaluated.cost, *grads.values()),
    )
    findings, remarks = findings_in(bench.plain.extract, blame, problem, numbers)
    findings += _mask_findings(trial)
    remarks += _shape_remarks(trial, grads)
    if network.cost is not None and bench.outcome.verdict_of(network.cost.shown) == AGREE:
        # The cost was judged by itself, and is right.
        findings = [_not_the_cost(finding, network) for finding in findings]
    return findings, remarks


def _shape_remarks(trial: Trial, grads: Mapping[str, Any]) -> list[str]:
    """Remark on a gradient of one number in other brackets than its parameter's."""
    if trial.runner.network.is_propagate:
        return []
    return [
        f"d{name} has the shape {value.shape} and {name} has {right.shape}, which broadcasts."
        for name, right in trial.problem.params.items()
        if isinstance(value := grads.get(name), np.ndarray)
        and value.shape != right.shape
        and value.size == right.size == 1
    ]


def _mask_findings(trial: Trial) -> list[Finding]:
    """Return the mistake where the masks keep what should be dropped, by the draws behind them."""
    forward, problem = trial.runner.network.forward, trial.problem
    if forward is None or problem.masks is None:
        return []
    keep_prob = trial.runner.network.keep_prob
    for layer, mask in enumerate(problem.masks, start=1):
        for values in trial.evaluated.draws:
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


def _given(trial: Trial) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the file's gradients, or the textbook's where it has no backward pass."""
    problem = trial.problem
    if trial.runner.network.backward is None:
        _, grads = manual.loss_and_grads(*problem.arguments, **problem.options)
        return grads, {}
    grads, intermediates = trial.runner.backward(trial.evaluated.values, problem.params)
    if trial.runner.network.is_propagate:
        intermediates = {}
    return plain(grads), plain(intermediates)


def _own(bench: Bench, trial: Trial) -> Own | None:
    """Check the gradient as that of the file's own cost."""
    problem, runner = trial.problem, trial.runner
    mirrored = Runner(runner.network, bench.mirrored, problem)

    def loss(params: Mapping[str, np.ndarray]) -> Any:
        return np.asarray(runner.loss(params))

    def grads(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found, _ = runner.grads(params)
        arrays = {name: array_of(found.get(name)) for name in params}
        if any(array is None or array.size != params[n].size for n, array in arrays.items()):
            raise CallError(runner.network.roles[-1].shown, "returns no gradient of some parameter")
        return {n: np.asarray(array).reshape(params[n].shape) for n, array in arrays.items()}

    cost = number_of(trial.evaluated.cost)
    return own_gradient(
        loss,
        grads,
        lambda tracers: mirrored.traced_loss(tracers, problem.params),
        problem.params,
        float(cost),
    )


def _conclude(
    bench: Bench,
    network: Network,
    trial: Trial,
    findings: Sequence[Finding],
    own: Own | None,
    wrong: Sequence[Role],
) -> None:
    """Set the verdicts of a network's functions from its findings and from its own forward pass."""
    if findings:
        _conclude_wrong(bench, network, trial, findings, own)
        return
    found = bench.plain.extract
    doubt = own is not None and own.faithful is False and not wrong
    doubt = doubt and not guard_of(found) and not says_single(found)
    for role in _own_roles(bench, network):
        within = [w for w in wrong if w in wrong_within(bench, [role])]
        if doubt and role is network.backward:
            sentence = (
                f"{role.shown} is the textbook's gradient, but not that of the file's own cost "
                "near these parameters."
            )
            bench.outcome.say(role, UNDECIDED, sentence)
        else:
            bench.outcome.say(role, AGREE, once(within) if within else "")
    if not wrong:
        remark_on_saturation(bench, network, trial)


def _conclude_wrong(
    bench: Bench, network: Network, trial: Trial, findings: Sequence[Finding], own: Own | None
) -> None:
    """Set the verdicts of functions in which, or in whose company, mistakes were found."""
    outcome = bench.outcome
    if network.is_propagate:
        findings = [_of_propagate(finding) for finding in findings]
    of_forward = [f for f in findings if f.kind in ("cost", "forward", "loss")]
    of_backward = [f for f in findings if f not in of_forward]
    misshapen = [f for f in of_backward if f.kind == "shape"]
    faithful = own is not None and own.faithful is True and not trial.forward_is_right
    if own is not None and own.faithful and network.is_propagate:
        faithful = bool(of_forward)
    if not trial.forward_is_right:
        right = not of_backward and network.backward is not None
        of_forward = forward_findings(network, trial, of_forward, faithful, right)
    if faithful:
        of_backward = misshapen
    elif of_forward and of_forward[0].bug == _MIXED:
        of_backward = []
    elif of_forward and network.backward is not None and not network.is_propagate:
        by_itself = _by_itself(bench, network, trial)
        of_backward = of_backward if by_itself is None else by_itself
    if not faithful:
        of_forward = [_without_consequence(finding) for finding in of_forward]
    outcome.findings.extend([*of_forward, *of_backward])
    if of_backward and network.backward is not None:
        outcome.gradients.extend(
            wrong_gradients(network.backward.shown, trial.problem, _given(trial)[0])
        )
    wrong = {finding.function for finding in (*of_forward, *of_backward)}
    for role in network.roles:
        if role.shown in wrong:
            outcome.say(role, DISAGREE)
        elif role is network.backward and faithful:
            outcome.say(role, AGREE, "It is the exact gradient of the file's own cost.")
        elif role in _own_roles(bench, network):
            outcome.say(role, AGREE)


def _without_consequence(finding: Finding) -> Finding:
    """Return a forward pass's finding without what it says of gradients that are not its own."""
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
"""What the names of a network's first layer, and what is made of them, are in `propagate`."""


def _by_itself(bench: Bench, network: Network, trial: Trial) -> list[Finding] | None:
    """Return the findings that a backward pass has on the textbook's values.

    None if it does not take them.
    """
    values = textbook_values(trial)
    if values is None:
        return None
    try:
        grads, intermediates = trial.runner.backward(values, trial.problem.params)
    except CallError:
        return None
    blame = Blame(network.forward, network.cost, network.backward, True)
    single = is_single(*grads.values())
    numbers = Numbers(None, plain(grads), plain(intermediates), single)
    found, _ = findings_in(bench.plain.extract, blame, trial.problem, numbers)
    return found


def remark_on_saturation(bench: Bench, network: Network, trial: Trial) -> None:
    """Try outputs of exactly 0 and 1, where a composed gradient or a bare log breaks down."""
    problem = saturated(trial.problem)
    runner = Runner(network, bench.plain, problem)
    try:
        evaluated = runner.evaluate(problem.params)
        cost = number_of(evaluated.cost)
        grads, _ = (
            runner.backward(evaluated.values, problem.params) if network.backward else ({}, 0)
        )
    except CallError:
        bench.outcome.remark("Where its outputs are exactly 0 or 1 it raises.")
        return
    arrays = [array for value in grads.values() if (array := array_of(value)) is not None]
    if any(not np.isfinite(array).all() for array in arrays):
        bench.outcome.remark("Where its outputs are exactly 0 or 1 its gradient is not a number.")
    expected = float(manual.loss(*problem.arguments, **problem.options))
    if cost is not None and not np.isfinite(cost):
        bench.outcome.remark("Where its outputs are exactly 0 or 1 its cost is not a number.")
    elif cost is not None and abs(float(cost) - expected) > CLOSE * expected:
        bench.outcome.remark(
            f"Where its outputs are exactly 0 or 1 its cost is {float(cost):.3g}, and flat; from "
            f"the logits it would be {expected:.3g}."
        )
