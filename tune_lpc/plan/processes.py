"""What a search may not ask for where each trial is trained in several processes."""

from __future__ import annotations

from tune_lpc.plan.space import Space


def process_problems(space: Space, processes: int) -> list[str]:
    """Every rule that a space breaks with so many processes a trial, one line each; none with one process.

    A batch is shared out over the processes, and so must have a part for each: images, or whole same-class groups.
    """
    if processes == 1:
        return []
    found = [
        f"compile is {mode!r}, but must be off where a trial is trained in {processes} processes"
        for mode in dict.fromkeys(space.possible("compile"))
        if mode != "off"
    ]
    found += [
        f"extra_loss is {term!r}, but must be off where a trial is trained in {processes} processes: each sees a part "
        "of a batch"
        for term in dict.fromkeys(space.possible("extra_loss"))
        if term != "off"
    ]
    grouped, shuffled = _ways(space)
    for name, is_possible in (("groups", grouped), ("batch_size", shuffled)):
        least = min((value for value in space.possible(name) if isinstance(value, int)), default=processes)
        if is_possible and least < processes:
            found.append(
                f"{name} may be {least}, but must be {processes} or more where a trial is trained in {processes} "
                "processes: each takes its share of a batch"
            )
    return found


def _ways(space: Space) -> tuple[bool, bool]:
    """Whether any trial has batches of groups, and whether any has shuffled ones."""
    batching, strengths = space.possible("batching"), space.possible("topological_weight_schedule")
    grouped = "grouped" in batching or ("auto" in batching and space.topological_is_possible)
    shuffled = "shuffled" in batching or ("auto" in batching and "off" in strengths)
    return grouped, shuffled
