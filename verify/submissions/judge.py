"""One file, from its text to its verdict.

First every block by itself (`blocks`), then the networks that they make up, then the file's own
gradient checking. A network's cost and gradients are held against the textbook's, which is
`manual` and through `verify.diagnosis` the chain rule; against JAX's derivative of the file's
own forward pass; and against differences of the file's own cost. From who agrees with whom:

- the textbook agrees with the gradient: it is right;
- the file's own forward pass agrees, the textbook does not: the forward pass or the cost is
  another function, and the backward pass is faithful to it;
- neither agrees: the backward pass is wrong. If the forward pass is wrong as well, the backward
  pass is tried again on the textbook's values, to see whether it is right by itself.

A network whose blocks are wrong is tried again with the course's in their place, so that a
mistake is laid at the door of the function that holds it and of no other.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import manual
from verify.problem import Problem
from verify.submissions import gradient_checks, stand_ins
from verify.submissions.blocks import BLOCKS, Bench, judge_block
from verify.submissions.calls import BindError, CallError, array_of, number_of
from verify.submissions.draws import draw, saturated, with_masks
from verify.submissions.extract import Broken, Extract, UnreadableError, extract
from verify.submissions.findings import (
    Blame,
    Numbers,
    faults_in,
    guard_of,
    is_single,
    plain,
    says_single,
)
from verify.submissions.gradients import wrong_gradients
from verify.submissions.network import (
    Evaluated,
    Network,
    Runner,
    alternatives,
    find_masks,
    networks,
    output_of,
    textbook,
)
from verify.submissions.recognise import SOUGHT, Role, calls, reach, recognise, role_by_name
from verify.submissions.verdicts import (
    AGREE,
    CRASHED,
    DISAGREE,
    NOTHING,
    UNDECIDED,
    UNREADABLE,
    Fault,
    FileReport,
    FunctionVerdict,
    Outcome,
    worst,
)
from verify.submissions.ways import Own, own_gradient
from verify.submissions.words import names
from verify.submissions.workspace import (
    Workspace,
    is_unpacked,
    mirror_workspace,
    numpy_workspace,
)

M = 7
"""Examples a problem has: no power of two, and no size of a layer."""

CLOSE = 1e-4
"""How near a forward pass must come to be taken for one of the textbook's, to be judged as it."""

Progress = Callable[[str, Sequence[FunctionVerdict]], None]


def judge_file(
    path: Path,
    progress: Progress = lambda name, functions: None,
    shown: str | None = None,
) -> FileReport:
    """Judge a file. Whatever it calls, it calls here: run it where that does no harm.

    `progress` is told the name of each function before it is judged, and the verdicts so far.
    `shown` is the path that the report is to carry, by default the path itself.
    """
    shown = str(path) if shown is None else shown
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = _judged(shown, extract(path), progress)
    except UnreadableError as fault:
        report = FileReport(shown, UNREADABLE, _sentence(str(fault)))
    return replace(report, seconds=time.perf_counter() - start)


def _judged(path: str, found: Extract, progress: Progress) -> FileReport:
    roles = recognise(found)
    needed = _needed(found, roles)
    if not roles:
        return _nothing(path, found, needed)
    plain_workspace, mirrored = numpy_workspace(found), mirror_workspace(found)
    outcome = Outcome(remarks=[*found.remarks, *_skipped(found, needed), *plain_workspace.remarks])
    bench = Bench(plain_workspace, mirrored, roles, outcome)
    for kind in BLOCKS:
        for role in (role for role in roles if role.role == kind):
            progress(role.shown, outcome.functions)
            _judge_block(bench, role)
    for network in networks(roles, plain_workspace):
        progress((network.backward or network.forward or roles[0]).shown, outcome.functions)
        judge_network(bench, network)
    for role in roles:
        if role.role == "gradient_check" or "1d" in role.qualifiers:
            progress(role.shown, outcome.functions)
            gradient_checks.judge(bench, role)
    for name in dict.fromkeys(role.name for role in roles if role.owner is None):
        if (times := found.count(name)) > 1:
            outcome.remark(f"{name} is defined {times} times; the last was judged.")
    if plain_workspace.numpy.legacy:
        gone = ", ".join(sorted(plain_workspace.numpy.legacy))
        outcome.remark(f"NumPy has dropped {gone}; it was stood in for.")
    return _summary(path, found, outcome, needed)


