"""`wherry kubectl`: every flag is kubectl's, but for --data-dir, which chooses the cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.assembly import settings

STAND_IN = '#!/bin/sh\necho "$KUBECONFIG"\nprintf "%s\\n" "$@"\nexit 7\n'


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "kubectl"
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return path


def kubectl(program: Path, *words: str, **env: str) -> tuple[int, list[str], str]:
    done = subprocess.run(
        [sys.executable, "-m", "wherry.cli.main", "kubectl", *words], capture_output=True, text=True,
        env={**os.environ, "WHERRY_KUBECTL": str(program), **env},
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(("before", "after"), [
    pytest.param(["--data-dir", "DIR", "-n", "default", "get", "pods"], ["-n", "default", "get", "pods"], id="first"),
    pytest.param(["-n", "default", "get", "pods", "--data-dir=DIR"], ["-n", "default", "get", "pods"], id="last"),
    pytest.param(["--help", "--data-dir", "DIR"], ["--help"], id="help is kubectl's"),
    pytest.param(["exec", "--data-dir", "DIR", "p", "--", "db", "--data-dir", "/x"], ["exec", "p", "--", "db", "--data-dir", "/x"],
                 id="after -- it is another program's"),
])  # fmt: skip
def test_data_dir_chooses_the_cluster_and_every_other_word_is_kubectls(
    before: list[str], after: list[str], program: Path, tmp_path: Path
) -> None:
    cluster = settings.load_or_create(tmp_path / "second", {})
    words = [word.replace("DIR", str(cluster.data_dir)) for word in before]
    assert kubectl(program, *words)[:2] == (7, [str(cluster.admin_kubeconfig), *after])


def test_environment_names_the_cluster(program: Path, tmp_path: Path) -> None:
    cluster = settings.load_or_create(tmp_path / "second", {})
    code, lines, _ = kubectl(program, "-A", "get", "pods", WHERRY_DATA_DIR=str(cluster.data_dir))
    assert (code, lines[0]) == (7, str(cluster.admin_kubeconfig))


def test_data_dir_without_a_folder_is_wrong_usage(program: Path) -> None:
    code, _, text = kubectl(program, "get", "pods", "--data-dir")
    assert code == 1 and "--data-dir needs a folder" in text
