from __future__ import annotations

import json

from tune_lpc.plan.packing import Measured, Packing, PackingTable

ONE, TWO, FOUR = Packing(1, 4, 0.0), Packing(2, 2, 0.0), Packing(4, 1, 0.0)


def table(*measured: Measured) -> PackingTable:
    return PackingTable("here", "as fixed", 12.34, measured)


def speeds(one: float, two: float, four: float) -> PackingTable:
    figures = zip((ONE, TWO, FOUR), (one, two, four), strict=True)
    return table(*(Measured(packing, 10 * speed, speed, 2**20) for packing, speed in figures))


def test_the_packing_with_most_epochs_an_hour_is_taken() -> None:
    assert speeds(100, 150, 120).best() == TWO
    assert speeds(100, 150, 160).best() == FOUR
    assert speeds(100, 90, 80).best() == ONE


def test_of_those_equally_fast_the_one_with_fewest_trials_is_taken() -> None:
    assert speeds(98, 99, 100).best() == ONE
    assert speeds(90, 98, 100).best() == TWO
    few = table(Measured(Packing(1, 4, 0.0), 1, 100, 1), Measured(Packing(1, 1, 0.0), 1, 99, 1))
    assert few.best() == Packing(1, 1, 0.0)


def test_what_is_out_is_not_taken_however_fast_it_was() -> None:
    out = Measured(FOUR, 5000.0, 500.0, 2**40, out="4 x 1024 GB is more than there is")
    assert table(Measured(ONE, 1.0, 1.0, 1), out).best() == ONE
    assert table(out).best() is None
    assert table().best() is None


def test_the_table_is_stored_as_plain_data_with_the_choice() -> None:
    stored = json.loads(json.dumps(speeds(100, 150, 120).as_dict()))
    assert stored["chosen"] == {"together": 2, "cpus_per_trial": 2, "gpus_per_trial": 0.0}
    assert [line["epochs_per_hour"] for line in stored["measured"]] == [100, 150, 120]
    assert stored["measured"][0]["together"] == 1
    assert table(Measured(ONE, out="why")).as_dict()["chosen"] is None
