"""Small data sets, written in each layout that the project reads, and in the original formats of the built-in ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

POISON = b"poison: whoever reads this has opened test data"
Patch = tuple[Any, str, Any]
"""A class, the name of an attribute, its new value."""


def random_images(n: int, size: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    """uint8 (n, size, size, channels)."""
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, channels), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """One image, (height, width, channels), as PNG."""
    out = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG")
    return out.getvalue()


def write_parquet(
    file: Path,
    images: Sequence[bytes | None],
    labels: Sequence[Any],
    *,
    image_column: str = "image",
    label_column: str = "label",
    class_names: Sequence[str] | None = None,
    label_type: pa.DataType | None = None,
) -> None:
    """Images in the layout of Hugging Face."""
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column = pa.array([{"bytes": image, "path": None} for image in images], struct)
    table = pa.table({image_column: column, label_column: pa.array(labels, label_type)})
    if class_names is not None:
        features = {image_column: {"_type": "Image"}, label_column: {"names": list(class_names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


def write_folders(root: Path, images: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """`root/train/<class>/<number>.png`."""
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        file = root / "train" / class_names[label] / f"{i:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(pixels))


def write_archive(dataset: str, folder: Path) -> tuple[np.ndarray, np.ndarray, list[Patch]]:
    """What torchvision downloads for `dataset`, but small, in `folder`: images, labels, and the checksums to patch."""
    from torchvision import datasets

    folder.mkdir(parents=True, exist_ok=True)
    if dataset == "cifar10":
        return _cifar(datasets.CIFAR10, folder, [f"data_batch_{i}" for i in range(1, 6)], "test_batch", "labels", 10)
    if dataset == "cifar100":
        return _cifar(datasets.CIFAR100, folder, ["train"], "test", "fine_labels", 100)
    if dataset == "mnist":
        return _mnist(datasets.MNIST, folder)
    return _svhn(datasets.SVHN, folder)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _cifar(
    kind: Any, folder: Path, batches: list[str], test: str, labels_key: str, classes: int
) -> tuple[np.ndarray, np.ndarray, list[Patch]]:
    images, labels = random_images(200, 32), np.arange(200) % classes
    names = [f"name{c}" for c in range(classes)]
    per_batch = 200 // len(batches)
    members = {kind.meta["filename"]: pickle.dumps({kind.meta["key"]: names}), test: POISON}
    for i, batch in enumerate(batches):
        rows = slice(i * per_batch, (i + 1) * per_batch)
        data = images[rows].transpose(0, 3, 1, 2).reshape(per_batch, -1)
        # The original format is a pickle; torchvision reads it after checking the checksum.
        members[batch] = pickle.dumps({"data": data, labels_key: labels[rows].tolist()})
    with tarfile.open(folder / kind.filename, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"{kind.base_folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return (
        images,
        labels,
        [
            (kind, "tgz_md5", _md5((folder / kind.filename).read_bytes())),
            (kind, "train_list", [[batch, _md5(members[batch])] for batch in batches]),
            (kind, "meta", {**kind.meta, "md5": _md5(members[kind.meta["filename"]])}),
        ],
    )


def _mnist(kind: Any, folder: Path) -> tuple[np.ndarray, np.ndarray, list[Patch]]:
    images, labels = random_images(60, 28, 1), np.arange(60) % 10
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    contents = {
        "train-images-idx3-ubyte.gz": b"\0\0\x08\x03"
        + b"".join(side.to_bytes(4, "big") for side in (60, 28, 28))
        + images.tobytes(),
        "train-labels-idx1-ubyte.gz": b"\0\0\x08\x01" + (60).to_bytes(4, "big") + labels.astype(np.uint8).tobytes(),
    }
    sums = []
    for name, content in contents.items():
        (raw / name).write_bytes(gzip.compress(content))
        sums.append((name, _md5((raw / name).read_bytes())))
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (raw / name).write_bytes(POISON)
        sums.append((name, "0" * 32))
    return images, labels, [(kind, "resources", sums)]


def _svhn(kind: Any, folder: Path) -> tuple[np.ndarray, np.ndarray, list[Patch]]:
    from scipy.io import savemat

    images, labels = random_images(40, 32), np.arange(40) % 10
    stored = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]  # the original calls the digit 0 a 10
    savemat(folder / "train_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": stored})
    (folder / "test_32x32.mat").write_bytes(POISON)
    url, name, _ = kind.split_list["train"]
    train = [url, name, _md5((folder / name).read_bytes())]
    return images, labels, [(kind, "split_list", {**kind.split_list, "train": train})]
