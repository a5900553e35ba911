"""A component's log is rotated by the process that writes it, and nothing of it is lost."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from pathlib import Path
from wherry.assembly.log_files import rotate
for number in range(6):
    os.write(2, f"line {number}\\n".encode() * 20)
    rotate(Path(sys.argv[1]), 100, 3)
os.write(1, b"last\\n")
"""


def run(log: Path, output: Path) -> None:
    with output.open("ab") as stream:
        subprocess.run([sys.executable, "-c", PROGRAM, str(log)], stdout=stream, stderr=stream, check=True)


def test_a_large_log_is_rotated_and_only_so_many_files_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    run(log, log)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.log", "agent.log.1", "agent.log.2"]
    assert log.read_text() == "last\n" and log.stat().st_mode & 0o077 == 0
    assert (tmp_path / "agent.log.1").read_text() == "line 5\n" * 20
    assert (tmp_path / "agent.log.2").read_text() == "line 4\n" * 20


def test_a_log_that_somebody_else_writes_is_left_alone(tmp_path: Path) -> None:
    log, output = tmp_path / "agent.log", tmp_path / "terminal"
    log.write_text("x" * 1000)
    run(log, output)
    assert log.read_text() == "x" * 1000 and not (tmp_path / "agent.log.1").exists()
