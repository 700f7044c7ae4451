from __future__ import annotations

import math

import pytest

from tune_lpc.plan.packing import Packing
from tune_lpc.plan.resources import Resources, ResourcesAsked


def test_as_many_trials_as_cpus_run_at_once_without_a_gpu() -> None:
    assert ResourcesAsked().plan(8, 0) == (Resources(8, 1, 0.0), [])


def test_a_trial_takes_a_whole_gpu_when_there_are_any() -> None:
    assert ResourcesAsked().plan(16, 2) == (Resources(2, 1, 1.0), [])


def test_trials_that_share_a_gpu_are_limited_by_the_cpus_too() -> None:
    assert ResourcesAsked(gpus_per_trial=0.25).plan(16, 2) == (Resources(8, 1, 0.25), [])
    assert ResourcesAsked(gpus_per_trial=0.25, cpus_per_trial=4).plan(16, 2) == (Resources(4, 4, 0.25), [])


def test_a_third_of_a_gpu_fits_three_times() -> None:
    assert ResourcesAsked(gpus_per_trial=1 / 3).plan(16, 1)[0] == Resources(3, 1, 1 / 3)


def test_no_gpu_can_be_asked_for_although_there_are_some() -> None:
    assert ResourcesAsked(gpus_per_trial=0).plan(4, 2) == (Resources(4, 1, 0.0), [])


def test_more_at_once_than_fit_may_be_asked_for() -> None:
    assert ResourcesAsked(concurrent=12).plan(2, 0) == (Resources(12, 1, 0.0), [])


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        (ResourcesAsked(concurrent=0), "--concurrent is 0"),
        (ResourcesAsked(concurrent=-2), "--concurrent is -2"),
        (ResourcesAsked(cpus_per_trial=0), "--cpus-per-trial is 0"),
        (ResourcesAsked(gpus_per_trial=-0.5), "--gpus-per-trial is -0.5"),
        (ResourcesAsked(gpus_per_trial=1.5), "--gpus-per-trial is 1.5"),
        (ResourcesAsked(gpus_per_trial=math.nan), "--gpus-per-trial is nan"),
        (ResourcesAsked(gpus_per_trial=math.inf), "--gpus-per-trial is inf"),
        (ResourcesAsked(gpus_per_trial=1e300), "--gpus-per-trial is 1e+300"),
        (ResourcesAsked(concurrent=10**6 + 1), "--concurrent is 1000001"),
        (ResourcesAsked(concurrent=10**400), "--concurrent is about 10^400"),
        (ResourcesAsked(cpus_per_trial=2**63), "--cpus-per-trial is 9223372036854775808"),
    ],
)
def test_what_no_machine_can_give_is_a_problem(asked: ResourcesAsked, option: str) -> None:
    problems = asked.problems()
    assert len(problems) == 1
    assert problems[0].startswith(f"{option}, but must be")


def test_everything_that_this_machine_lacks_is_named_at_once() -> None:
    resources, problems = ResourcesAsked(concurrent=0, cpus_per_trial=5, gpus_per_trial=2).plan(4, 1)
    assert resources is None
    assert [problem.split()[0] for problem in problems] == ["--concurrent", "--cpus-per-trial", "--gpus-per-trial"]


# Several processes a trial


def test_a_trial_has_a_process_a_gpu_and_each_a_cpu_of_its_own() -> None:
    assert ResourcesAsked(gpus_per_trial=2).plan(16, 4) == (Resources(2, 2, 2.0, processes_per_trial=2), [])
    assert ResourcesAsked(processes_per_trial=2).plan(16, 4) == (Resources(2, 2, 2.0, processes_per_trial=2), [])
    assert ResourcesAsked(gpus_per_trial=4, cpus_per_trial=16).plan(16, 4)[0] == Resources(
        1, 16, 4.0, processes_per_trial=4
    )


def test_without_gpus_the_processes_share_the_cpus_of_their_trial() -> None:
    for gpus, asked in ((0, None), (4, 0)):
        resources, problems = ResourcesAsked(None, 6, asked, processes_per_trial=2).plan(12, gpus)
        assert (resources, problems) == (Resources(2, 6, 0.0, processes_per_trial=2), [])
        assert resources is not None and resources.threads == 3
        assert resources.describe() == "2 at once, 6 CPU each, in 2 processes"
        assert resources.as_dict()["processes_per_trial"] == 2


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (ResourcesAsked(processes_per_trial=0), "--processes-per-trial is 0, but must be from 1 to 1024"),
        (ResourcesAsked(processes_per_trial=1025), "--processes-per-trial is 1025, but must be from 1 to 1024"),
        (ResourcesAsked(gpus_per_trial=2000), "--gpus-per-trial is 2000, but a trial has 1024 processes at most"),
        (
            ResourcesAsked(gpus_per_trial=0.5, processes_per_trial=2),
            "--processes-per-trial is 2, but --gpus-per-trial is 0.5: each process has a GPU of its own; give "
            "--gpus-per-trial 2, or 0 to train on CPUs",
        ),
        (
            ResourcesAsked(gpus_per_trial=2, processes_per_trial=1),
            "--processes-per-trial is 1, but --gpus-per-trial is 2: each process has a GPU of its own; give "
            "--gpus-per-trial 1, or 0 to train on CPUs",
        ),
        (
            ResourcesAsked(cpus_per_trial=1, processes_per_trial=2),
            "--cpus-per-trial is 1, but each of the 2 processes of a trial needs one; give 2 or more",
        ),
        *(
            (
                ResourcesAsked(None, cpus, gpus, 2),
                "--processes-per-trial is 2, but auto packs trials of one process; give --cpus-per-trial and "
                "--gpus-per-trial as numbers",
            )
            for cpus, gpus in (("auto", None), ("auto", 0), (2, "auto"))
        ),
    ],
)
def test_processes_that_do_not_go_with_the_rest_are_refused_in_one_line(asked: ResourcesAsked, line: str) -> None:
    assert asked.problems() == [line]


