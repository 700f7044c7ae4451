"""Image sets as people have them, odd ones: each with its pixels as Pillow reads them by hand, or with the error.

`python -m tests.training.data.odd_sets FOLDER` writes them all, to be looked at.
"""

from __future__ import annotations

import csv
import io
import json
import struct
import sys
import tarfile
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageOps

SIDE = 16
NAME = "pets"
SETS: dict[str, Callable[[Path], Made]] = {}


@dataclass
class Made:
    """A set in `root/pets`: its images in order, uint8 (n, height, width, channels), and classes; or what is told.

    labels: of each image. names: of the classes. told: words of the error or, with images, of the source or the log.
    """

    images: list[np.ndarray] | None = None
    labels: tuple[int, ...] = (0, 0, 1, 1)
    names: tuple[str, ...] = ("ant", "cat")
    told: tuple[str, ...] = ()
    image_size: int | None = None


def odd(make: Callable[[Path], Made]) -> Callable[[Path], Made]:
    SETS[make.__name__] = make
    return make


def pictures(n: int = 4, height: int = SIDE, width: int = SIDE, channels: int = 3) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (n, height, width, channels), dtype=np.uint8))


def image_of(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def stored(image: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def shown(content: bytes, mode: str = "RGB") -> np.ndarray:
    """The pixels as Pillow reads them, turned as EXIF says."""
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert(mode))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def put(root: Path, contents: list[bytes], ending: str = "png", part: str = "train") -> list[Path]:
    """Two images of ant, the others of cat, as files in class folders."""
    files = []
    for i, content in enumerate(contents):
        file = root / NAME / part / ("ant" if i < 2 else "cat") / f"{i}.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        files.append(file)
    return files


def png_chunks(image: Image.Image, behind: bytes = b"", before: bytes = b"") -> bytes:
    """A PNG with chunks before and behind its pixels."""
    content = stored(image)
    end, start = content.index(b"IEND") - 4, content.index(b"IDAT") - 4
    return content[:start] + before + content[start:end] + behind + content[end:]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def deep_png(values: np.ndarray) -> bytes:
    """16 bits a channel: values (height, width, channels)."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def white_on(rgba: np.ndarray) -> np.ndarray:
    """What is seen of colours with alpha on a white ground, in whole numbers as Pillow reckons: to 1 near."""
    alpha = rgba[:, :, 3:].astype(float) / 255
    return np.round(rgba[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def half_white() -> Image.Image:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:8] = 255
    return Image.fromarray(pixels)


# Orientation


def turned(root: Path, kind: str, ending: str, **how: Any) -> Made:
    contents = [stored(image_of(p), kind, exif=exif(o), **how) for o, p in zip((6, 8, 3, 5), pictures(), strict=True)]
    put(root, contents, ending)
    return Made([shown(content) for content in contents])


@odd
def orientation_jpeg(root: Path) -> Made:
    return turned(root, "JPEG", "jpg")


@odd
def orientation_png(root: Path) -> Made:
    return turned(root, "PNG", "png")


@odd
def orientation_webp(root: Path) -> Made:
    return turned(root, "WEBP", "webp", lossless=True)


@odd
def orientation_tiff(root: Path) -> Made:
    return turned(root, "TIFF", "tif")


@odd
def orientation_behind_the_pixels_of_a_png(root: Path) -> Made:
    told = chunk(b"eXIf", exif(7).tobytes()[6:])
    contents = [png_chunks(image_of(p), behind=told) for p in pictures()]
    put(root, contents)
    # Pillow's exif_transpose, asked before the pixels are read, would miss it.
    return Made([np.asarray(image_of(p).transpose(Image.Transpose.TRANSVERSE)) for p in pictures()])


@odd
def orientation_of_images_that_are_not_square(root: Path) -> Made:
    lying, upright = pictures(4, 8, 16)[:2], pictures(4, 16, 8)[2:]
    contents = [stored(image_of(p), exif=exif(6)) for p in lying] + [stored(image_of(p)) for p in upright]
    put(root, contents)
    return Made([shown(content) for content in contents])


@odd
def orientation_half_white(root: Path) -> Made:
    contents = [stored(half_white(), exif=exif(6))] + [stored(image_of(p)) for p in pictures()[1:]]
    put(root, contents)
    expected = np.zeros((SIDE, SIDE, 3), np.uint8)
    expected[:, 8:] = 255  # the right half
    return Made([expected, *pictures()[1:]])


@odd
def orientation_in_parquet(root: Path) -> Made:
    contents = [stored(image_of(p), "JPEG", exif=exif(6)) for p in pictures()]
    table(root / NAME / "train-0.parquet", contents, [0, 0, 1, 1])
    return Made([shown(content) for content in contents], names=("0", "1"))


@odd
def orientation_that_does_not_exist(root: Path) -> Made:
    put(root, [stored(image_of(p), exif=exif(0)) for p in pictures()])
    return Made(pictures())


# Modes and depths


@odd
def grey_of_12_bits_in_16(root: Path) -> Made:
    values = np.random.default_rng(0).integers(0, 4096, (4, SIDE, SIDE, 1))
    values[0, 0, 0] = 4095
    put(root, [deep_png(v) for v in values])
    return Made(
        [(v >> 4).astype(np.uint8) for v in values], told=("4 images of 16 bits hold values up to 4,095", "12 bits")
    )


@odd
def grey_of_16_bits(root: Path) -> Made:
    values = np.random.default_rng(0).integers(0, 65536, (4, SIDE, SIDE, 1))
    put(root, [deep_png(v) for v in values])
    return Made([(v >> 8).astype(np.uint8) for v in values])


@odd
def grey_of_8_bits_in_16(root: Path) -> Made:
    put(root, [deep_png(p.astype(int)) for p in pictures(channels=1)])
    return Made(pictures(channels=1), told=("hold values up to 255", "8 bits"))


@odd
def grey_of_10_bits_in_a_tiff_of_32(root: Path) -> Made:
    values = np.random.default_rng(0).integers(0, 1024, (4, SIDE, SIDE, 1))
    put(root, [stored(Image.fromarray(v[:, :, 0].astype(np.int32)), "TIFF") for v in values], "tiff")
    return Made([(v >> 2).astype(np.uint8) for v in values], told=("10 bits",))


@odd
def grey_beyond_16_bits(root: Path) -> Made:
    values = [p[:, :, 0].astype(np.int32) * 1000 for p in pictures(channels=1)]
    put(root, [stored(Image.fromarray(v), "TIFF") for v in values], "tiff")
    return Made(told=("0.tiff", "65,535", "store 8 or 16 bits"))


@odd
def grey_below_zero(root: Path) -> Made:
    values = [p[:, :, 0].astype(np.int32) - 128 for p in pictures(channels=1)]
    put(root, [stored(Image.fromarray(v), "TIFF") for v in values], "tiff")
    return Made(told=("0.tiff", "-12", "store 8 or 16 bits"))


@odd
def floating_point(root: Path) -> Made:
    put(root, [stored(Image.fromarray(p[:, :, 0] / np.float32(255)), "TIFF") for p in pictures(channels=1)], "tiff")
    return Made(told=("0.tiff", "floating-point", "store 8 or 16 bits"))


@odd
def colour_of_16_bits(root: Path) -> Made:
    values = np.random.default_rng(0).integers(0, 65536, (4, SIDE, SIDE, 3))
    put(root, [deep_png(v) for v in values])
    return Made([(v >> 8).astype(np.uint8) for v in values])


@odd
def colour_of_12_bits_in_16(root: Path) -> Made:
    values = np.random.default_rng(0).integers(0, 4096, (4, SIDE, SIDE, 3))
    put(root, [deep_png(v) for v in values])
    return Made(told=("only the upper 8 bits are read", "scale the values"))


@odd
def lab_colours(root: Path) -> Made:
    put(root, [stored(Image.frombytes("LAB", (SIDE, SIDE), p.tobytes()), "TIFF") for p in pictures()], "tiff")
    return Made(told=("0.tiff", "LAB", "store it as RGB"))


@odd
def cmyk(root: Path) -> Made:
    contents = [stored(Image.frombytes("CMYK", (SIDE, SIDE), p.tobytes()), "TIFF") for p in pictures(channels=4)]
    put(root, contents, "tiff")
    return Made([shown(content) for content in contents])


@odd
def one_bit_and_palettes(root: Path) -> Made:
    contents = [stored(image_of(p).convert(mode)) for p, mode in zip(pictures(), ("1", "P", "L", "RGB"), strict=True)]
    put(root, contents)
    return Made([shown(content) for content in contents])


@odd
def all_of_one_colour(root: Path) -> Made:
    put(root, [stored(Image.new("RGB", (SIDE, SIDE), (i, 0, 0))) for i in range(4)])
    return Made(told=("each image is of one colour",))


# Transparency


@odd
def a_shape_in_alpha_alone(root: Path) -> Made:
    pixels = np.zeros((4, SIDE, SIDE, 4), np.uint8)
    pixels[..., 3] = np.random.default_rng(0).integers(0, 2, pixels.shape[:3]) * 255
    put(root, [stored(Image.fromarray(p)) for p in pixels])
    return Made([white_on(p) for p in pixels])


@odd
def colour_hidden_under_alpha(root: Path) -> Made:
    pixels = np.stack(pictures(channels=4))
    pixels[..., 3] = np.where(np.arange(SIDE) < 5, 0, 255)
    put(root, [stored(Image.fromarray(p)) for p in pixels])
    return Made([white_on(p) for p in pixels])


@odd
def grey_with_alpha(root: Path) -> Made:
    pixels = np.stack(pictures(channels=2))
    pixels[..., 1] = np.where(np.arange(SIDE) < 5, 0, 255)
    put(root, [stored(Image.fromarray(p, "LA")) for p in pixels])
    return Made([np.where(p[:, :, 1:] > 0, p[:, :, :1], 255).astype(np.uint8) for p in pixels])


@odd
def a_transparent_palette_colour(root: Path) -> Made:
    images = [image_of(p).quantize(8) for p in pictures()]
    put(root, [stored(image, "GIF", transparency=3) for image in images], "gif")
    expected = [np.asarray(image.convert("RGB")).copy() for image in images]
    for pixels, image in zip(expected, images, strict=True):
        pixels[np.asarray(image) == 3] = 255
    return Made(expected)


@odd
def a_transparent_value_of_a_png_without_alpha(root: Path) -> Made:
    images = pictures()
    for pixels in images:
        pixels[:4] = (1, 2, 3)
    put(root, [stored(Image.fromarray(p), transparency=(1, 2, 3)) for p in images])
    return Made([np.where((p == (1, 2, 3)).all(axis=2, keepdims=True), 255, p).astype(np.uint8) for p in images])


@odd
def a_transparent_value_of_16_bits(root: Path) -> Made:
    values = np.random.default_rng(0).integers(256, 65536, (4, SIDE, SIDE, 1))
    values[:, :4] = 300
    contents = []
    for v in values:
        content, told = deep_png(v), chunk(b"tRNS", struct.pack(">H", 300))
        at = content.index(b"IDAT") - 4
        contents.append(content[:at] + told + content[at:])
    put(root, contents)
    return Made([np.where(v == 300, 255, v >> 8).astype(np.uint8) for v in values])


# Files, endings, links


def ending(root: Path, kind: str, name: str, **how: Any) -> Made:
    contents = [stored(image_of(p), kind, **how) for p in pictures()]
    put(root, contents, name)
    return Made([shown(content) for content in contents])


@odd
def ending_ppm(root: Path) -> Made:
    return ending(root, "PPM", "ppm")


@odd
def ending_tif(root: Path) -> Made:
    return ending(root, "TIFF", "TIF")


@odd
def ending_jfif(root: Path) -> Made:
    return ending(root, "JPEG", "jfif")


@odd
def ending_jpe(root: Path) -> Made:
    return ending(root, "JPEG", "jpe")


@odd
def ending_gif(root: Path) -> Made:
    return ending(root, "GIF", "gif")


@odd
def ending_jp2(root: Path) -> Made:
    return ending(root, "JPEG2000", "jp2")


@odd
def endings_beside_one_another(root: Path) -> Made:
    kinds: dict[str, dict[str, Any]] = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}
    contents = [stored(image_of(p), kind, **how) for p, (kind, how) in zip(pictures(), kinds.items(), strict=True)]
    for file, kind in zip(put(root, contents), kinds, strict=True):
        file.rename(file.with_suffix(f".{kind.lower()}"))
    return Made(pictures())


@odd
def several_pictures_in_a_file(root: Path) -> Made:
    others = [image_of(p) for p in pictures()[1:]]
    contents = [stored(image_of(p), "TIFF", save_all=True, append_images=others) for p in pictures()]
    put(root, contents, "tif")
    return Made(pictures(), told=("4 files hold more than one picture", "the first of each is read"))


@odd
def other_files_among_them(root: Path) -> Made:
    files = put(root, [stored(image_of(p)) for p in pictures()])
    for name in ("notes.txt", "more.txt", "Thumbs.db", "README", ".DS_Store"):
        (files[0].parent / name).write_text("x")
    (files[0].parents[1] / "5.png").write_bytes(files[0].read_bytes())
    told = "6 files left out (1 .db, 2 .txt, 1 hidden, 1 outside the class folders, 1 without an ending)"
    return Made(pictures(), told=(told,))


@odd
def a_linked_folder_inside_a_class(root: Path) -> Made:
    files = put(root, [stored(image_of(p)) for p in pictures()])
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    files[1].rename(elsewhere / "1.png")
    (files[0].parent / "linked").symlink_to(elsewhere)
    (elsewhere / "again").symlink_to(files[0].parent)  # in a circle
    return Made(pictures())


@odd
def a_linked_class(root: Path) -> Made:
    files = put(root, [stored(image_of(p)) for p in pictures()])
    files[2].parent.rename(root / "cats")
    files[2].parent.symlink_to(root / "cats")
    return Made(pictures())


@odd
def a_link_to_an_image_that_is_gone(root: Path) -> Made:
    files = put(root, [stored(image_of(p)) for p in pictures()])
    (files[0].parent / "gone.png").symlink_to(root / "nowhere.png")
    return Made(told=("ant/gone.png", "nowhere.png, which is not there"))


@odd
def a_link_to_a_class_that_is_gone(root: Path) -> Made:
    files = put(root, [stored(image_of(p)) for p in pictures()])
    (files[0].parents[1] / "dog").symlink_to(root / "dogs")
    return Made(told=("train/dog", "dogs, which is not there"))


@odd
def an_image_that_is_none(root: Path) -> Made:
    put(root, [stored(image_of(p)) for p in pictures()])[2].write_text("<html>not found</html>")
    return Made(told=("cat/2.png", "the image is broken"))


@odd
def too_many_pixels(root: Path) -> Made:
    huge = chunk(b"IHDR", struct.pack(">IIBBBBB", 14000, 14000, 8, 0, 0, 0, 0))
    files = put(root, [stored(image_of(p)) for p in pictures()])
    files[1].write_bytes(b"\x89PNG\r\n\x1a\n" + huge + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    return Made(told=("ant/1.png", "more than 178,956,970 pixels", "make it smaller"))


@odd
def a_corrupt_exif_of_which_pillow_warns(root: Path) -> Made:
    cut = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        contents = [stored(image_of(p), "JPEG", exif=cut) for p in pictures()]
        pixels = [np.asarray(Image.open(io.BytesIO(content))) for content in contents]
    put(root, contents, "jpg")
    return Made(pixels, told=("jpg: Pillow says", "EXIF"))


@odd
def a_tiff_that_is_cut_off(root: Path) -> Made:
    contents = [stored(image_of(p), "TIFF", compression="raw") for p in pictures()]
    put(root, [content[:-4] for content in contents], "tiff")
    return Made(told=("tiff",))


@odd
def images_that_are_not_square(root: Path) -> Made:
    sizes = ((16, 24), (24, 16), (32, 20), (16, 16))
    images = [pictures(1, height, width)[0] for height, width in sizes]
    put(root, [stored(Image.fromarray(p)) for p in images])
    expected = []
    for pixels, (height, width) in zip(images, sizes, strict=True):
        side = min(height, width)
        box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
        expected.append(np.asarray(Image.fromarray(pixels).resize((8, 8), Image.Resampling.BILINEAR, box=box)))
    return Made(expected, image_size=8)


# Sets of files


STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def columns(contents: list[bytes], labels: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    images = pa.array([{"bytes": content, "path": None} for content in contents], STRUCT)
    return pa.table({"image": images, "label": pa.array(labels, kind)})


def table(file: Path, contents: list[bytes], labels: list[Any], kind: pa.DataType | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(columns(contents, labels, kind), file)


def plain() -> list[bytes]:
    return [stored(image_of(p)) for p in pictures()]


def as_table(root: Path, name: str, names: tuple[str, ...] = ("0", "1")) -> Made:
    table(root / NAME / name, plain(), [0, 0, 1, 1])
    return Made(pictures(), names=names)


@odd
def two_writings_of_a_shard(root: Path) -> Made:
    as_table(root, "train-00000-of-00001.parquet")
    as_table(root, "train-00000-of-00001-a09b74b3ef9c3b56.parquet")
    return Made(told=("train-00000-of-00001-a09b74b3ef9c3b56.parquet", "read twice", "remove the older"))


@odd
def two_sets_of_shards(root: Path) -> Made:
    for name in ("train-00000-of-00001.parquet", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"):
        as_table(root, name)
    return Made(told=("of-00001", "different sets", "remove the older"))


@odd
def a_missing_shard(root: Path) -> Made:
    as_table(root, "train-00000-of-00002.parquet")
    return Made(told=("holds 1 of the 2 pieces", "number 1 of 2 is missing"))


@odd
def a_shard_beside_a_whole(root: Path) -> Made:
    as_table(root, "train-00000-of-00001.parquet")
    as_table(root, "train-all.parquet")
    return Made(told=("train-all.parquet", "remove it"))


@odd
def two_writings_of_spark(root: Path) -> Made:
    for number, letter in enumerate("ab"):
        as_table(root, f"train/part-0000{number}-{letter * 8}-1111-2222-3333-444444444444-c000.snappy.parquet")
    return Made(told=("different sets", "remove the older"))


@odd
def an_empty_shard_without_types(root: Path) -> Made:
    as_table(root, "train-00000-of-00002.parquet")
    pq.write_table(pa.table({"image": pa.nulls(0), "label": pa.nulls(0)}), root / NAME / "train-00001-of-00002.parquet")
    return Made(pictures(), names=("0", "1"))


@odd
def train_parquet(root: Path) -> Made:
    return as_table(root, "train.parquet")


@odd
def converted_by_hugging_face(root: Path) -> Made:
    return as_table(root, "default/train/0000.parquet")


@odd
def written_by_spark(root: Path) -> Made:
    return as_table(root, "train/part-00000-aaaaaaaa-1111-2222-3333-444444444444-c000.snappy.parquet")


@odd
def labels_that_are_texts(root: Path) -> Made:
    table(root / NAME / "train-0.parquet", plain(), ["dog", "dog", "bee", "bee"])
    return Made(pictures(), labels=(1, 1, 0, 0), names=("bee", "dog"))


@odd
def labels_that_are_true_or_false(root: Path) -> Made:
    table(root / NAME / "train-0.parquet", plain(), [True, True, False, False])
    return Made(pictures(), labels=(1, 1, 0, 0), names=("false", "true"))


@odd
def labels_of_a_dictionary(root: Path) -> Made:
    kind = pa.dictionary(pa.int32(), pa.string())
    table(root / NAME / "train-0.parquet", plain(), ["dog", "dog", "bee", "bee"], kind)
    return Made(pictures(), labels=(1, 1, 0, 0), names=("bee", "dog"))


@odd
def a_text_label_that_is_missing(root: Path) -> Made:
    table(root / NAME / "train-0.parquet", plain(), ["dog", None, "bee", ""])
    return Made(told=("row 1 (from 0): the label is missing",))


@odd
def texts_in_one_shard_and_numbers_in_another(root: Path) -> Made:
    table(root / NAME / "train-00000-of-00002.parquet", plain(), [0, 0, 1, 1])
    table(root / NAME / "train-00001-of-00002.parquet", plain(), ["dog", "dog", "bee", "bee"])
    return Made(told=("train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "make them alike"))


@odd
def classes_without_a_train_folder(root: Path) -> Made:
    files = put(root, plain())
    for folder in {file.parent for file in files}:
        folder.rename(root / NAME / folder.name)
    (root / NAME / "train").rmdir()
    return Made(pictures())


@odd
def a_train_folder_in_capitals(root: Path) -> Made:
    put(root, plain(), part="Train")
    put(root, plain(), part="TEST")
    return Made(pictures())


@odd
def saved_to_disk(root: Path) -> Made:
    folder = root / NAME / "train"
    folder.mkdir(parents=True)
    features = {"label": {"names": ["ant", "cat"], "_type": "ClassLabel"}}
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    found = columns(plain(), [0, 0, 1, 1]).replace_schema_metadata(told)
    file = folder / "data-00000-of-00001.arrow"
    with pa.OSFile(str(file), "wb") as opened, pa.ipc.new_stream(opened, found.schema) as out:
        out.write_table(found)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (root / NAME / "dataset_dict.json").write_text('{"splits": ["train"]}')
    return Made(pictures())


def listed(root: Path, file: str, rows: list[list[str]], delimiter: str = ",") -> None:
    place = root / NAME / file
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="", encoding="utf-8-sig") as out:
        csv.writer(out, delimiter=delimiter).writerows(rows)
    for i, content in enumerate(plain()):
        image = place.parent / f"images/{i}.png"
        image.parent.mkdir(exist_ok=True)
        image.write_bytes(content)


@odd
def a_csv_list(root: Path) -> Made:
    listed(root, "train.csv", [["path", "label"], *([f"images/{i}.png", "dog" if i < 2 else "bee"] for i in range(4))])
    return Made(pictures(), labels=(1, 1, 0, 0), names=("bee", "dog"))


@odd
def a_csv_list_with_semicolons_and_numbers(root: Path) -> Made:
    rows = [["Label", "file_name"], *([str(i // 2), f"images/{i}.png"] for i in range(4))]
    listed(root, "train/metadata.csv", rows, ";")
    return Made(pictures(), names=("0", "1"))


@odd
def a_csv_list_named_labels(root: Path) -> Made:
    listed(root, "train/labels.csv", [["path", "label"], *([f"images/{i}.png", str(i // 2)] for i in range(4))])
    return Made(pictures(), names=("0", "1"))


@odd
def a_csv_list_of_something_else_beside_class_folders(root: Path) -> Made:
    put(root, plain())
    (root / NAME / "train.csv").write_text("id,breed\n1,2\n")
    return Made(pictures())


@odd
def a_csv_list_that_names_a_file_that_is_gone(root: Path) -> Made:
    listed(root, "train.csv", [["path", "label"], ["images/0.png", "a"], ["images/9.png", "b"]])
    return Made(told=("train.csv, line 3", "images/9.png", "mend the path"))


@odd
def web_dataset(root: Path) -> Made:
    tar_of(root / NAME / "train-000000.tar", plain(), ["1", "1", "0", "0"], "cls")
    return Made(pictures(), labels=(1, 1, 0, 0), names=("0", "1"))


@odd
def web_dataset_with_json(root: Path) -> Made:
    tar_of(root / NAME / "train/000000.tar", plain(), ['{"label": "dog"}'] * 2 + ['{"label": "bee"}'] * 2, "json")
    return Made(pictures(), labels=(1, 1, 0, 0), names=("bee", "dog"))


@odd
def web_dataset_without_a_label(root: Path) -> Made:
    tar_of(root / NAME / "train-000000.tar", plain(), ["1", "1", "0", ""], "cls")
    return Made(told=("train-000000.tar, 0003.png", "has no label"))


def tar_of(file: Path, contents: list[bytes], labels: list[str], kind: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for i, (content, label) in enumerate(zip(contents, labels, strict=True)):
            for name, told in ((f"{i:04}.png", content), (f"{i:04}.{kind}", label.encode())):
                member = tarfile.TarInfo(name)
                member.size = len(told)
                tar.addfile(member, io.BytesIO(told))


if __name__ == "__main__":
    for each, make in SETS.items():
        place = Path(sys.argv[1]) / each
        place.mkdir(parents=True)
        print(each, "->", ", ".join(make(place).told) or "images")
