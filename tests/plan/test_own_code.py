"""Files of the user's own: found, run, kept with the results and read from there."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.plan.own_code import OWN, OwnCode, collect_own_code, read_own_code

FILES = {
    "mine.py": """
import helper
from parts import one

def three():
    import late
    return helper.X + one.Y + late.Z

number = 3
""",
    "helper.py": "X = 1\n",
    "late.py": "Z = 100\n",
    "parts/__init__.py": "",
    "parts/one.py": "from . import two\nfrom parts import two as again\nY = two.V\n",
    "parts/two.py": "V = 10\n",
    "unrelated.py": "raise SystemExit\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("mine.py:build", True),
        ("models/mine.py:build", True),
        ("my models/mine-2.py:Build_2", True),
        ("../mine.py:build", False),
        ("/tmp/mine.py:build", False),
        ("mine.py", False),
        ("mine.py:", False),
        ("mine.py:2d", False),
        ("mine.pyc:build", False),
        ("mlp", False),
        (3, False),
    ],
)
def test_what_names_a_function_of_the_users_own(value: object, is_one: bool) -> None:
    assert (value in OWN) == is_one


def test_a_function_runs_with_all_that_lies_beside_its_file(folder: Path) -> None:
    code = collect_own_code(["mine.py:three"], [folder])
    assert set(code.files) == set(FILES) - {"unrelated.py"}
    for name in FILES:
        (folder / name).unlink()
    assert code.function("mine.py:three")() == 111
    assert pickle.loads(pickle.dumps(code)).function("mine.py:three")() == 111
    assert not {"mine", "helper", "late", "parts"} & set(sys.modules)


def test_two_versions_of_a_file_stand_beside_each_other() -> None:
    found = [OwnCode({"mine.py": f"def value(): return {n}".encode()}).function("mine.py:value")() for n in (1, 2)]
    assert found == [1, 2]


def test_files_in_a_folder_import_those_beside_them_there() -> None:
    files = {"models/mine.py": b"import helper\ndef value(): return helper.X\n", "models/helper.py": b"X = 5\n"}
    assert OwnCode(files | {"helper.py": b"X = 6\n"}).function("models/mine.py:value")() == 5


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("mine.py:thre", "mine.py:thre: thre is not there in mine.py; did you mean 'three'?"),
        ("mine.py:number", "mine.py:number: number is no function in mine.py"),
    ],
)
def test_a_function_that_is_not_there_is_told_with_the_nearest(folder: Path, reference: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        collect_own_code([reference], [folder]).function(reference)
    assert caught.value.problems == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere'"),
        ("raise ValueError('first\\nsecond')\n", "ValueError: first"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("import math.nothing\n", "ModuleNotFoundError: No module named 'math.nothing'"),
    ],
)
def test_a_file_that_cannot_be_run_is_a_line(text: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        OwnCode({"mine.py": text.encode()}).function("mine.py:build")
    (problem,) = caught.value.problems
    assert problem.startswith(f"mine.py can't be run: {told}") and "\n" not in problem


def test_every_file_that_is_missing_or_no_python_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("def (:\n")
    with pytest.raises(UserError) as caught:
        collect_own_code(["gone.py:f", "wrong.py:f", "gone.py:g"], [tmp_path, tmp_path])
    missing, wrong = caught.value.problems
    assert missing == f"there is no file gone.py in {tmp_path}; put it beside the search space"
    assert wrong.startswith(f"{tmp_path / 'wrong.py'} can't be read: ")


def test_the_first_folder_that_has_it_counts(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.py").write_text("def three(): return 3\n")
    assert collect_own_code(["mine.py:three"], [other, folder]).function("mine.py:three")() == 3


def test_what_was_kept_with_results_is_read_whole_or_refused(folder: Path, tmp_path: Path) -> None:
    code = collect_own_code(["mine.py:three"], [folder])
    results = tmp_path / "results"
    code.write(results / "code")
    assert read_own_code(results, code.digests) == code
    assert read_own_code(results, {}) == OwnCode() and not OwnCode()
    (results / "code" / "helper.py").write_text("X = 2\n")
    (results / "code" / "late.py").unlink()
    with pytest.raises(UserError) as caught:
        read_own_code(results, code.digests)
    changed, gone = caught.value.problems
    assert "helper.py was changed since the search began" in changed
    assert "late.py, which the search ran, can't be read" in gone


def test_digests_tell_contents_and_names_apart() -> None:
    assert OwnCode({"a.py": b"1"}).digest != OwnCode({"a.py": b"2"}).digest != OwnCode({"b.py": b"2"}).digest
    assert OwnCode({"a.py": b"1", "b.py": b"2"}).digest == OwnCode({"b.py": b"2", "a.py": b"1"}).digest


@pytest.mark.parametrize("setting", ["network", "augmentation", "extra_loss"])
def test_settings_take_it_and_refuse_what_is_no_such_name(setting: str) -> None:
    assert getattr(TrialSpec.build({setting: "mine.py:three"}), setting) == "mine.py:three"
    with pytest.raises(UserError, match=rf"{setting} is 'mine.pyx:three', but must be one of .*FILE\.py:FUNCTION"):
        TrialSpec.build({setting: "mine.pyx:three"})


def test_settings_of_other_networks_have_an_effect_only_there() -> None:
    ours, timm = TrialSpec.build({"network": "mlp"}), TrialSpec.build({"network": "timm/resnet10t"})
    assert (ours.activation, ours.pretrained, ours.extra_loss_weight) == ("silu", None, None)
    assert (timm.activation, timm.pretrained, timm.pretrained_file) == (None, False, None)
    assert TrialSpec.build({"network": "timm/resnet10t", "head": "nonlinear"}).activation == "silu"
    with pytest.raises(UserError, match=r"pretrained_file is 'w\.pt', but must be a path from / on"):
        TrialSpec.build({"network": "timm/resnet10t", "pretrained": True, "pretrained_file": "w.pt"})
