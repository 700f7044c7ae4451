"""The final test of a network: once, whatever happens in between; and what it says is what a loaded network gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import tune_lpc
from tests.commands import image_folder
from tune_lpc.final import evaluation
from tune_lpc.final.evaluation import FinalEvaluation
from tune_lpc.final.network_file import read_network
from tune_lpc.final.onnx_export import export_onnx
from tune_lpc.final.test_images import check_test_images, opened_test_images
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.training.loop import Training
from tune_lpc.training.prepare import Prepared, prepare, start_training

SPEC = TrialSpec.build({"dataset": "digits", "epochs": 2, "learning_rate": 3e-3})


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(SPEC)


@pytest.fixture(scope="module")
def trained(prepared: Prepared) -> Training:
    training = start_training(SPEC, prepared)
    assert len(list(training.epochs())) == 2
    return training


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often test images are opened: an entry each time."""
    times: list[str] = []
    real = opened_test_images

    def counting(*arguments: Any) -> Any:
        times.append("opened")
        return real(*arguments)

    monkeypatch.setattr(evaluation, "opened_test_images", counting)
    return times


def evaluate(folder: Path, *measures: str) -> FinalEvaluation:
    return FinalEvaluation(folder, {0: "networks/rank1-seed0"}, measures, None)


def test_a_network_is_kept_and_tested(tmp_path: Path, trained: Training, prepared: Prepared, opened: list[str]) -> None:
    found = evaluate(tmp_path, "nc1", "shortest_flip")(0, trained, prepared)
    assert opened == ["opened"]
    assert (found.images, found.openings, found.network) == (360, 1, "networks/rank1-seed0.safetensors")
    assert found.accuracy is not None and 0.5 < found.accuracy <= 1
    assert found.loss is not None and found.loss > 0
    assert found.measures["nc1"] and found.measures["shortest_flip"] and not found.reasons


def test_a_loaded_network_gives_what_the_test_says(tmp_path: Path, trained: Training, prepared: Prepared) -> None:
    found = evaluate(tmp_path)(0, trained, prepared)
    network = tune_lpc.load(tmp_path / found.network)
    with opened_test_images(SPEC, None, prepared.source.class_names) as test:
        right = network(test.images.permute(0, 3, 1, 2)).argmax(dim=1) == test.labels
        floats = network(test.images.permute(0, 3, 1, 2).float() / 255)
    assert float(right.double().mean()) == found.accuracy
    assert floats.shape == (360, 10)
    assert not any(parameter.requires_grad for parameter in network.parameters()) and not network.training


def test_trained_again_after_a_kill_it_is_not_tested_again(
    tmp_path: Path, trained: Training, prepared: Prepared, opened: list[str]
) -> None:
    first = evaluate(tmp_path)(0, trained, prepared)
    weights = (tmp_path / first.network).read_bytes()
    again = start_training(SPEC, prepared)
    assert evaluate(tmp_path)(0, again, prepared) == first
    assert opened == ["opened"]
    assert (tmp_path / first.network).read_bytes() == weights


def test_an_opening_that_ended_nowhere_counts(
    tmp_path: Path, trained: Training, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "opened_test_images", killed)
        with pytest.raises(Killed):
            evaluate(tmp_path)(0, trained, prepared)
    found = evaluate(tmp_path)(0, trained, prepared)
    assert found.openings == 2
    assert json.loads((tmp_path / "networks" / "rank1-seed0.json").read_text())["openings"] == 2


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path, trained: Training, prepared: Prepared) -> None:
    (tmp_path / "networks").write_text("in the way")
    with pytest.raises(UserError, match="the network can't be kept in"):
        evaluate(tmp_path)(0, trained, prepared)


# The images


def test_no_image_of_the_test_is_among_those_of_a_search(prepared: Prepared) -> None:
    def contents(images: torch.Tensor) -> set[bytes]:
        return {image.numpy().tobytes() for image in images}

    assert isinstance(prepared.images, torch.Tensor)
    with opened_test_images(SPEC, None, prepared.source.class_names) as test:
        assert len(test.images) == 360
        assert not contents(test.images) & contents(prepared.images)
        assert sorted(set(test.labels.tolist())) == list(range(10))


def with_test_images(folder: Path, *classes: str) -> None:
    """Move three training images of each class into the test part, whose broken image goes."""
    shutil.rmtree(folder / "test")
    for name in classes:
        (folder / "test" / name).mkdir(parents=True)
        for path in sorted((folder / "train" / name).iterdir())[:3]:
            path.rename(folder / "test" / name / path.name)


def test_own_test_images_are_numbered_as_those_that_train(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "own")
    with_test_images(folder, "dark", "light")
    spec = TrialSpec.build({"dataset": "own", "epochs": 1})
    with opened_test_images(spec, tmp_path, ("another", "dark", "light")) as test:
        # A class has no test images: those of the others are numbered as in training all the same.
        assert test.labels.tolist() == [1, 1, 1, 2, 2, 2]
        assert tuple(test.images.shape) == (6, 8, 8, 3)


def test_classes_that_were_not_trained_on_are_told(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "own")
    with_test_images(folder, "dark", "light")
    (folder / "test" / "dark").rename(folder / "test" / "unknown")
    spec = TrialSpec.build({"dataset": "own", "epochs": 1})
    with (
        pytest.raises(UserError, match="classes that the training images lack: unknown"),
        opened_test_images(spec, tmp_path, ("dark", "light")),
    ):
        pass


def test_images_kept_apart_are_the_same_that_a_search_leaves_out(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "own")
    for path in (folder / "test" / "dark").iterdir():
        path.unlink()
    spec = TrialSpec.build({"dataset": "own", "epochs": 1, "hold_out": 0.2})
    seen = prepare(spec, tmp_path)
    with opened_test_images(spec, tmp_path, seen.source.class_names) as test:
        assert seen.test_images == len(test.images) == 8
        assert isinstance(seen.images, torch.Tensor)
        both = {image.numpy().tobytes() for part in (seen.images, test.images) for image in part}
        assert len(both) == 40


def test_without_test_images_that_is_said(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "own")
    for path in (folder / "test" / "dark").iterdir():
        path.unlink()
    spec = TrialSpec.build({"dataset": "own", "epochs": 1, "hold_out": 0.0})
    with pytest.raises(UserError, match="has no images for a final test"):
        check_test_images(spec, tmp_path)


# Files of networks


@pytest.mark.slow
def test_the_exported_network_gives_the_same(tmp_path: Path, trained: Training, prepared: Prepared) -> None:
    runtime = pytest.importorskip("onnxruntime")
    found = evaluate(tmp_path)(0, trained, prepared)
    session = runtime.InferenceSession(export_onnx(tmp_path / found.network))
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    expected = tune_lpc.load(tmp_path / found.network)(images)
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_file_that_is_no_network_is_told_in_a_line(
    damage: str, tmp_path: Path, trained: Training, prepared: Prepared
) -> None:
    path = tmp_path / evaluate(tmp_path)(0, trained, prepared).network
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.write_text("a letter")
    with pytest.raises(UserError, match=r"there is no file|is damaged, or no network"):
        read_network(path)
