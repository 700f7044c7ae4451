"""What the tests of the commands share: a small space, a folder of images, how a command refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_lpc.run import main

ONE_SEED = ["--seeds", "1", "--set", "rung_rule=stop", "score_window=1"]
"""Options of a search in which what a rung leaves ends there, each config has one seed, and its last epoch counts."""
WAITING = ["--seeds", "3", "--set", "rung_rule=promote", "score_window=2"]
"""Options of one in which what a rung leaves may go on later, and the best configs have three seeds."""
SMALL_SPACE = """
from tune_lpc.plan import Choice, Float, Space

SPACE = Space(
    name="small",
    about="for tests",
    trials=2,
    settings={{"dataset": "digits", "network": "mlp", "optimizer": "sgd", "nesterov": True, "epochs": 2, {settings}}},
    dimensions={{{dimensions}}},
)
"""


def space_file(folder: Path, dimensions: str, settings: str = "") -> str:
    path = folder / "small.py"
    path.write_text(SMALL_SPACE.format(dimensions=dimensions, settings=settings))
    return str(path)


def image_folder(folder: Path, per_class: int = 20, side: int = 8) -> Path:
    """Class folders of noise around a grey that tells the class; the test images are no images at all."""
    draw = np.random.default_rng(0)
    for grey, name in ((50, "dark"), (200, "light")):
        (folder / "train" / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = np.clip(draw.normal(grey, 20, (side, side, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "train" / name / f"{i}.png")
    (folder / "test" / "dark").mkdir(parents=True)
    (folder / "test" / "dark" / "0.png").write_bytes(b"opened test data")
    return folder


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines with which the command refuses; it must end with status 2."""
    try:
        status = main(arguments)
    except SystemExit as exit_of_argparse:
        status = exit_of_argparse.code
    assert status == 2
    return capsys.readouterr().err.splitlines()
