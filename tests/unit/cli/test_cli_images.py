"""The image verbs on a real content folder, `cluster list`, and completion that a real shell reads."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from wherry.assembly import settings
from wherry.assembly.images import open_images
from wherry.cli import main
from wherry.container.content import builder

NAME = "registry.wherry.local:5050/team/app:1"


@pytest.fixture
def cluster(tmp_path: Path) -> settings.ClusterSettings:
    return settings.load_or_create(tmp_path / "cluster", {})


async def add_image(cluster: settings.ClusterSettings, *names: str) -> None:
    config = builder.new_config()
    config["config"] = {"Env": ["A=1"]}
    await builder.write_image(open_images(cluster).content, config, [], list(names))


def wherry(cluster: settings.ClusterSettings, *words: str) -> int:
    return main.main([*words, "--data-dir", str(cluster.data_dir)])


async def test_an_image_goes_out_to_a_file_and_comes_back(cluster: settings.ClusterSettings, tmp_path: Path) -> None:
    await add_image(cluster, NAME)
    tar = tmp_path / "app.tar"
    assert await asyncio.to_thread(wherry, cluster, "image", "save", NAME, "--to", str(tar)) == 0
    assert await asyncio.to_thread(wherry, cluster, "image", "rm", NAME) == 0
    assert await open_images(cluster).service.present(NAME) is None
    assert await asyncio.to_thread(wherry, cluster, "image", "rm", NAME) == 1, "what is not there cannot be removed"
    assert await asyncio.to_thread(wherry, cluster, "image", "load", str(tar)) == 0
    assert await open_images(cluster).service.present(NAME) is not None


async def test_a_push_into_the_own_registry_is_another_name(cluster: settings.ClusterSettings) -> None:
    await add_image(cluster, "wherry.local/app:1")
    assert await asyncio.to_thread(wherry, cluster, "push", "wherry.local/app:1", NAME) == 0
    assert await open_images(cluster).service.present(NAME) is not None


@pytest.mark.parametrize("target", ["wherry.local/app:1", "app:dev"])
def test_a_push_to_no_registry_is_refused_with_a_name_that_would_do(
    target: str, cluster: settings.ClusterSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wherry(cluster, "push", target) == 1
    assert f"registry.wherry.local:5050/{target.removeprefix('wherry.local/').partition(':')[0]}" in capsys.readouterr().err


async def test_a_rebase_of_an_image_of_another_kind_ends_with_its_code(cluster: settings.ClusterSettings) -> None:
    await add_image(cluster, NAME)
    assert await asyncio.to_thread(wherry, cluster, "rebase", NAME) == 72


def test_clusters_are_listed_until_they_are_forgotten(
    cluster: settings.ClusterSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "KNOWN_DIR", tmp_path / "known")
    monkeypatch.setenv("WHERRY_DATA_DIR", str(tmp_path / "none"))
    settings.remember(cluster)
    settings.remember(cluster)
    assert main.main(["cluster", "list", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"context": "wherry", "dataDir": str(cluster.data_dir), "running": False, "apiPort": 6443}
    ]
    settings.forget(cluster)
    main.main(["cluster", "list", "-o", "json"])
    assert json.loads(capsys.readouterr().out) == []


def test_bash_completes_verbs_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out

    def completed(*words: str) -> set[str]:
        line = " ".join(f"'{word}'" for word in words)
        program = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _wherry; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return set(subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True).stdout.split())

    assert completed("wherry", "re") == {"rebase", "registry"}
    assert completed("wherry", "build", "--prev") == {"--previous-image"}
    assert {"ls", "load", "prune"} <= completed("wherry", "image", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_every_verb(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(verb in script for verb in main.VERBS)
    if program := shutil.which(shell):
        assert subprocess.run([program, "-n"], input=script, text=True).returncode == 0
