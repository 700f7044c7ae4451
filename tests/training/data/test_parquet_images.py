from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.training.data.samples import png, random_images, write_parquet
from tune_lpc.plan import UserError
from tune_lpc.training.data import count_training_images, load_training_images

SHARED = Path(__file__).parents[4] / "shared" / "data"


def _pngs(images: np.ndarray) -> list[bytes]:
    return [png(pixels) for pixels in images]


def _problems(root: Path, dataset: str = "pets") -> list[str]:
    with pytest.raises(UserError) as caught:
        load_training_images(dataset, root)
    assert all("\n" not in line for line in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize(("image_column", "label_column"), [("image", "label"), ("img", "fine_label")])
def test_pixels_labels_and_names_come_through_in_order(tmp_path: Path, image_column: str, label_column: str) -> None:
    images, labels = random_images(3000, size=4), np.arange(3000) % 3
    for part, rows in enumerate((slice(0, 1700), slice(1700, 3000))):
        write_parquet(
            tmp_path / f"pets/plain/train-0000{part}-of-00002.parquet",
            _pngs(images[rows]),
            labels[rows].tolist(),
            image_column=image_column,
            label_column=label_column,
            class_names=("ant", "cat", "dog"),
        )
    found = load_training_images("pets", tmp_path)
    assert found.images.dtype == np.uint8 and found.labels.dtype == np.int64
    assert (found.images == images).all()
    assert (found.labels == labels).all()
    assert found.class_names == ("ant", "cat", "dog")
    assert found.source == f"pets, 3,000 images from {tmp_path}/pets (Parquet)"
    assert count_training_images("pets", tmp_path) == 3000


def test_without_names_the_largest_label_is_the_last_class(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pets/train-0.parquet", _pngs(random_images(6)), [0, 1, 2, 0, 1, 2])
    assert load_training_images("pets", tmp_path).class_names == ("0", "1", "2")


def test_grey_images_keep_one_channel_only_when_all_are_grey(tmp_path: Path) -> None:
    grey, colour = random_images(3, channels=1), random_images(1)
    write_parquet(tmp_path / "grey/train-0.parquet", _pngs(grey), [0, 1, 1])
    write_parquet(tmp_path / "mixed/train-0.parquet", [*_pngs(grey), *_pngs(colour)], [0, 1, 1, 0])
    assert (load_training_images("grey", tmp_path).images == grey).all()
    mixed = load_training_images("mixed", tmp_path).images
    assert (mixed[:3] == np.repeat(grey, 3, axis=3)).all()
    assert (mixed[3] == colour[0]).all()


def test_sixteen_bits_a_pixel_become_the_upper_eight(tmp_path: Path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    stored = io.BytesIO()
    Image.fromarray(deep).save(stored, "PNG")
    write_parquet(tmp_path / "pets/train-0.parquet", [stored.getvalue()] * 2, [0, 1])
    assert (load_training_images("pets", tmp_path).images[0, :, :, 0] == deep >> 8).all()


def test_different_sizes_are_told_and_scaled_when_asked(tmp_path: Path) -> None:
    wide = random_images(1, 30)[0, :10]
    write_parquet(tmp_path / "pets/train-0.parquet", [png(wide), *_pngs(random_images(1, 16))], [0, 1])
    (line,) = _problems(tmp_path)
    assert "30 x 10" in line and "16 x 16" in line and "--set image_size=32" in line
    found = load_training_images("pets", tmp_path, image_size=8).images
    assert found.shape == (2, 8, 8, 3)
    whole = Image.fromarray(wide).resize((24, 8), Image.Resampling.BILINEAR)
    assert (found[0] == np.asarray(whole)[:, 8:16]).all()


def test_all_problems_of_a_file_come_together(tmp_path: Path) -> None:
    images: list[bytes | None] = list(_pngs(random_images(8)))
    images[2] = b"no image"
    images[3] = None
    images[5] = images[5][:60]  # type: ignore[index]
    write_parquet(tmp_path / "pets/train-0.parquet", images, [0, 1, 0, 1, 7, 1, -1, 0], class_names=("ant", "cat"))
    lines = _problems(tmp_path)
    assert len(lines) == 5
    assert [f"row {row} " in line for row, line in zip((4, 6, 2, 3, 5), lines, strict=True)] == [True] * 5
    assert "the label is 7, but must be from 0 to 1" in lines[0]
    assert "the label is -1" in lines[1]
    assert "train-0.parquet" in lines[2] and "broken" in lines[2]


def test_a_missing_label_hides_no_other_problem(tmp_path: Path) -> None:
    names = ("ant", "cat", "dog")
    write_parquet(tmp_path / "pets/train-0.parquet", _pngs(random_images(4)), [0, None, 1, 9], class_names=names)
    first, second = _problems(tmp_path)
    assert "row 1 " in first and "missing" in first
    assert "row 3 " in second and "the label is 9" in second


def test_after_five_problems_the_rest_is_counted(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pets/train-0.parquet", [b"no image"] * 50, [0, 1] * 25)
    lines = _problems(tmp_path)
    assert len(lines) == 6 and lines[-1] == "and 45 more problems like these"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        ([0, None, 1, 1], pa.int64(), "row 1 (from 0): the label is missing"),
        ([0.0, 1.0, 1.5, 1.0], pa.float64(), "row 2 (from 0): the label is 1.5, but must be a whole number"),
        ([b"a", b"b", b"a", b"b"], pa.binary(), "column 'label' holds binary values, but must hold whole numbers"),
        ([0, 1, math.inf, 1], pa.float64(), "row 2 (from 0): the label is inf, but must be a whole number"),
        ([0, 1, math.nan, 1], pa.float32(), "row 2 (from 0): the label is nan, but must be a whole number"),
        ([0, 1, 1e300, 1], pa.float64(), "row 2 (from 0): the label is 1e+300, but must be a whole number from 0 to"),
        ([0, 1, 2**64 - 1, 1], pa.uint64(), "row 2 (from 0): the label is 18446744073709551615, but must be"),
        ([0, 1, -(2**63), 1], pa.int64(), "row 2 (from 0): the label is -9223372036854775808, but must be"),
        ([0, 1, 2**31, 1], pa.int64(), "row 2 (from 0): the label is 2147483648, but must be a whole number"),
        ([0, 1, -1, 1], pa.float64(), "row 2 (from 0): the label is -1, but must be 0 or more"),
        ([0, 2, 2, 0], pa.int64(), "class 1 has no images"),
        ([0, 1, 10**9, 1], pa.int64(), "row 2 (from 0): the label is 1000000000, but the next lower one is 1, and"),
        ([7, 8, 9, 9], pa.int64(), "row 0 (from 0): the label is 7, but none is lower, and each class from 0 must"),
        ([0, 0, 0, 0], pa.int64(), "only one class"),
    ],
)
def test_bad_labels_are_told(tmp_path: Path, labels: list[object], kind: pa.DataType, words: str) -> None:
    write_parquet(tmp_path / "pets/train-0.parquet", _pngs(random_images(4)), labels, label_type=kind)
    (line,) = _problems(tmp_path)
    assert words in line


def test_small_gaps_in_the_labels_are_told_beside_a_wrong_label(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pets/train-0.parquet", _pngs(random_images(5)), [0, 2, 4, 500, 500])
    first, second, third = _problems(tmp_path)
    assert "class 1 has no images" in first and "number the labels anew from 0" in first
    assert "class 3 has no images" in second
    assert "row 3 " in third and "the label is 500, but the next lower one is 4" in third


def test_many_classes_without_images_are_counted(tmp_path: Path) -> None:
    names = [f"name{c}" for c in range(20)]
    write_parquet(tmp_path / "pets/train-0.parquet", _pngs(random_images(4)), [0, 2, 10, 19], class_names=names)
    lines = _problems(tmp_path)
    assert [line.split("'")[1] for line in lines[:5]] == ["name1", "name3", "name4", "name5", "name6"]
    assert lines[5] == "and 11 more problems like these"


def test_files_in_several_folders_are_refused_as_they_may_be_forms_of_the_same_data(tmp_path: Path) -> None:
    for place in ("cropped_digits", "full_numbers"):
        write_parquet(tmp_path / "svhn" / place / "train-0.parquet", _pngs(random_images(10)), list(range(10)))
    (line,) = _problems(tmp_path, "svhn")
    assert f"{tmp_path}/svhn/cropped_digits, {tmp_path}/svhn/full_numbers" in line and "--data-dir" in line
    with pytest.raises(UserError, match="full_numbers"):
        count_training_images("svhn", tmp_path)
    assert count_training_images("svhn", tmp_path / "svhn" / "full_numbers") == 10


def test_a_built_in_name_fixes_the_number_of_classes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "svhn/train-0.parquet", _pngs(random_images(11)), list(range(11)))
    (line,) = _problems(tmp_path, "svhn")
    assert "row 10" in line and "from 0 to 9 (10 classes)" in line


def test_missing_columns_and_a_truncated_file_are_told_together(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pets/train-0.parquet", _pngs(random_images(2)), [0, 1], image_column="picture")
    whole = tmp_path / "pets/train-1.parquet"
    write_parquet(whole, _pngs(random_images(2)), [0, 1])
    whole.write_bytes(whole.read_bytes()[:-20])
    first, second = _problems(tmp_path)
    assert "no image column" in first and "picture" in first
    assert "train-1.parquet can't be read as Parquet" in second
    with pytest.raises(UserError, match="no image column"):
        count_training_images("pets", tmp_path)


def test_a_file_damaged_in_the_middle_is_told(tmp_path: Path) -> None:
    file = tmp_path / "pets/train-0.parquet"
    write_parquet(file, _pngs(random_images(50)), [0, 1] * 25)
    content = bytearray(file.read_bytes())
    start = pq.read_metadata(file).row_group(0).column(0).data_page_offset
    content[start : start + 40] = b"\xff" * 40
    file.write_bytes(content)
    assert any("can't be read as Parquet" in line for line in _problems(tmp_path))


def test_no_rows_is_told(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pets/train-0.parquet", [], [], label_type=pa.int64())
    assert "holds no images" in _problems(tmp_path)[0]


@pytest.mark.skipif(not (SHARED / "cifar10").exists(), reason="needs ../shared/data with cifar10 and mnist")
@pytest.mark.parametrize(("dataset", "shape"), [("cifar10", (10_000, 32, 32, 3)), ("mnist", (17_435, 28, 28, 1))])
def test_the_real_images(dataset: str, shape: tuple[int, ...]) -> None:
    found = load_training_images(dataset, SHARED)
    assert found.images.shape == shape
    assert count_training_images(dataset, SHARED) == shape[0]
    assert len(found.class_names) == 10
    (file,) = (SHARED / dataset).rglob("train-*.parquet")
    column = pq.read_table(file).column(0)
    for row in (0, 5000, shape[0] - 1):
        image = Image.open(io.BytesIO(column[row]["bytes"].as_py()))
        assert (np.asarray(image).reshape(shape[1:]) == found.images[row]).all()
