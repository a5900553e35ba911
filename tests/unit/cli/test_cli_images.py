"""The image verbs on a real content folder, `cluster list`, and completion that a real shell reads."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.assembly import builds, settings
from wherry.assembly.images import open_images
from wherry.assembly.node import NodeSettings
from wherry.buildpacks.platform.build import BuildResult
from wherry.buildpacks.platform.settings import BuildOptions
from wherry.cli import build, main, push
from wherry.container.content import builder
from wherry.container.content.content import Content

NAME = "registry.wherry.local:5050/team/app:1"


@pytest.fixture
def cluster(tmp_path: Path) -> NodeSettings:
    return settings.load_or_create(tmp_path / "cluster", {})


async def add_image(cluster: NodeSettings, *names: str) -> None:
    config = builder.new_config()
    config["config"] = {"Env": ["A=1"]}
    await builder.write_image(open_images(cluster).content, config, [], list(names))


def wherry(cluster: NodeSettings, *words: str) -> int:
    return main.main([*words, "--data-dir", str(cluster.data_dir)])


async def test_an_image_goes_out_to_a_file_and_comes_back(cluster: NodeSettings, tmp_path: Path) -> None:
    await add_image(cluster, NAME)
    tar = tmp_path / "app.tar"
    assert await asyncio.to_thread(wherry, cluster, "image", "save", NAME, "--to", str(tar)) == 0
    assert await asyncio.to_thread(wherry, cluster, "image", "rm", NAME) == 0
    assert await open_images(cluster).service.present(NAME) is None
    assert await asyncio.to_thread(wherry, cluster, "image", "rm", NAME) == 1, "what is not there cannot be removed"
    assert await asyncio.to_thread(wherry, cluster, "image", "load", str(tar)) == 0
    assert await open_images(cluster).service.present(NAME) is not None


async def test_a_push_into_the_own_registry_is_another_name(cluster: NodeSettings) -> None:
    await add_image(cluster, "wherry.local/app:1")
    assert await asyncio.to_thread(wherry, cluster, "push", "wherry.local/app:1", NAME) == 0
    assert await open_images(cluster).service.present(NAME) is not None


@pytest.mark.parametrize("target", ["wherry.local/app:1", "app:dev"])
def test_a_push_to_no_registry_is_refused_with_a_name_that_would_do(
    target: str, cluster: NodeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wherry(cluster, "push", target) == 1
    assert f"registry.wherry.local:5050/{target.removeprefix('wherry.local/').partition(':')[0]}" in capsys.readouterr().err


async def test_a_rebase_of_an_image_of_another_kind_ends_with_its_code(cluster: NodeSettings) -> None:
    await add_image(cluster, NAME)
    assert await asyncio.to_thread(wherry, cluster, "rebase", NAME) == 72


def test_clusters_are_listed_until_they_are_forgotten(
    cluster: NodeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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


# zsh completes at a terminal only: its own bridge to bash completion is called as the terminal would, and what it hands to
# `compadd` is printed, those that begin with the word, as `compadd` chooses them.
ZSH = """
autoload -U compinit; compinit -D -u; source $1; shift
compadd() { print -l -- ${(M)@:#$PREFIX*} }
words=("$@"); CURRENT=$#; PREFIX=${@[-1]}
[[ -n $_comps[wherry] ]] && eval $_comps[wherry]
"""


def zsh_offers(script: Path, *words: str) -> set[str]:
    done = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", str(script), *words], capture_output=True, text=True, timeout=30)
    assert not done.stderr
    return set(done.stdout.split())


def fish_offers(script: Path, *words: str) -> set[str]:
    program = f"source {script}; complete --do-complete '{' '.join(words)}'"
    done = subprocess.run(["fish", "--no-config", "-c", program], capture_output=True, text=True, timeout=30)
    assert not done.stderr
    return {line.partition("\t")[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize(("shell", "offers"), [("zsh", zsh_offers), ("fish", fish_offers)], ids=["zsh", "fish"])
@pytest.mark.slow
def test_the_shell_itself_completes_verbs_and_flags(
    shell: str, offers: Callable[..., set[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    assert main.main(["completion", shell]) == 0
    script = tmp_path / "_wherry"
    script.write_text(capsys.readouterr().out)
    verbs = offers(script, "wherry", "re")
    assert {"rebase", "registry"} <= verbs and "doctor" not in verbs
    flags = offers(script, "wherry", "build", "--p")
    assert {"--previous-image", "--push", "--publish"} <= flags and "--tag" not in flags
    assert {"ls", "load", "prune"} <= offers(script, "wherry", "image", "")


async def test_images_are_listed_and_those_that_lost_their_tag_are_pruned(
    cluster: NodeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ls` names each image once for each tag; `prune` takes what a newer one took the tag of, when it is old enough."""
    await add_image(cluster, NAME, "wherry.local/app:1")
    config = builder.new_config()
    config["config"] = {"Env": ["A=2"]}
    old = await open_images(cluster).service.present(NAME)
    await builder.write_image(open_images(cluster).content, config, [], [NAME, "wherry.local/app:1"])
    new = await open_images(cluster).service.present(NAME)
    assert old is not None and new is not None and old.id != new.id

    async def listed() -> dict[str, list[str]]:
        assert await asyncio.to_thread(wherry, cluster, "image", "ls", "-o", "json") == 0
        return {image["id"]: image["tags"] for image in json.loads(capsys.readouterr().out)}

    assert await listed() == {old.id: [], new.id: sorted([NAME, "wherry.local/app:1"])}
    assert await asyncio.to_thread(wherry, cluster, "image", "ls") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["IMAGE", "ID", "SIZE"]
    assert {(row[0], row[1]) for row in rows[1:]} == {("<none>", old.id[7:19]), (NAME, new.id[7:19]), ("wherry.local/app:1", new.id[7:19])}
    assert await asyncio.to_thread(wherry, cluster, "image", "prune", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": 0}, "it is younger than a day"
    assert await asyncio.to_thread(wherry, cluster, "image", "prune", "--hours", "0", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": 1}
    assert await listed() == {new.id: sorted([NAME, "wherry.local/app:1"])}


@pytest.mark.parametrize("name", ["app:dev", "team/app:dev"])
async def test_the_push_that_a_build_names_is_one_that_push_takes(name: str, cluster: NodeSettings) -> None:
    """`wherry build --tag app:dev` named a command that the next verb refused."""
    await add_image(cluster, name)
    words = build.way_out(open_images(cluster).content, name).split()
    assert await asyncio.to_thread(wherry, cluster, "push", *words) == 0


def test_a_push_that_cannot_be_is_refused_before_the_build(
    cluster: NodeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wherry(cluster, "build", str(tmp_path / "nothing there"), "--tag", "app:dev", "--push") == 1
    assert "'app:dev' names no registry: write registry.wherry.local:5050/app:dev" in capsys.readouterr().err


def test_a_build_with_push_sends_the_image_to_its_registry(
    cluster: NodeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name of another registry goes over the network; one of the own registry is there already."""
    class Made:
        def __init__(self, cluster: NodeSettings) -> None:
            self._images = open_images(cluster)

        async def build(self, folder: Path, names: list[str], options: BuildOptions, progress: object) -> BuildResult:
            await add_image(cluster, *names)
            image = await self._images.service.present(names[0])
            assert image is not None
            return BuildResult(image, tuple(names), (), (), "", 0, 0)

    async def send(content: Content, source: str, target: str) -> str:
        sent.append(target)
        return "sha256:0"

    sent: list[str] = []
    monkeypatch.setattr(builds, "open_platform", Made)
    monkeypatch.setattr(push, "send", send)
    assert wherry(cluster, "build", str(tmp_path), "--tag", NAME, "--tag", "registry.example/app:1", "--push") == 0
    assert sent == ["registry.example/app:1"]
    assert "pushed registry.example/app:1@sha256:0" in capsys.readouterr().err