def _judge_block(bench: Bench, role: Role) -> None:
    """Judge a block, with the course's in the place of what it calls and what is wrong."""
    # A backward is tried on the cache of the forward that belongs to it.
    kind = role.role.removesuffix("_backward")
    partners = [bench.role(name, role) for name in (kind, f"{kind}_forward") if kind != role.role]
    wrong = _wrong_within(bench, [role, *(p for p in partners if p is not None)])
    wrong = [block for block in wrong if block is not role]
    if wrong:
        alone = Bench(bench.plain, bench.mirrored, bench.roles, Outcome())
        with _replaced(bench, wrong):
            judge_block(alone, role)
        if alone.outcome.verdict_of(role.shown) == AGREE:
            bench.outcome.say(role, AGREE, _once(wrong))
            return
    judge_block(bench, role)


def _once(wrong: Sequence[Role]) -> str:
    return f"It is right once {_names(wrong)} {'are' if len(wrong) > 1 else 'is'}."


def _names(roles: Sequence[Role]) -> str:
    return " and ".join(role.shown for role in roles)


def _summary(path: str, found: Extract, outcome: Outcome, needed: Sequence[Broken]) -> FileReport:
    functions = _in_order(outcome.functions)
    functions += [
        FunctionVerdict(name, UNREADABLE, f"{broken.where}: {broken.why}")
        for broken in needed
        for name in sorted(broken.defines)
    ]
    if not functions:
        return _nothing(path, found, ())
    faults = _by_line(dict.fromkeys(outcome.faults))
    verdict = worst(function.verdict for function in functions)
    if verdict == AGREE:
        count = len(functions)
        message = f"{count} function{'s' * (count != 1)} agree{'s' * (count == 1)}."
    elif verdict == DISAGREE and faults:
        message = faults[0].detail
        if len(faults) > 1:
            message += f" And {len(faults) - 1} more."
    else:
        message = next((f.message for f in functions if f.verdict == verdict and f.message), "")
        if verdict == UNREADABLE:
            broken = next(iter(needed), None)
            if broken is not None:
                lost = " and ".join(sorted(broken.defines))
                message = f"{lost} cannot be read ({broken.where}: {broken.why})."
    return FileReport(
        path,
        verdict,
        message,
        tuple(functions),
        tuple(faults),
        tuple(outcome.remarks),
        tuple(outcome.gradients),
    )


def _by_line(faults: Iterable[Fault]) -> list[Fault]:
    """Return the faults, those of one line of a loop told once."""
    first: dict[Any, list[Fault]] = {}
    for fault in faults:
        key = (fault.function, fault.bug, fault.line) if fault.line else fault
        first.setdefault(key, []).append(fault)
    told = []
    for fault, *others in first.values():
        also = " and ".join(dict.fromkeys(other.tensor for other in others))
        detail = f"{fault.detail} So it is for {also}." if also else fault.detail
        told.append(replace(fault, detail=detail))
    return told


def _in_order(functions: Sequence[FunctionVerdict]) -> list[FunctionVerdict]:
    """Return one verdict a function, the worst that was found."""
    by_name: dict[str, FunctionVerdict] = {}
    for function in functions:
        previous = by_name.get(function.name)
        if previous is None or worst((previous.verdict, function.verdict)) != previous.verdict:
            by_name[function.name] = function
    return list(by_name.values())


def _needed(found: Extract, roles: Sequence[Role]) -> list[Broken]:
    """Return the pieces that do not parse and that a judgement would have needed."""
    wanted = {name for role in roles for name in calls(role.node)} - set(found.functions)
    return [
        broken
        for broken in found.broken
        if any(
            (role_by_name(name) is not None or name in wanted) and name not in found.functions
            for name in broken.defines
        )
    ]


def _skipped(found: Extract, needed: Sequence[Broken]) -> Iterator[str]:
    for broken in found.broken:
        if broken not in needed:
            yield f"What does not parse was skipped ({broken.where}: {broken.why})."


