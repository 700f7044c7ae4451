"""The search never opens test data: every layout is given test files that nobody may touch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.training.data.samples import POISON, png, random_images, write_folders, write_parquet

SCRIPT = """
import sys
from pathlib import Path
from tests.training.data.samples import write_archive

root = Path(sys.argv[1])
built_in = ("cifar10", "cifar100", "mnist", "svhn")
for dataset in built_in:
    for kind, name, value in write_archive(dataset, root / "cache" / "downloads" / dataset)[2]:
        setattr(kind, name, value)

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, Path)):
        path = arguments[0].decode() if isinstance(arguments[0], bytes) else str(arguments[0])
        if path.startswith(str(root)):
            print(path[len(str(root)) + 1 :])

sys.addaudithook(note)
from tune_lpc.plan import TrialSpec
from tune_lpc.training.data import count_training_images, load_training_images
from tune_lpc.training.prepare import prepare, start_training

for dataset in built_in:
    load_training_images(dataset, cache_dir=root / "cache")
for layout in ("parquet", "folders", "flat"):
    count_training_images("pets", root / layout)
    load_training_images("pets", root / layout, cache_dir=root / "cache")
    found = prepare(TrialSpec.build({"dataset": "pets"}), root / layout)  # two images a class: none to keep apart
    assert not found.source.final_test.kept_apart, layout

settings = {"dataset": "pets", "data_from": "disk", "data_workers": 0, "image_size": 8, "epochs": 1}
spec = TrialSpec.build({**settings, "augmentation": "resized_crop", "validation_share": 0.5})
list(start_training(spec, prepare(spec, root / "disk")).epochs())
"""

TEST_NAMES = {"test", "test_batch", "test_32x32.mat", "extra_32x32.mat"}


def test_no_test_file_is_opened_in_any_layout(tmp_path: Path) -> None:
    root = tmp_path / "root"
    images, labels = random_images(4), np.array([0, 0, 1, 1])
    for folder in (root / "parquet/pets/data", root / "flat"):
        write_parquet(folder / "train-00000.parquet", [png(p) for p in images], labels.tolist())
        for name in ("test-00000.parquet", "validation-00000.parquet"):
            (folder / name).write_bytes(POISON)  # pyarrow opens files unseen by Python, but would refuse this one
    for layout in ("folders", "disk"):
        write_folders(root / layout / "pets", images, labels, ("ant", "cat"))
        for name in ("ant", "cat"):
            file = root / layout / "pets/test" / name / "0.png"
            file.parent.mkdir(parents=True)
            file.write_bytes(POISON)

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root)],
        env={**os.environ, "TUNE_LPC_CACHE": str(root / "cache")},
        cwd=Path(__file__).parents[3],
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    opened = [Path(line) for line in done.stdout.splitlines()]
    names = {path.name for path in opened}
    # The hook sees what is opened: training files of every kind are there.
    assert {"data_batch_1", "train", "train_32x32.mat", "train-images-idx3-ubyte", "00000.png"} <= names
    # Of the images on disk each header is read, then the pixels: for the statistics, to train or to validate; of the
    # first ones also to see whether they show anything.
    assert {opened.count(Path("disk/pets/train") / name) for name in ("ant/00000.png", "cat/00003.png")} <= {2, 3, 4}
    for path in opened:
        assert not TEST_NAMES & set(path.parts), path
        assert not path.name.startswith(("test-", "validation-", "t10k")), path
    assert not list((root / "cache").rglob("test_batch"))
