"""The command `python -m tune_lpc.train`: a config of a search again, alone."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tune_lpc import __version__
from tune_lpc.plan.trial import TrialSpec, setting_default, setting_field, setting_names
from tune_lpc.results import Journal, export, load_ranked, load_run
from tune_lpc.results.events import RunResumed, TrialPlaced
from tune_lpc.results.loading import BEFORE
from tune_lpc.run import main as run
from tune_lpc.train import Session, main, session_of
from tune_lpc.training.models import build_network
from tune_lpc.training.prepare import prepare

OLD_RUN = Path(__file__).parent / "journals" / "version-0.1.0" / "finished"


@pytest.fixture(scope="module")
def search(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search") / "run"
    plain = ["--seeds", "1", "--set", "score_window=1"]  # so that a score is what one training reaches at its end
    assert run(["digits", "--trials", "3", "--epochs", "4", "--seed", "2", *plain, "--out", str(out)]) == 0
    return out


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """A run of version 0.1.0, to be changed."""
    return Path(shutil.copytree(OLD_RUN, tmp_path / "old"))


@pytest.fixture(autouse=True)
def threads_as_before() -> Any:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def refusal(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which the command refuses, before it has trained anything."""
    assert main([str(argument) for argument in arguments]) == 2
    told = capsys.readouterr()
    assert "epoch" not in told.out
    (line,) = told.err.splitlines()
    return line


def change_run(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = directory / "run.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# Training


def test_the_best_config_alone_reaches_what_it_reached_in_the_search(
    search: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(search)]) == 0
    score = pd.read_parquet(search / "best.parquet")["score"].iloc[0]
    assert f"validation accuracy: {score:.4f}" in capsys.readouterr().out


def test_a_run_of_an_older_version_is_trained_again_under_todays_schedules_and_told_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(OLD_RUN), "--rank", "1"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"begun by tune_lpc 0.1.0; trained under today's schedules ({__version__})\n")
    assert "epoch 12/12" in told


@pytest.mark.parametrize("rank", range(1, 4))
def test_a_setting_that_the_older_version_did_not_have_does_what_that_version_did(rank: int) -> None:
    assert load_ranked(OLD_RUN, rank).hold_out == 0.0
    recorded = {name.removeprefix("config.") for name in pq.read_schema(OLD_RUN / "best.parquet").names}
    later = {name for name in setting_names() if setting_field(name).metadata["later"]}
    assert set(setting_names()) - recorded == set(BEFORE) | later
    for name in later:
        assert getattr(load_ranked(OLD_RUN, rank), name) in (None, setting_default(name)), "without effect"


@pytest.mark.parametrize("rank", range(1, 4))
def test_a_run_of_an_older_version_that_was_exported_by_this_one_gives_back_the_same_trials(
    old_run: Path, rank: int
) -> None:
    export(old_run)
    columns = pq.read_schema(old_run / "best.parquet").names
    assert {f"config.{name}" for name in setting_names()} <= set(columns)
    # The first two have the same score: the lower loss came first then, now the lower number does.
    assert load_ranked(old_run, rank) == load_ranked(OLD_RUN, {1: 2, 2: 1}.get(rank, rank))