def _nothing(path: str, found: Extract, needed: Sequence[Broken]) -> FileReport:
    if needed:
        return _summary(path, found, Outcome(remarks=list(found.remarks)), needed)
    defined = [*found.functions, *found.classes]
    has = f"its functions are {', '.join(defined[:12])}" if defined else "it defines no functions"
    broken = next(iter(found.broken), None)
    if broken is not None and not defined:
        return FileReport(
            path, UNREADABLE, _sentence(f"it does not parse ({broken.where}: {broken.why})")
        )
    return FileReport(
        path,
        NOTHING,
        f"Nothing to check: {has}. What is looked for: {SOUGHT}.",
        remarks=(*found.remarks, *_skipped(found, ())),
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


# A network.


@dataclass(frozen=True, eq=False)
class Trial:
    """One evaluation of a network beside the problem that it is judged by.

    `course` are the hidden layers that the course has, where the file has others.
    """

    problem: Problem
    runner: Runner
    evaluated: Evaluated
    forward_is_right: bool
    course: tuple[str, ...] | None = None


def judge_network(bench: Bench, network: Network) -> None:
    """Judge a forward pass, its cost and its backward pass together."""
    outcome = bench.outcome
    wrong = _wrong_within(bench, network.roles)
    try:
        faults, own, trial = _attempt(bench, network)
    except CallError as fault:
        if wrong:
            with _replaced(bench, wrong):
                try:
                    faults, own, trial = _attempt(bench, network)
                except CallError:
                    _give_up(bench, network, fault)
                    return
                _conclude(bench, network, trial, faults, own, wrong)
                return
        _give_up(bench, network, fault)
        return
    if faults and wrong and not (own is not None and own.faithful):
        with _replaced(bench, wrong):
            try:
                again, its_own, its_trial = _attempt(bench, network)
            except CallError:
                again = None
        if again is None:
            # The course's functions do not fit into the file's: its faults are not told apart.
            for role in _own_roles(bench, network):
                outcome.say(role, DISAGREE, f"{role.shown} is wrong as long as {_names(wrong)} is.")
            return
        _conclude(bench, network, its_trial, again, its_own, wrong)
        return
    _conclude(bench, network, trial, faults, own, wrong if faults else [])


def _own_roles(bench: Bench, network: Network) -> list[Role]:
    """Return the roles whose verdict is found here: most costs have theirs already."""
    return [
        role
        for role in network.roles
        if role.role != "cost" or bench.outcome.verdict_of(role.shown) is None
    ]


def _give_up(bench: Bench, network: Network, fault: CallError) -> None:
    """Say which function could not be run, and why."""
    sentence = str(fault)
    named = [
        r for r in _own_roles(bench, network) if sentence.startswith((r.shown + " ", r.name + " "))
    ]
    for role in named or _own_roles(bench, network)[-1:]:
        bench.outcome.say(role, fault.verdict, sentence)


def _attempt(bench: Bench, network: Network) -> tuple[list[Fault], Own | None, Trial]:
    """Return what is wrong with a network, on the first problem on which anything is."""
    faults: list[Fault] = []
    for number, sizes in enumerate(network.sizes):
        trial = _trial(bench, network, sizes, number)
        faults, remarks = _faults(bench, trial)
        own = None
        if network.backward is not None and (number == 0 or faults):
            own = _own(bench, trial)
            if own is not None and own.remark:
                remarks = [
                    *remarks,
                    f"{network.backward.shown}: {own.remark}; finite differences stood in.",
                ]
        if trial.course is not None and not faults:
            remarks = [_other_activations(trial), *remarks]
        elif trial.course is not None:
            faults = _by_the_course(bench, trial, seed=number) or faults
        for remark in remarks:
            bench.outcome.remark(remark)
        if number == 0:
            first = (faults, own, trial)
        if faults:
            return faults, own, trial
    return first


def _other_activations(trial: Trial) -> str:
    assert trial.course is not None
    has = " and ".join(dict.fromkeys(trial.problem.hidden))
    return f"The hidden layers are {has}, where the course has {trial.course[0]}."


_MIXED = "forward-activation-mixed"
"""The mistake of one activation in the forward pass and the course's in the backward pass."""


def _by_the_course(bench: Bench, trial: Trial, seed: int) -> list[Fault] | None:
    """Return the fault of a forward pass whose backward pass is right for the course's network.

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
    faults = _by_itself(bench, network, again)
    if faults is None or faults:
        return None
    has, due = problem.hidden[0], trial.course[0]
    sentence = (
        f"The hidden layers are {has} in the forward pass; they should be {due}, whose derivative "
        "the backward pass rightly has."
    )
    return [
        Fault(forward.shown, "A1", 1, _MIXED, sentence, f"A1 = {has}(Z1)",
              f"A1 = {due}(Z1)")
    ]  # fmt: skip


def _trial(bench: Bench, network: Network, sizes: tuple[int, ...], seed: int) -> Trial:
    """Evaluate a network, and find out which of the textbook's it is."""
    hidden, output = textbook(network)
    hidden = hidden[:1] * (len(sizes) - 2)
    if network.labels_as_numbers:
        sizes, output = _several_classes(sizes), "softmax"
    trial = _evaluated(bench, network, sizes, hidden, output, seed)
    AL = array_of(trial.evaluated.forward.AL)
    if AL is not None and output == "sigmoid" and np.allclose(AL, 1, atol=1e-9):
        # The softmax of one class is 1: it is made for several.
        trial = _evaluated(bench, network, _several_classes(sizes), hidden, "softmax", seed)
    return trial


def _several_classes(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return (*sizes[:-2], 5 if sizes[-2] == 3 else sizes[-2], 3) if len(sizes) > 2 else (4, 3)


def _evaluated(
    bench: Bench,
    network: Network,
    sizes: tuple[int, ...],
    hidden: tuple[str, ...],
    output: str,
    seed: int,
) -> Trial:
    problem = draw(sizes, M, hidden=hidden, output=output, l2=network.l2, seed=seed)
    runner = Runner(network, bench.plain, problem)
    evaluated = runner.evaluate(problem.params)
    if _matches(evaluated, problem) and network.keep_prob == 1:
        return Trial(problem, runner, evaluated, True)
    keep = (network.keep_prob,) * len(hidden)
    masks = find_masks(evaluated, problem, network.keep_prob) if network.keep_prob < 1 else [None]
    for activations in (hidden, *(a for a in alternatives(len(hidden), output) if a != hidden)):
        other = draw(sizes, M, hidden=activations, output=output, l2=network.l2, seed=seed)
        again = evaluated if activations == hidden else runner_of(runner, other)
        for chosen in masks:
            masked = other if chosen is None else with_masks(other, chosen, keep)
            if not _matches(again, masked):
                continue
            course = None if activations == hidden else hidden
            return Trial(masked, Runner(network, bench.plain, masked), again, True, course)
    if network.keep_prob < 1:
        if not masks:
            raise BindError(
                f"{runner.cost_name}: the masks of its dropout are neither in its cache nor among "
                "its draws"
            )
        problem = with_masks(problem, masks[0], keep)  # type: ignore[arg-type]
        runner = Runner(network, bench.plain, problem)
    return Trial(problem, runner, evaluated, False)


def runner_of(runner: Runner, problem: Problem) -> Evaluated:
    """Return the evaluation of the same network on another problem."""
    return Runner(runner.network, runner.workspace, problem).evaluate(problem.params)


def _matches(evaluated: Evaluated, problem: Problem) -> bool:
    """Say whether a forward pass made the textbook's output, or its cost where it shows no more."""
    AL = array_of(evaluated.forward.AL)
    if AL is None:
        cost = number_of(evaluated.cost)
        right = manual.loss(*problem.arguments, **problem.options)
        return cost is not None and bool(abs(cost - right) <= CLOSE * abs(right))
    expected = output_of(problem)
    return AL.size == expected.size and np.allclose(
        AL.reshape(expected.shape), expected, rtol=CLOSE, atol=0
    )


def _faults(bench: Bench, trial: Trial) -> tuple[list[Fault], list[str]]:
    """Return what the textbook says is wrong, and what is to be remarked."""
    network, problem = trial.runner.network, trial.problem
    cost = number_of(trial.evaluated.cost)
    if cost is None:
        raise CallError(f"{trial.runner.cost_name} does not return one number.")
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
    faults, remarks = faults_in(bench.plain.extract, blame, problem, numbers)
    faults += _mask_faults(trial)
    remarks += _shape_remarks(trial, grads)
    if network.cost is not None and bench.outcome.verdict_of(network.cost.shown) == AGREE:
        # The cost was judged by itself, and is right.
        faults = [_not_the_cost(fault, network) for fault in faults]
    return faults, remarks


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


def _mask_faults(trial: Trial) -> list[Fault]:
    """Return a fault where the masks keep what should be dropped, as the draws behind them show."""
    forward, problem = trial.runner.network.forward, trial.problem
    if forward is None or problem.masks is None:
        return []
    keep_prob = trial.runner.network.keep_prob
    for layer, mask in enumerate(problem.masks, start=1):
        for values in trial.evaluated.draws:
            if values.shape == mask.shape and np.array_equal(mask, values >= keep_prob):
                sentence = (
                    f"D{layer} keeps a unit where rand > keep_prob: with the probability "
                    "1 - keep_prob, while A is divided by keep_prob."
                )
                return [
                    Fault(forward.shown, f"D{layer}", layer, "forward-mask-wrong-share", sentence,
                          f"D{layer} = rand > keep_prob", f"D{layer} = rand < keep_prob")
                ]  # fmt: skip
    return []


def _not_the_cost(fault: Fault, network: Network) -> Fault:
    if network.cost is None or fault.function != network.cost.shown or network.forward is None:
        return fault
    return replace(fault, function=network.forward.shown)


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
            raise CallError("a gradient is missing, or has another size.")
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
    faults: Sequence[Fault],
    own: Own | None,
    wrong: Sequence[Role],
) -> None:
    """Set the verdicts of a network's functions from its faults and from its own forward pass."""
    outcome = bench.outcome
    if not faults:
        found = bench.plain.extract
        doubt = own is not None and own.faithful is False and not wrong
        doubt = doubt and not guard_of(found) and not says_single(found)
        for role in _own_roles(bench, network):
            within = [w for w in wrong if w in _wrong_within(bench, [role])]
            if doubt and role is network.backward:
                outcome.say(
                    role,
                    UNDECIDED,
                    f"{role.shown} is the textbook's gradient, but not that of the file's own "
                    "cost near these parameters.",
                )
            else:
                outcome.say(role, AGREE, _once(within) if within else "")
        if not wrong:
            _remark_on_saturation(bench, network, trial)
        return
    if network.is_propagate:
        faults = [_of_propagate(fault) for fault in faults]
    forward_faults = [f for f in faults if f.tensor == "loss" or f.bug.startswith("forward")]
    backward_faults = [f for f in faults if f not in forward_faults]
    misshapen = [f for f in backward_faults if f.bug in MISSHAPEN]
    faithful = own is not None and own.faithful is True and not trial.forward_is_right
    if own is not None and own.faithful and network.is_propagate:
        faithful = bool(forward_faults)
    if not trial.forward_is_right:
        right = not backward_faults and network.backward is not None
        forward_faults = _forward_faults(network, trial, forward_faults, faithful, right)
    if faithful:
        backward_faults = misshapen
    elif forward_faults and forward_faults[0].bug == _MIXED:
        backward_faults = []
    elif forward_faults and network.backward is not None and not network.is_propagate:
        by_itself = _by_itself(bench, network, trial)
        backward_faults = backward_faults if by_itself is None else by_itself
    if not faithful:
        forward_faults = [_without_consequence(fault) for fault in forward_faults]
    outcome.faults.extend([*forward_faults, *backward_faults])
    if backward_faults and network.backward is not None:
        outcome.gradients.extend(
            wrong_gradients(network.backward.shown, trial.problem, _given(trial)[0])
        )
    blamed = {fault.function for fault in (*forward_faults, *backward_faults)}
    for role in network.roles:
        mine = [f for f in (*forward_faults, *backward_faults) if f.function == role.shown]
        if role.shown in blamed:
            outcome.say(role, DISAGREE, mine[0].detail)
        elif role is network.backward and faithful:
            outcome.say(role, AGREE, "It is the exact gradient of the file's own cost.")
        elif role in _own_roles(bench, network):
            outcome.say(role, AGREE)


MISSHAPEN = frozenset(
    names(
        "missing not-a-number bias-keepdims-missing bias-wrong-axis weights-transposed "
        "bias-transposed wrong-shape"
    )
)
"""What `verify.diagnosis` calls gradients that are wrong whatever their forward pass is."""


def _forward_faults(
    network: Network,
    trial: Trial,
    faults: Sequence[Fault],
    faithful: bool,
    gradients_are_right: bool,
) -> list[Fault]:
    """Return what is wrong with a forward pass, by the best name that there is for it."""
    named = [fault for fault in faults if fault.bug not in ("unknown", "not-finite")]
    role = network.forward or network.cost or network.backward
    if named or role is None:
        return named
    follows = " The backward pass is the exact gradient of it." if faithful else ""
    problem = trial.problem
    last = problem.output
    AL = array_of(trial.evaluated.forward.AL)
    if AL is not None and problem.masks is None and AL.shape == problem.Y.shape:
        Z = _last_Z(problem)
        for text, value in _OUTPUTS.items():
            if np.allclose(AL, value(Z), rtol=CLOSE):
                L = len(problem.layers) - 1
                sentence = f"The output is {text.format(f'Z{L}')}; it should be {last}(Z{L})."
                return [
                    Fault(role.shown, f"A{L}", L, "forward-output", sentence + follows,
                          f"A{L} = {text.format(f'Z{L}')}", f"A{L} = {last}(Z{L})")
                ]  # fmt: skip
    cost = float(number_of(trial.evaluated.cost))
    expected = float(manual.loss(*problem.arguments, **problem.options))
    sentence = f"its cost is {cost:.6g} where that is {expected:.6g}."
    if gradients_are_right and network.makes_cost:
        sentence = (
            f"The cost is {cost:.6g}; it should be {expected:.6g}. The gradients are right, so "
            "the mistake is in the cost alone."
        )
        return [Fault(role.shown, "loss", None, "cost-unknown", sentence)]
    sentence = f"The forward pass is another function than the textbook's: {sentence}{follows}"
    return [Fault(role.shown, "loss", None, "forward-unknown", sentence)]


_OUTPUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "{}": lambda Z: Z,
    "relu({})": lambda Z: np.maximum(Z, 0),
    "tanh({})": np.tanh,
    "sigmoid(-{})": lambda Z: manual.sigmoid(-Z),
    "sigmoid({})": manual.sigmoid,
    "sigmoid(relu({}))": lambda Z: manual.sigmoid(np.maximum(Z, 0)),
}
"""What people put at the output instead."""


