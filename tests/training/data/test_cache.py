from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.data.samples import random_images, write_archive, write_folders
from tune_lpc.plan import UserError
from tune_lpc.training.data import load_training_images
from tune_lpc.training.data.cache import cache_folder

IMAGES, LABELS, NAMES = random_images(40), np.arange(40) % 2, ("ant", "cat")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    write_folders(tmp_path / "my/pets", IMAGES, LABELS, NAMES)
    return tmp_path / "my"


def _decoded(caplog: pytest.LogCaptureFixture) -> int:
    return sum("decoding" in record.getMessage() for record in caplog.records)


def _folder(cache: Path) -> Path:
    (folder,) = (path for path in (cache / "images").iterdir() if path.is_dir())
    return folder


def test_the_second_load_only_maps(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first, second = load_training_images("pets", pets), load_training_images("pets", pets)
    assert _decoded(caplog) == 1
    assert (first.images == second.images).all() and first.fingerprint == second.fingerprint
    assert isinstance(second.images, np.memmap) and second.images.mode == "c"
    assert first.images.flags.writeable


def test_writing_to_the_images_changes_nothing_on_disk(pets: Path) -> None:
    images = load_training_images("pets", pets).images
    before = images[0].copy()
    images[0] = 0
    assert (load_training_images("pets", pets).images[0] == before).all()


def test_a_changed_file_or_another_size_is_decoded_anew(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = load_training_images("pets", pets)
    assert load_training_images("pets", pets, image_size=16).images.shape == (40, 16, 16, 3)
    file = pets / "pets/train/ant/00000.png"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    assert load_training_images("pets", pets).fingerprint == first.fingerprint
    assert _decoded(caplog) == 3


def test_the_way_to_the_folder_does_not_matter(
    pets: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    load_training_images("pets", pets)
    monkeypatch.chdir(pets)
    assert load_training_images("pets", Path()).source == "pets, 40 images from pets (image folders)"
    assert _decoded(caplog) == 1


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "digests.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["missing", "short", "empty"])
def test_a_damaged_cache_is_rebuilt_with_a_warning(
    pets: Path, cache: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    load_training_images("pets", pets)
    file = _folder(cache) / name
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(content[:-10] if damage == "short" else b"")
    caplog.clear()
    found = load_training_images("pets", pets)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1 and "damaged" in warnings[0] and "\n" not in warnings[0]
    assert (np.sort(found.labels) == np.sort(LABELS)).all()
    assert file.read_bytes() == content


def test_what_another_version_wrote_is_rebuilt_without_a_word(
    pets: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = load_training_images("pets", pets)
    meta = _folder(cache) / "meta.json"
    content = meta.read_text()
    for other in ({"format": 1}, {"format": 99}):
        meta.write_text(json.dumps(other))
        caplog.clear()
        assert load_training_images("pets", pets).fingerprint == wanted.fingerprint
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert meta.read_text() == content


def test_bad_data_leave_nothing_behind(pets: Path, cache: Path) -> None:
    (pets / "pets/train/ant/00002.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"00002\.png"):
        load_training_images("pets", pets)
    assert not [path for path in cache.rglob("*") if path.is_file() or "partial" in path.name]


def test_what_a_killed_process_left_is_cleared(pets: Path, cache: Path) -> None:
    load_training_images("pets", pets)
    folder = _folder(cache)
    folder.rename(folder.with_name(folder.name + ".partial-killed"))
    assert len(load_training_images("pets", pets).images) == 40
    assert not list(cache.rglob("*.partial-*"))


def test_a_cache_that_can_not_be_written_is_told(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        load_training_images("pets", pets, cache_dir=tmp_path / "file" / "cache")
    (line,) = caught.value.problems
    assert "can't be written" in line and "TUNE_LPC_CACHE" in line
    with pytest.raises(UserError, match="TUNE_LPC_CACHE"):
        load_training_images("svhn", cache_dir=tmp_path / "file" / "cache")


def test_the_cache_lies_where_the_system_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "the_cache"
    assert cache_folder(tmp_path / "given") == tmp_path / "given"
    monkeypatch.delenv("TUNE_LPC_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if sys.platform == "linux":
        assert cache_folder() == tmp_path / ".cache/tune_lpc"  # where it always was
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
        assert cache_folder() == tmp_path / "elsewhere/tune_lpc"
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert cache_folder() == tmp_path / ".cache/tune_lpc"


TOGETHER = """
import logging, multiprocessing, shutil, sys, time
from pathlib import Path
from torchvision import datasets
from torchvision.datasets import svhn
from tune_lpc.training.data import load_training_images

root = Path(sys.argv[1])

def download(url, folder, name, md5):
    if not (Path(folder) / name).exists():
        logging.info("downloading")
        time.sleep(0.3)
        shutil.copy(root / "server" / name, folder)

def load(barrier):
    barrier.wait()
    for found in (load_training_images("svhn"), load_training_images("pets", root / "my")):
        logging.info("fingerprint %s", found.fingerprint)

logging.basicConfig(level=logging.INFO)
svhn.download_url = download
url, name, _ = datasets.SVHN.split_list["train"]
datasets.SVHN.split_list["train"] = [url, name, sys.argv[2]]
context = multiprocessing.get_context("fork")
barrier = context.Barrier(4)
workers = [context.Process(target=load, args=(barrier,)) for _ in range(4)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
sys.exit(sum(abs(worker.exitcode) for worker in workers))
"""


def test_processes_that_start_together_download_and_decode_once(pets: Path, tmp_path: Path) -> None:
    _, _, ((_, _, sums),) = write_archive("svhn", tmp_path / "server")
    command = [sys.executable, "-c", TOGETHER, str(tmp_path), sums["train"][2]]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("downloading") == 1
    assert done.stderr.count("decoding svhn") == 1 and done.stderr.count("decoding pets") == 1
    fingerprints = [line for line in done.stderr.splitlines() if "fingerprint" in line]
    assert len(fingerprints) == 8 and len(set(fingerprints)) == 2