def test_other_images_than_those_of_the_search_are_told_of_an_older_version_and_refused_of_this(
    old_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_run(old_run, lambda run: run["data"].update(fingerprint="another"))
    assert main([str(old_run)]) == 0
    assert "the images of digits differ from those of the search" in capsys.readouterr().out
    change_run(old_run, lambda run: run["versions"].update(tune_lpc=__version__))
    assert "differ from those of the search; give its data" in refusal([old_run], capsys)


MORE_THREADS = {"resources": {"concurrent": 1, "cpus_per_trial": 2, "gpus_per_trial": 0.0, "packing": None}}


@pytest.mark.parametrize(
    ("sessions", "threads", "told"),
    [
        ([], 1, ""),
        ([MORE_THREADS], 2, "other resources"),
        ([{"hardware": {"cpus": 999}}], 1, "other hardware"),
        ([{"versions": {"torch": "1.0"}, **MORE_THREADS}], 2, "versions and resources"),
        ([{}], 1, ""),
    ],
    ids=["none", "more threads", "another machine", "all of it", "the same"],
)
def test_it_is_trained_as_in_the_session_of_its_last_epoch_and_changes_are_told(
    old_run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    sessions: list[dict[str, Any]],
    threads: int,
    told: str,
) -> None:
    trial_id = pd.read_parquet(old_run / "best.parquet")["trial_id"].iloc[0]
    begun = load_run(old_run)
    with Journal(old_run / "journal.jsonl") as journal:
        for changes in sessions:
            facts = {name: begun[name] for name in ("versions", "hardware", "resources")}
            journal.write(RunResumed("", "", session={**facts, **changes}))
            journal.write(TrialPlaced(trial_id, "here", 1, (12, 11)))
    used: list[int] = []
    monkeypatch.setattr("tune_lpc.training.trainer.use_threads", used.append)
    monkeypatch.setattr("tune_lpc.training.climb.start_training", lambda *_: pytest.skip("far enough"))
    with pytest.raises(pytest.skip.Exception, match="far enough"):
        main([str(old_run)])
    assert used == [threads]
    line = capsys.readouterr().out.splitlines()[0]
    assert (told in line and "sessions with other" in line) if told else "begun by tune_lpc" in line


def test_in_two_processes_it_reaches_the_same_and_is_saved_whole(
    search: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for processes in ("1", "2"):
        path = tmp_path / f"{processes}.safetensors"
        assert main([str(search), "--processes", processes, "--save", str(path)]) == 0
        told.append(re.sub(r", [\d.]+ s$|^saved: .*$", "", capsys.readouterr().out, flags=re.MULTILINE))
    assert told[0] == told[1]
    one, two = (load_file(tmp_path / f"{processes}.safetensors") for processes in (1, 2))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], rtol=1e-3, atol=1e-4) for name in one)


@pytest.mark.parametrize(("resources", "processes"), [({}, 1), ({"processes_per_trial": 2}, 2)])
def test_it_is_trained_in_as_many_processes_as_in_the_search(resources: dict[str, int], processes: int) -> None:
    told = {"resources": {"concurrent": 1, "cpus_per_trial": 4, "gpus_per_trial": 0.0, **resources}}
    assert session_of(told, []) == Session(4, on_gpu=False, processes=processes)
    assert session_of({"resources": {**told["resources"], "processes_per_trial": 1}}, [told]).processes == processes