def _last_Z(problem: Problem) -> np.ndarray:
    _, cache = manual.forward(
        problem.params, problem.X, hidden=problem.hidden, output=problem.output
    )
    return cache[-1].Z


def _without_consequence(fault: Fault) -> Fault:
    """Return a forward pass's fault without what it says of gradients that are not its own."""
    detail = re.sub(r" The gradients are (?:right|those of this \w+)\.", "", fault.detail)
    return replace(fault, detail=detail)


def _of_propagate(fault: Fault) -> Fault:
    """Return a fault of a one-layer network in the names of logistic regression."""

    def renamed(text: str) -> str:
        text = text.replace("dZ1 @ X.T", "X @ dZ1.T")
        for name, own in (("dW1", "dw"), ("db1", "db"), ("W1", "w"), ("b1", "b"), ("A1", "A")):
            text = re.sub(rf"\b{name}\b", own, text)
        return re.sub(r"\bdZ1\b", "dZ", text)

    return replace(
        fault,
        tensor=renamed(fault.tensor),
        detail=renamed(fault.detail),
        found=renamed(fault.found),
        expected=renamed(fault.expected),
    )


def _by_itself(bench: Bench, network: Network, trial: Trial) -> list[Fault] | None:
    """Return the faults that a backward pass has on the textbook's values.

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
    found, _ = faults_in(bench.plain.extract, blame, trial.problem, numbers)
    return found


def textbook_values(trial: Trial) -> dict[str, Any] | None:
    """Return the values for a backward pass with the textbook's in the cache, if it is known.

    The caches that are known are those that the course's forward passes make.
    """
    problem, evaluated = trial.problem, trial.evaluated
    AL, layers = manual.forward(
        problem.params,
        problem.X,
        problem.masks,
        hidden=problem.hidden,
        output=problem.output,
        keep_prob=problem.keep_prob,
    )
    named: dict[str, Any] = {"A0": problem.X, "X": problem.X, "Y": problem.Y}
    flat: list[np.ndarray] = []
    flat_with_masks: list[np.ndarray] = []
    nested = []
    for number, layer in enumerate(layers, start=1):
        A = layers[number].A_prev if number < len(layers) else AL
        W, b = problem.params[f"W{number}"], problem.params[f"b{number}"]
        named |= {f"Z{number}": layer.Z, f"A{number}": A, f"W{number}": W, f"b{number}": b}
        flat += [layer.Z, A, W, b]
        flat_with_masks += [layer.Z]
        if problem.masks is not None and number < len(layers):
            named[f"D{number}"] = problem.masks[number - 1]
            flat_with_masks.append(problem.masks[number - 1])
        flat_with_masks += [A, W, b]
        nested.append(((layer.A_prev, W, b), layer.Z))
    cache = _refilled(evaluated.forward.cache, named, (flat, flat_with_masks, nested))
    if cache is None:
        return None
    own = evaluated.forward.named or {}
    values = {name: value for name, value in evaluated.values.items() if name not in own}
    known = {name: named[name] for name in evaluated.values if name in named}
    return values | known | {"cache": cache, "AL": AL}


def _refilled(cache: Any, named: Mapping[str, Any], forms: Sequence[Any]) -> Any:
    """Return the cache with the textbook's values in the same places, or None."""
    if isinstance(cache, dict):
        return {key: named[key] for key in cache} if all(key in named for key in cache) else None
    for form in forms:
        if _same_form(cache, form):
            return type(cache)(form)
    return None


