"""What is killed and removed by a cgroup's path: never the machine's root cgroup, whatever a file that was cut short says."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wherry.container.runtime import records, sandbox_parts
from wherry.infrastructure.linux.cgroup_layout import Kind, Layout
from wherry.infrastructure.linux.cgroups import Cgroups, Limits
from wherry.kit.errors import Invalid


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the machine that is none of ours."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def cgroups_with(root: Path, pid: int) -> Cgroups:
    """Cgroups on a folder that says what /sys/fs/cgroup would: `pid` is in the root."""
    (root / "cgroup.procs").write_text(f"{pid}\n")
    return Cgroups(Layout(Kind.V2, {}, str(root)))


@pytest.mark.parametrize("path", ["", "/", "//", ".", "..", "wherry-1/..", "wherry-1/../..", "wherry-1//x"])
async def test_a_path_that_is_no_cgroup_of_ours_kills_and_removes_nothing(
    tmp_path: Path, bystander: subprocess.Popen[bytes], path: str
) -> None:
    cgroups = cgroups_with(tmp_path, bystander.pid)
    with pytest.raises(Invalid, match="not the path of a cgroup of ours"):
        cgroups.kill(path)
    with pytest.raises(Invalid, match="not the path of a cgroup of ours"):
        await cgroups.remove(path)
    for touch in (cgroups.processes, cgroups.create, cgroups.memory_usage_bytes, lambda at: cgroups.limit(at, Limits()),
                  lambda at: cgroups.limit_pids(at, 1), lambda at: cgroups.add_process(at, bystander.pid)):
        with pytest.raises(Invalid, match="not the path of a cgroup of ours"):
            touch(path)
    assert bystander.poll() is None and (tmp_path / "cgroup.procs").exists()


class Recording:
    """A cgroup door that notes what it is told to remove."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    async def remove(self, path: str) -> None:
        self.removed.append(path)


@pytest.mark.parametrize(("written", "removed"), [
    (None, []),
    ("", []),  # the file system was full
    ("wherry-1", []),
    ("wherry-1/", []),
    ("system.slice", []),
    ("wherry-1/kubepods/pod7", ["wherry-1/kubepods/pod7"]),
])
def test_the_remains_of_a_sandbox_take_only_a_cgroup_below_the_engines_root_with_them(
    tmp_path: Path, written: str | None, removed: list[str]
) -> None:
    folder = tmp_path / "s" / "box"
    folder.mkdir(parents=True)
    if written is not None:
        (folder / sandbox_parts.CGROUP_NAME).write_text(written)
    cgroups = Recording()
    settings = SimpleNamespace(sandbox_dir=lambda _: folder, cgroup_root="wherry-1", runtime_state_dir=tmp_path / "state")
    doors = SimpleNamespace(settings=settings, cgroups=cgroups, network=SimpleNamespace(detach=_nothing))
    asyncio.run(sandbox_parts.erase(doors, "box"))  # type: ignore[arg-type]
    assert cgroups.removed == removed and not folder.exists()


async def _nothing(_: str) -> None:
    return None


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "cgroup"
    records.write(kept, "wherry-1/pods/a")

    def cut_short(path: Path, text: str, **_: Any) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", cut_short)
    with pytest.raises(OSError, match="No space left"):
        records.write(kept, "wherry-1/pods/b")
    assert kept.read_bytes() == b"wherry-1/pods/a" and [path.name for path in tmp_path.iterdir()] == ["cgroup"]