def test_images_of_other_classes_are_refused_of_every_version(
    old_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    for label, name in enumerate("ab"):
        folder = tmp_path / "digits" / "train" / name
        folder.mkdir(parents=True)
        for i in range(20):
            image = Image.new("L", (8, 8), 10 * i + label)
            image.putpixel((0, 0), 255)
            image.save(folder / f"{i}.png")
    for version in ("0.1.0", __version__):
        change_run(old_run, lambda run, version=version: run["versions"].update(tune_lpc=version))
        assert "differ from those of the search" in refusal([old_run, "--data-dir", tmp_path], capsys)


def test_images_too_small_for_the_network_are_refused(old_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best_with(old_run, replaced("config.network", ["small_cnn"]))
    assert "the images are 8 x 8, but small_cnn needs 16 pixels" in refusal([old_run], capsys)


# The file of --save


def test_the_saved_network_holds_its_weights_config_classes_and_version(
    old_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "network.safetensors"
    assert main([str(old_run), "--save", str(saved)]) == 0
    assert f"saved: {saved}" in capsys.readouterr().out
    with safe_open(saved, "pt") as file:
        metadata = file.metadata()
    assert TrialSpec.build(json.loads(metadata["config"])) == load_ranked(old_run, 1)
    assert json.loads(metadata["classes"]) == [str(digit) for digit in range(10)]
    assert metadata["tune_lpc"] == __version__
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.safetensors", "old"]


def test_the_saved_network_used_as_the_docs_tell_scores_what_the_training_told(
    old_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(old_run), "--save", "network.safetensors"]) == 0
    told = re.search(r"^validation accuracy: (\S+)$", capsys.readouterr().out, re.MULTILINE)
    page = (Path(__file__).parents[1] / "docs" / "trained_network.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(script, names)
    network = names["network"]
    prepared = prepare(network.about.spec)
    rows = torch.from_numpy(prepared.split.validation)
    assert isinstance(prepared.images, torch.Tensor)
    logits = network(prepared.images[rows].permute(0, 3, 1, 2))
    accuracy = float((logits.argmax(dim=1) == prepared.labels[rows]).double().mean())
    assert told is not None and told[1] == f"{accuracy:.4f}"


def test_weights_of_convolutions_are_saved_as_they_are_named(old_run: Path, tmp_path: Path) -> None:
    best_with(old_run, replaced("config.network", ["resnet18"]))  # its weights lie in memory channels last
    for name, value in (("config.train_size", 100), ("config.epochs", 1)):
        best_with(old_run, replaced(name, [value]))
    saved = tmp_path / "network.safetensors"
    assert main([str(old_run), "--save", str(saved)]) == 0
    build_network(load_ranked(old_run, 1), 10, 1, 8).load_state_dict(load_file(saved))


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("nowhere/network", "lies in a folder that does not exist; make it first"),
        ("there", "is there already; choose another file"),
        ("", "is there already"),
        ("folder", "is there already; choose another file"),
        ("dangling", "is there already"),
        ("there/network", "can't be written (Not a directory)"),
        ("x" * 256, "can't be written (File name too long)"),
        ("nul\0", "can't be written (embedded null byte)"),
        ("/proc/network", "can't be written (No such file or directory)"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_training(
    file: str, told: str, old_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nothing")
    before = sorted(tmp_path.rglob("*"))
    line = refusal([old_run, "--save", f"{tmp_path / file}"], capsys)
    assert line.startswith("error: --save ")
    assert told in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_before_the_training(
    old_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "Permission denied" in refusal([old_run, "--save", tmp_path / "closed" / "network"], capsys)


def test_a_disk_that_is_full_in_the_end_is_one_line_and_leaves_no_part(
    old_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main([str(old_run), "--save", str(tmp_path / "network")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "can't be written (No space left on device)" in line
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


# Options and folders that are wrong


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--rank", "99"], "rank is 99, but must be from 1 to"),
        (["--rank", "0"], "rank is 0, but must be from 1 to"),
        (["--rank", "first"], "--rank is 'first'"),
        (["--data-dir", "/nowhere"], "/nowhere"),
        (["--processes", "0"], "--processes is 0, but must be from 1 to 1024"),
        (["--processes", "two"], "--processes is 'two', but must be a whole number"),
        (["--processes", "1000"], "a batch has 8 groups, but each of 1000 processes needs one or more"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refusal([OLD_RUN, *arguments], capsys)


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("", "holds no run: it has no best.parquet"),
        ("nowhere", "nowhere holds no run: there is no such folder; check the path"),
        ("file", "holds no run: it has no best.parquet"),
        ("x" * 300, "can't be read (File name too long)"),
        ("nul\0", "can't be read (embedded null byte)"),
    ],
)
def test_a_folder_without_a_run_is_refused(
    folder: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert told in refusal([tmp_path / folder], capsys)


def test_the_folder_of_several_methods_names_those_that_hold_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lpc", "vanilla", "other"):
        (tmp_path / name).mkdir()
    for name in ("vanilla", "lpc"):
        (tmp_path / name / "best.parquet").touch()
    told = refusal([tmp_path], capsys)
    assert told.endswith("it has no best.parquet, but its folders have: lpc, vanilla; give one of them")


def test_a_search_that_was_killed_is_to_go_on_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert "has no best.parquet, which its search writes; go on" in refusal([OLD_RUN.with_name("killed")], capsys)


@pytest.mark.parametrize("name", ["best.parquet", "run.json"])
def test_a_folder_in_place_of_a_file_is_refused(name: str, old_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (old_run / name).unlink()
    assert f"has no {name}, which its search writes" in refusal([old_run], capsys)
    (old_run / name).mkdir()
    line = refusal([old_run], capsys)
    assert name in line
    assert "can't be read (Is a directory)" in line


# run.json

WHOLE = json.loads((OLD_RUN / "run.json").read_text())


def with_value(name: str, value: object) -> dict[str, Any]:
    part, _, key = name.partition(".")
    return {**WHOLE, part: {**WHOLE[part], key: value}}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "it lacks versions.tune_lpc, data.data_dir, data.fingerprint, data.classes, resources.cpus_per_trial, "),
        ("[]", "must be a JSON object"),
        ("", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ("\xff", "must be JSON"),
        ({**WHOLE, "data": None}, "it lacks data.data_dir, data.fingerprint, data.classes;"),
        ({**WHOLE, "data": [1]}, "it lacks data.data_dir"),
        ({**WHOLE, "resources": {"gpus_per_trial": 0.0}}, "it lacks resources.cpus_per_trial;"),
        (with_value("resources.cpus_per_trial", "2"), "resources.cpus_per_trial is '2'"),
        (with_value("resources.cpus_per_trial", True), "resources.cpus_per_trial is True"),
        (with_value("resources.cpus_per_trial", 0), "resources.cpus_per_trial is 0, but must be 1 or more"),
        (with_value("resources.gpus_per_trial", None), "resources.gpus_per_trial is none"),
        (with_value("data.data_dir", 3), "data.data_dir is 3"),
        (with_value("versions.tune_lpc", "new"), "versions.tune_lpc is 'new'"),
        (with_value("versions.tune_lpc", None), "versions.tune_lpc is none"),
    ],
)
def test_a_damaged_run_file_is_refused_with_what_it_lacks(
    content: str | Mapping[str, Any], told: str, old_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (old_run / "run.json").write_bytes(text.encode("latin-1"))
    line = refusal([old_run], capsys)
    assert "run.json is damaged" in line
    assert told in line


# best.parquet


def best_with(directory: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = directory / "best.parquet"
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def replaced(name: str, values: list[object]) -> Callable[[pa.Table], pa.Table]:
    """A table with other values in a column, the first of them for the first row."""

    def change(table: pa.Table) -> pa.Table:
        column = pa.array(values[:1] * table.num_rows)
        return table.set_column(table.schema.get_field_index(name), name, column)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda _: pa.table({"a": [1], "b": [2]}),
            "lacks the columns config.method, config.dataset, ",
        ),
        (lambda _: pa.table({"config.color": ["red"]}), "lacks the columns config.method"),
        (lambda table: table.drop_columns(["config.beta"]), "lacks the columns config.beta;"),
        (lambda table: table.drop_columns(["rank"]), "lacks the columns rank;"),
        (lambda table: table.append_column("config.color", table["score"]), "does not know: config.color;"),
        (lambda table: table.append_column("rank", table["rank"]), "must be a Parquet file: Multiple matches"),
        (lambda table: table.slice(1), "its row 1 has rank 2"),
        (replaced("config.learning_rate", ["fast"]), "is damaged: learning_rate is 'fast', but must be a number"),
        (replaced("config.learning_rate", [None]), "is damaged: learning_rate is none, but must be a number"),
        (replaced("config.gamma_end", [None]), "is damaged: gamma_end is none, but must be"),
        (replaced("config.network", [["mlp"]]), "is damaged: network is ['mlp'], but must be one of"),
        (replaced("config.epochs", [12.5]), "is damaged: epochs is 12.5, but must be a whole number"),
    ],
)
def test_a_table_of_something_else_is_refused_and_never_completed_with_defaults(
    change: Callable[[pa.Table], pa.Table], told: str, old_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best_with(old_run, change)
    line = refusal([old_run], capsys)
    assert "best.parquet" in line
    assert told in line


@pytest.mark.parametrize("keep", [0, 3, 100, -200, -4])
def test_a_damaged_table_is_refused(keep: int, old_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = old_run / "best.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    assert "best.parquet is damaged, it must be a Parquet file" in refusal([old_run], capsys)