def _same_form(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same_form, one, other))
    return np.shape(one) == np.shape(other) and isinstance(one, np.ndarray)


def _remark_on_saturation(bench: Bench, network: Network, trial: Trial) -> None:
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


# Blocks that are wrong, and the course's in their place.


def _wrong_within(bench: Bench, users: Sequence[Role]) -> list[Role]:
    """Return the blocks that were found wrong and that these functions use or are."""
    functions = bench.plain.extract.functions
    used = {name for role in users for name in reach(role, functions)}
    used |= {role.name for role in users if role.role in BLOCKS and len(users) > 1}
    return [
        role
        for role in bench.roles
        if role.role in BLOCKS
        and role.owner is None
        and role.name in used
        and bench.outcome.verdict_of(role.shown) in (DISAGREE, CRASHED)
    ]


@contextmanager
def _replaced(bench: Bench, wrong: Sequence[Role]) -> Iterator[None]:
    """Put the course's functions in the place of the file's that are wrong."""
    spaces: Sequence[Workspace] = (bench.plain, bench.mirrored)
    saved = [{role.name: space.names.get(role.name) for role in wrong} for space in spaces]
    for space in spaces:
        for role in wrong:
            ours = _course_function(space, role)
            if ours is not None:
                space.names[role.name] = ours
    try:
        yield
    finally:
        for space, own in zip(spaces, saved, strict=True):
            space.names.update(own)