@pytest.mark.parametrize(
    ("asked", "gpus", "line"),
    [
        (ResourcesAsked(processes_per_trial=3), 0, "--processes-per-trial is 3, but there are 2 CPUs; ask for fewer"),
        (ResourcesAsked(gpus_per_trial=3), 4, "--gpus-per-trial is 3, but there are 2 CPUs; ask for fewer"),
        (
            ResourcesAsked(processes_per_trial=2),
            1,
            "--processes-per-trial is 2, but there are 1 GPUs; ask for fewer, or for --gpus-per-trial 0",
        ),
        (ResourcesAsked(gpus_per_trial=2), 1, "--gpus-per-trial is 2, but there are 1 GPUs; ask for fewer, or for 0"),
    ],
)
def test_what_the_machine_lacks_for_the_processes_is_told_of_the_option_that_asks(
    asked: ResourcesAsked, gpus: int, line: str
) -> None:
    assert asked.plan(2, gpus) == (None, [line])


def test_the_line_for_people_leaves_out_a_gpu_that_is_not_used() -> None:
    assert Resources(2, 1, 0.0).describe() == "2 at once, 1 CPU each"
    assert Resources(4, 2, 0.5).describe() == "4 at once, 2 CPU, 0.5 GPU each"


# auto


def test_what_is_to_be_measured_falls_back_on_the_default_and_keeps_the_rest() -> None:
    both = ResourcesAsked(3, "auto", "auto")
    assert both.is_auto
    assert both.problems() == []
    assert both.plan(8, 2) == (Resources(3, 1, 1.0), [])
    assert ResourcesAsked(gpus_per_trial="auto").plan(8, 0) == (Resources(8, 1, 0.0), [])
    assert not ResourcesAsked(3, 1, 0.5).is_auto


def test_what_is_asked_for_beside_auto_must_be_there() -> None:
    resources, problems = ResourcesAsked(cpus_per_trial=9, gpus_per_trial="auto").plan(8, 1)
    assert resources is None
    assert [problem.split()[0] for problem in problems] == ["--cpus-per-trial"]


@pytest.mark.parametrize("asked", [ResourcesAsked(cpus_per_trial="auto"), ResourcesAsked(gpus_per_trial="auto")])
def test_either_auto_leaves_cpus_and_gpus_to_measuring(asked: ResourcesAsked) -> None:
    assert asked.packings(2, 0, 9) == [Packing(1, 2, 0.0), Packing(2, 1, 0.0)]
    assert asked.packings(8, 2, 9) == [Packing(1, 4, 1.0), Packing(2, 2, 0.5), Packing(4, 1, 0.25)]


def test_what_is_fixed_beside_auto_stays() -> None:
    assert ResourcesAsked(cpus_per_trial=3, gpus_per_trial="auto").packings(8, 1, 9) == [
        Packing(1, 3, 1.0),
        Packing(2, 3, 0.5),
    ]
    assert ResourcesAsked(cpus_per_trial="auto", gpus_per_trial=0.5).packings(8, 1, 9) == [Packing(2, 4, 0.5)]
    assert ResourcesAsked(cpus_per_trial="auto", gpus_per_trial=2).packings(8, 2, 9) == [Packing(1, 8, 2)]
    assert ResourcesAsked(cpus_per_trial="auto", gpus_per_trial=0).packings(2, 1, 9) == [
        Packing(1, 2, 0.0),
        Packing(2, 1, 0.0),
    ]
    assert ResourcesAsked(cpus_per_trial=3, gpus_per_trial="auto").packings(8, 0, 9) == [Packing(2, 3, 0.0)]


def test_no_more_trials_are_measured_together_than_are_to_run_at_once() -> None:
    assert ResourcesAsked(1, "auto").packings(4, 0, 9) == [Packing(1, 4, 0.0), Packing(1, 2, 0.0), Packing(1, 1, 0.0)]
    assert ResourcesAsked(cpus_per_trial="auto").packings(4, 1, 2) == [Packing(1, 4, 1.0), Packing(2, 2, 0.5)]


@pytest.mark.parametrize("cpus", [1, 2, 3, 4, 6, 7, 16, 64])
@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_a_packing_is_what_then_runs_on_the_node(cpus: int, gpus: int) -> None:
    asked = ResourcesAsked(gpus_per_trial="auto")
    packings = asked.packings(cpus, gpus, 1000)
    assert packings[0].together == 1
    assert [p.together for p in packings] == sorted({p.together for p in packings})
    for packing in packings:
        resources, problems = asked.as_packed(packing).plan(cpus, gpus)
        assert problems == []
        assert resources is not None
        assert resources.concurrent == min(cpus, packing.together * max(1, gpus))
    assert packings[-1].cpus_per_trial == 1 or gpus
