"""Checkpoints on disk: which are kept, what damage and a full disk do to them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from tune_lpc.training.checkpoints import Checkpoints, Position


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """Those of a trial whose folder is not there yet."""
    return Checkpoints(tmp_path / "checkpoints" / "3")


def state_of(position: Position) -> dict[str, Any]:
    return {"position": list(position), "weights": {"layer": torch.full((50,), float(position[1]))}}


def write(checkpoints: Checkpoints, *positions: Position) -> None:
    for position in positions:
        checkpoints.write(position, state_of(position))


def newest_position(checkpoints: Checkpoints) -> list[int] | None:
    state, _ = checkpoints.newest()
    return None if state is None else state["position"]


def files(checkpoints: Checkpoints) -> list[Path]:
    """Everything in the folder, by name, which is the order of training."""
    return sorted(checkpoints.folder.iterdir())


def test_without_any_there_is_no_state_and_no_damage(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() == (None, [])


def test_what_was_written_comes_back(checkpoints: Checkpoints) -> None:
    write(checkpoints, (9, 1))
    state, left_out = checkpoints.newest()
    assert state is not None and left_out == []
    assert state["position"] == [9, 1]
    assert torch.equal(state["weights"]["layer"], torch.ones(50))


def test_the_two_newest_are_kept(checkpoints: Checkpoints) -> None:
    write(checkpoints, (9, 1), (9, 2))
    two = files(checkpoints)
    assert len(two) == 2
    write(checkpoints, (9, 3))
    assert len(files(checkpoints)) == 2
    assert two[1] in files(checkpoints) and two[0] not in files(checkpoints)
    assert newest_position(checkpoints) == [9, 3]


def test_the_first_epoch_of_a_longer_run_is_newer_than_the_last_of_a_shorter(checkpoints: Checkpoints) -> None:
    write(checkpoints, (7, 6), (7, 7), (20, 1))
    assert newest_position(checkpoints) == [20, 1]
    files(checkpoints)[-1].unlink()
    assert newest_position(checkpoints) == [7, 7]


def test_positions_are_ordered_as_numbers(checkpoints: Checkpoints) -> None:
    write(checkpoints, (1000, 99), (1000, 100))
    assert newest_position(checkpoints) == [1000, 100]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip_a_byte, empty])
def test_the_one_before_takes_the_place_of_a_damaged_newest(checkpoints: Checkpoints, damage: Any) -> None:
    write(checkpoints, (9, 4), (9, 5))
    damaged = files(checkpoints)[-1]
    damage(damaged)
    state, left_out = checkpoints.newest()
    assert state is not None and state["position"] == [9, 4]
    assert left_out == [f"checkpoint {damaged} is damaged: its checksum does not match"]


def test_one_that_cannot_be_read_is_left_out(checkpoints: Checkpoints) -> None:
    write(checkpoints, (9, 4), (9, 5))
    unreadable = files(checkpoints)[-1]
    unreadable.unlink()
    unreadable.mkdir()  # reading it fails, for root too
    state, left_out = checkpoints.newest()
    assert state is not None and state["position"] == [9, 4]
    assert left_out == [f"checkpoint {unreadable} can't be read: Is a directory"]


def test_without_a_whole_one_each_damaged_one_is_named(checkpoints: Checkpoints) -> None:
    write(checkpoints, (9, 4), (9, 5))
    older, newer = files(checkpoints)
    cut(older)
    empty(newer)
    state, left_out = checkpoints.newest()
    assert state is None
    assert [str(newer) in left_out[0], str(older) in left_out[1], len(left_out)] == [True, True, 2]


def test_damaged_ones_ahead_do_not_push_out_those_written_after_them(checkpoints: Checkpoints) -> None:
    write(checkpoints, (9, 7), (9, 8))
    for path in files(checkpoints):
        cut(path)
    # The trial begins again from scratch.
    write(checkpoints, (9, 1))
    assert newest_position(checkpoints) == [9, 1]
    write(checkpoints, (9, 2))
    assert checkpoints.newest()[1] == []
    assert newest_position(checkpoints) == [9, 2]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write(checkpoints, (9, 1), (9, 2))
    before = {path: path.read_bytes() for path in files(checkpoints)}
    with monkeypatch.context() as full_disk:
        full_disk.setattr(f"os.{call}", fail)
        with pytest.raises(OSError, match="No space left"):
            write(checkpoints, (9, 3))
    assert {path: path.read_bytes() for path in files(checkpoints)} == before
    write(checkpoints, (9, 3))
    assert newest_position(checkpoints) == [9, 3]


def test_a_part_that_a_killed_process_left_is_no_checkpoint(checkpoints: Checkpoints) -> None:
    write(checkpoints, (9, 1))
    (path,) = files(checkpoints)
    whole = path.read_bytes()
    path.rename(path.with_name(f".{path.name}.123.part")).write_bytes(whole[:100])
    assert checkpoints.newest() == (None, [])


def test_those_beyond_a_position_are_forgotten(checkpoints: Checkpoints) -> None:
    write(checkpoints, (7, 7), (20, 1))
    checkpoints.forget_after((20, 1))
    assert newest_position(checkpoints) == [20, 1]
    checkpoints.forget_after((7, 7))
    assert newest_position(checkpoints) == [7, 7]
    checkpoints.forget_after((7, 6))
    assert newest_position(checkpoints) is None


def test_of_several_the_newest_is_kept(checkpoints: Checkpoints) -> None:
    checkpoints.keep_newest()  # nothing is there yet
    write(checkpoints, (7, 7), (20, 1))
    for _ in range(2):
        checkpoints.keep_newest()
        assert newest_position(checkpoints) == [20, 1]
        assert len(list(checkpoints.folder.iterdir())) == 1


def test_all_are_removed_with_their_folder(checkpoints: Checkpoints) -> None:
    checkpoints.remove()  # nothing is there yet
    write(checkpoints, (9, 1))
    checkpoints.remove()
    assert not checkpoints.folder.exists()
    checkpoints.forget_after((9, 1))
    assert checkpoints.newest() == (None, [])