def _course_function(space: Workspace, role: Role) -> Any:
    if role.role in ("sigmoid", "relu"):
        return stand_ins.lookup(role.role, is_unpacked(space.extract, role.name))
    if role.role in ("tanh", "softmax"):
        pair = stand_ins.MODULES["dnn"][role.role]
        return pair if is_unpacked(space.extract, role.name) else lambda Z: pair(Z)[0]
    if role.role == "cost":
        return _course_cost(role)
    return stand_ins.MODULES["dnn_app"].get(role.role) or stand_ins.MODULES["dnn"].get(role.role)


def _course_cost(role: Role) -> Callable:
    """Return the course's cost under the file's arguments."""
    from verify.submissions.recognise import meaning

    arguments = role.arguments

    def cost(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(arguments, args, strict=False)) | kwargs
        by_meaning = {
            wanted: given[name]
            for name in given
            if (wanted := meaning(name, {"AL", "Y", "parameters", "lambd"})) is not None
        }
        lambd = by_meaning.get("lambd", 0)
        AL, Y = by_meaning["AL"], by_meaning["Y"]
        if "parameters" in by_meaning and lambd:
            return stand_ins.compute_cost_with_regularization(
                AL, Y, by_meaning["parameters"], lambd
            )
        return stand_ins.compute_cost_quietly(AL, Y)

    return cost
