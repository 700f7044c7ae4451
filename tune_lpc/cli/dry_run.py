"""What a search would do and cost, told without starting it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_lpc.cli.duration import Work, measure_epoch, time_lines
from tune_lpc.cli.terminal import print_lines
from tune_lpc.plan import Space, UserError
from tune_lpc.plan.dimensions import describe_values
from tune_lpc.plan.hours import HoursAsked
from tune_lpc.plan.objectives import several_objectives
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.resources import ResourcesAsked, cpus_here
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.plan.settings import Value
from tune_lpc.results.agreement import FEWEST
from tune_lpc.search.earlier import read_earlier
from tune_lpc.search.seeds import stages


def describe_search(
    console: Console,
    space: Space,
    asked: ResourcesAsked,
    data_dir: Path | None,
    out: Path,
    address: str | None,
    hours: HoursAsked = HoursAsked(),  # noqa: B008 - it is frozen
    warm_start: Sequence[Path] = (),
    code: OwnCode = NO_CODE,
) -> None:
    """Print the space, the rungs, the sampler, the resources and the cost of a search; it trains a little, to tell
    hours too.

    Raises UserError, before anything is printed, when the resources asked for, the images or what is to be taken over
    from earlier searches are not there.
    """
    cost = [_cost(space, data_dir)]
    if address is None:
        from tune_lpc.training.device import gpus_here

        resources, problems = asked.plan(cpus_here(), gpus_here())
        problems += [] if resources is None else hours.gpu_problems(resources.gpus_per_trial)
        if resources is None or problems:
            raise UserError(problems)
        said = "auto: measured at the start" if asked.is_auto else resources.describe()
        where = f"{said} ({cpus_here()} CPUs and {gpus_here()} GPUs here)"
        cost += time_lines(space, measure_epoch(space, data_dir, resources.cpus_per_trial, code), resources, hours)
    else:
        where = f"those of the Ray cluster at {address}"
        cost += [f"time: {hours.describe()} are given"] if hours.is_limited else []
    table = Table("searched", "range", box=None, pad_edge=False)
    for name in space.dimensions:
        # As Text: what the user has written is not to be read as markup.
        table.add_row(name, Text(space.describe(name)))
    fixed = ", ".join(f"{name}={value}" for name, value in space.settings.items())
    lines = [f"begins with: {describe_values(config)}" for config in _first_configs(space)]
    lines += [f"fixed: {fixed}", f"space hash: {space.hash()}"]
    lines.append(_trials_line(space))
    lines += [
        *objective_lines(space),
        *early_stopping_lines(space),
        *ramp_notes(space),
        f"sampler: {sampler_line(space)}",
        *space.notes,
    ]
    lines += [earlier.describe() for earlier in read_earlier(space, warm_start)]
    lines += [f"resources: {where}", *cost, f"results: {out}"]
    console.print(Text(f"{space.name}: {space.about}", style="italic"), soft_wrap=True)
    console.print(table)
    print_lines(console, lines)


def objective_lines(space: Space) -> list[str]:
    """What the search is to do well in, where that is more than one score, and how a front is judged."""
    objectives = several_objectives(space.objectives)
    told = [
        f"{each} ({'of each epoch' if each.measure is None else 'taken at each rung and at the end'}, "
        f"hypervolume from {each.worst:g})"
        for each in objectives
    ]
    return [f"objectives: {'; '.join(told)}"] if told else []


def sampler_line(space: Space) -> str:
    """What draws the configs, in words."""
    first = f", by chance until {space.random_starts} configs have a result" if space.sampler in ("tpe", "gp") else ""
    return f"{space.sampler}{first}"


def _trials_line(space: Space) -> str:
    """How many trials of how many epochs; where the space has fewer configs than were asked for, that too."""
    of = f"of up to {space.epochs} epochs"
    if space.is_open:
        return f"trials: as many as time allows, {of}"
    if space.most_configs == space.trials:
        return f"trials: {space.trials} {of}"
    asked = "as many as time allows" if space.trials == AS_MANY_AS_FIT else f"{space.trials:,}"
    configs = f"{space.most_configs} config{'' if space.most_configs == 1 else 's'}"
    return f"trials: {space.most_configs} {of}; {asked} were asked for, but the space has only {configs}"


def _first_configs(space: Space) -> list[Mapping[str, Value]]:
    """The configs that the search begins with, each once."""
    distinct = {space.trial(config): config for config in reversed(space.first[: space.trials])}
    return list(reversed(distinct.values()))


def early_stopping_lines(space: Space) -> list[str]:
    """The fidelity mode in words, its rungs, what a climb past all of them costs, and the control trials."""
    fidelity = space.fidelity
    rungs, mode, epochs = fidelity.rungs(), fidelity.mode, fidelity.epochs
    where = f"{_listed(rungs)} epochs" if rungs else ""
    go_on = f"at each the best 1 in {fidelity.reduction_factor} of those seen there go on"
    if not rungs:
        lines = [f"fidelity {mode}: every trial trains one run of {epochs} epochs to its end; {_why_no_rungs(space)}"]
    elif mode == "compressed":
        climb, factor = fidelity.climb_epochs, fidelity.reduction_factor
        lines = [
            f"fidelity {mode}: a trial trains complete runs of {_listed(fidelity.runs())} epochs, one after another, "
            f"each from scratch and with every schedule squeezed into it",
            f"rungs: {where}, where the short runs end; {go_on}",
            f"a full climb costs {climb} epochs, {climb / epochs:.2f} times its last run "
            f"(with many rungs about {factor / (factor - 1):.2f} times)",
        ]
    else:
        lines = [
            f"fidelity {mode}: a trial trains one run of {epochs} epochs and is looked at on the way",
            f"rungs: {where}; {go_on}",
            f"a full climb costs {fidelity.climb_epochs} epochs, as the run is trained once",
        ]
    if rungs and space.rung_rule == "promote":
        lines.append(_waiting_line(space))
    if space.score_window > 1:
        lines.append(f"a score is the mean of the last {space.score_window} epochs, as far as there are so many")
    if space.control_trials:
        lines.append(_control_line(space))
    return lines


def ramp_notes(space: Space) -> list[str]:
    """What is known of rungs that judge networks whose ramps may not be up.

    That is so in truncated runs only, and there where the user has not said, with --first-rung-after, when to look.
    """
    fidelity = space.fidelity
    if fidelity.mode != "truncated" or space.first_rung_after is not None:
        return []
    up = space.epoch_with_ramps_up(1.0)
    before = [rung for rung in fidelity.rungs() if up is None or rung < up]
    if not before:
        return []
    when = "may end only with the training" if up is None else f"may go on until epoch {up}"
    where = f"the rung{'s' if len(before) > 1 else ''} at {_listed(before)} come{'' if len(before) > 1 else 's'}"
    return [
        f"note: the ramps of the regularisers {when}, and {where} before that; in the project's benchmarks the "
        "winners were better with such rungs than without on three data sets, and worse on one, of 30 epochs "
        "(docs/efficiency.md); --control-trials measures it in your search"
    ]


def _why_no_rungs(space: Space) -> str:
    if space.fidelity.mode == "full":
        return "there are no rungs"
    if space.first_rung_after is not None:
        share = f"{100 * space.first_rung_after:.4g} %"
        return f"no rungs, as some trial's ramps reach {share} of their ends only with the last epoch, or never"
    return "too short for rungs"


def _waiting_line(space: Space) -> str:
    """What becomes of those that a rung leaves, and what they take of the disk."""
    line = "one that does not waits, with a checkpoint on disk, and goes on when it is among the best later"
    if space.is_open:
        return line
    # To an upper rung more than a share of all may come, as who is among the best changes with time.
    most = len(space.fidelity.rungs()) * -(-space.most_configs // space.reduction_factor)
    return f"{line}; at most {min(most, space.most_configs):,} wait at a time"


def _control_line(space: Space) -> str:
    count, configs, fidelity = space.most_controls, space.most_configs, space.fidelity
    if not fidelity.rungs():
        return f"control trials: {count}, which tell nothing as there are no rungs"
    more = fidelity.expected_epochs(configs, count) - fidelity.expected_epochs(configs)
    return (
        f"control trials: {count}, never stopped, {count * fidelity.climb_epochs:,} epochs in all, "
        f"about {more:,} more than without; they show how well the rungs foretell the final ranking"
        + (f", but fewer than {FEWEST} give no figures" if count < FEWEST else "")
    )


def _cost(space: Space, data_dir: Path | None) -> str:
    """The epochs that the search costs, and the images where their number is known."""
    from tune_lpc.training.data import check_hold_out, count_training_images

    if "hold_out" in space.settings:
        check_hold_out(space.dataset, data_dir, space.highest("hold_out"))
    images = count_training_images(space.dataset, data_dir, hold_out=space.highest("hold_out"))
    each = None if images is None else space.images_per_epoch(images)
    if space.is_open:
        return "cost: as much as time allows" + ("" if each is None else f"; {each:,} training images an epoch")
    configs = space.most_configs
    work, most = Work.of(space, configs), sum(stages(configs, space.seeds, space.reduction_factor))
    at_most = (configs + most) * space.fidelity.climb_epochs
    seeds = f", {work.repeats * work.longest:,} of them for {work.seeds}" if work.seeds else ""
    if space.fidelity.rungs():
        cost = f"cost: about {work.epochs:,} epochs{seeds}, {at_most:,} if no trial is stopped early"
    else:
        cost = f"cost: {at_most:,} epochs{seeds}"
    if each is not None:
        cost += f"; {each:,} training images an epoch, so about {work.epochs * each:,} in all"
    return cost


def _listed(numbers: Sequence[int]) -> str:
    """Numbers as a list in words."""
    return " and ".join(filter(None, [", ".join(map(str, numbers[:-1])), str(numbers[-1])]))
