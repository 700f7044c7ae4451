"""What Ray writes to standard error by itself goes into a file of the results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ray._private import worker

from tune_lpc.engine.output import LOG_FILE, rays_output


def test_what_others_write_goes_into_the_file_and_what_python_prints_to_the_terminal(tmp_path: Path) -> None:
    script = f"""
import os, sys
from pathlib import Path
from tune_lpc.engine.output import rays_output
with rays_output() as output:
    os.write(2, b"early\\n")
    print("ours", file=sys.stderr)
    output.keep_in(Path({str(tmp_path)!r}))
    os.write(2, b"late\\n")
print("after", file=sys.stderr)
os.write(2, b"end\\n")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "ours\nafter\nend\n"
    assert (tmp_path / LOG_FILE).read_text() == "early\nlate\n"


def test_what_ray_prints_of_a_node_goes_into_the_file_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"pid": "raylet", "ip": "10.0.0.1", "lines": ["a node died", "*** StackTrace"], "is_err": False}
    monkeypatch.setattr(worker.stdout_deduplicator, "deduplicate", lambda data: [data])
    with rays_output() as output:
        output.keep_in(tmp_path)
        # What the thread calls that listens to the nodes.
        worker.print_to_stdstream(data, ignore_prefix=False)
    text = (tmp_path / LOG_FILE).read_text()
    assert "a node died" in text and "*** StackTrace" in text
    assert capsys.readouterr() == ("", "")
    worker.print_to_stdstream(data, ignore_prefix=False)
    assert "a node died" in capsys.readouterr().out


def test_without_a_word_of_rays_there_is_no_file(tmp_path: Path) -> None:
    with rays_output() as output:
        output.keep_in(tmp_path)
        assert output.path is None
    assert list(tmp_path.iterdir()) == []


def test_each_of_several_searches_has_its_own(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    with rays_output() as output:
        output.keep_in(tmp_path / "a")
        os.write(2, b"of a")
        assert output.path == tmp_path / "a" / LOG_FILE
        output.keep_in(tmp_path / "b")
        os.write(2, b"of b")
    assert [(tmp_path / name / LOG_FILE).read_text() for name in "ab"] == ["of a", "of b"]


def test_where_no_file_can_be_written_the_search_goes_on(tmp_path: Path) -> None:
    with rays_output() as output:
        output.keep_in(tmp_path / "missing")
        os.write(2, b"lost")
        assert output.path is None
