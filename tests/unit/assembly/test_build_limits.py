"""A build may take a part of the machine, never all of it; the operator may say which."""

from pathlib import Path

import pytest

from wherry.assembly.builds import build_settings
from wherry.assembly.node import NodeSettings
from wherry.buildpacks.platform.container_workshop import limits_of
from wherry.container.runtime.engine import Resources


def test_a_build_is_limited_without_anybody_asking(tmp_path: Path) -> None:
    chosen = build_settings(NodeSettings(tmp_path))
    assert chosen.memory_bytes_max and chosen.milli_cpus_max and chosen.pids_max == 4096


@pytest.mark.parametrize(("given", "limits"), [
    pytest.param({"build_memory_bytes": 1 << 31, "build_milli_cpus": 1500, "build_pids_max": 99},
                 Resources(cpu_shares=512, cpu_quota_us=150_000, memory_limit_bytes=1 << 31, pids_limit=99), id="as chosen"),
])
def test_the_operators_limits_become_the_containers(tmp_path: Path, given: dict[str, int], limits: Resources) -> None:
    assert limits_of(build_settings(NodeSettings(tmp_path, **given))) == limits  # type: ignore[arg-type]
