"""The launcher that every image carries, run by every POSIX shell that is here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.buildpacks.lifecycle import launch_script
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.export import LAUNCHER_FILE
from wherry.buildpacks.lifecycle.layers import Process

SHELLS = [pytest.param(name.split(), id=name) for name in ("dash", "bash", "busybox sh") if shutil.which(name.split()[0])]
OWN_PATH = "/usr/bin:/bin"
SHOW = (sys.executable, "-c", "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))")


class Image:
    """What of an image the launcher sees."""

    def __init__(self, root: Path, *processes: Process) -> None:
        self.layers, self.app, self.bin = root / "layers", root / "app", root / "bin"
        for folder in (self.layers / "config", self.app, self.bin):
            folder.mkdir(parents=True)
        packs = [Buildpack(name, "1", (0, 12), root, "") for name in ("one/first", "two")]
        (self.layers / "config/launch.sh").write_text(launch_script.render(packs, processes))

    def file(self, path: str, text: str, *, mode: int = 0o644) -> None:
        target = self.layers / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def run(self, shell: list[str], name: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        # A link, as in the image; the shell is named so that each is tried.
        link = self.bin / name
        if not link.exists():
            link.symlink_to(LAUNCHER_FILE)
        given = {
            "PATH": "/cnb/process:/cnb/lifecycle:" + OWN_PATH, "CNB_LAYERS_DIR": str(self.layers),
            "CNB_APP_DIR": str(self.app), "CNB_PLATFORM_API": "0.15", **env,
        }  # fmt: skip
        return subprocess.run([*shell, str(link), *args], env=given, capture_output=True, text=True, timeout=20, check=False)

    def shown(self, shell: list[str], name: str, *args: str, **env: str) -> tuple[list[str], dict[str, str], str]:
        done = self.run(shell, name, *args, **env)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return found[0], found[1], found[2]


def process(*args: str, kind: str = "web", **fields: object) -> Process:
    return Process(kind, SHOW, args, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("shell", SHELLS)
def test_process_is_chosen_by_the_name_it_is_called_by(shell: list[str], tmp_path: Path) -> None:
    image = Image(tmp_path, process("a b", "it's", 'q"$x'), process("w", kind="worker"))
    assert image.shown(shell, "web")[0] == ["a b", "it's", 'q"$x']
    assert image.shown(shell, "worker")[0] == ["w"]


@pytest.mark.parametrize("shell", SHELLS)
def test_user_arguments_replace_the_default_ones(shell: list[str], tmp_path: Path) -> None:
    image = Image(tmp_path, process("default"), process("kept", kind="old", replaces_args=False))
    assert image.shown(shell, "web", "mine", "two words")[0] == ["mine", "two words"]
    assert image.shown(shell, "old", "mine")[0] == ["kept", "mine"]


@pytest.mark.parametrize("shell", SHELLS)
def test_layers_set_the_environment_in_order(shell: list[str], tmp_path: Path) -> None:
    image = Image(tmp_path, process())
    image.file("one_first/a/env/V", "1")
    image.file("one_first/b/env.launch/V.append", "2")
    image.file("one_first/b/env.launch/V.delim", "-")
    image.file("two/z/env.launch/web/V.prepend", "0")
    image.file("two/z/env.launch/worker/V", "wrong")
    image.file("two/z/env/D.default", "set")
    image.file("two/z/env/E.default", "not this")
    image.file("two/z/env/LINES", "first\nsecond\n")
    image.file("two/z/env.build/V", "wrong")
    image.file("one_first/a/bin/tool", "")
    image.file("two/z/lib/x.so", "")
    env = image.shown(shell, "web", E="given")[1]
    assert env["V"] == "01-2"
    assert (env["D"], env["E"], env["LINES"]) == ("set", "given", "first\nsecond\n")
    assert env["PATH"] == f"{image.layers}/one_first/a/bin:{OWN_PATH}"
    assert env["LD_LIBRARY_PATH"] == f"{image.layers}/two/z/lib"


@pytest.mark.parametrize("shell", SHELLS)
def test_platform_variables_do_not_reach_the_process(shell: list[str], tmp_path: Path) -> None:
    _, env, folder = Image(tmp_path, process()).shown(shell, "web", LC_ALL="C.UTF-8", KEPT="yes")
    assert not [name for name in env if name.startswith("CNB_")]
    assert (env["LC_ALL"], env["KEPT"]) == ("C.UTF-8", "yes")
    assert folder == str(tmp_path / "app")


@pytest.mark.parametrize("shell", SHELLS)
def test_working_directory_of_a_process(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    assert Image(tmp_path, process(working_dir=str(tmp_path / "else"))).shown(shell, "web")[2] == str(tmp_path / "else")


@pytest.mark.parametrize("shell", SHELLS)
def test_exec_d_programs_set_variables(shell: list[str], tmp_path: Path) -> None:
    image = Image(tmp_path, process())
    text = "#!/bin/sh\necho seen >&2\nprintf 'A = \"1 2\"\\nB = '\"'\"'x\\\\y'\"'\"'\\n\"C\" = \"a\\\\\"b\"\\n' >&3\n"
    image.file("two/z/exec.d/show", text, mode=0o755)
    image.file("two/z/exec.d/web/more", "#!/bin/sh\necho 'W = \"yes\"' >&3\n", mode=0o755)
    image.file("two/z/exec.d/worker/no", "#!/bin/sh\necho 'W = \"no\"' >&3\n", mode=0o755)
    env = image.shown(shell, "web")[1]
    assert (env["A"], env["B"], env["C"], env["W"]) == ("1 2", "x\\y", 'a"b', "yes")


@pytest.mark.parametrize("shell", SHELLS)
def test_exec_d_program_that_fails_ends_the_start(shell: list[str], tmp_path: Path) -> None:
    image = Image(tmp_path, process())
    image.file("two/z/exec.d/bad", "#!/bin/sh\nexit 3\n", mode=0o755)
    assert image.run(shell, "web").returncode == 82


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_process_sources_profiles_and_expands(shell: list[str], tmp_path: Path) -> None:
    image = Image(tmp_path, Process("web", ('echo "$FROM_LAYER $FROM_APP $HOME" "$@"',), is_direct=False))
    image.file("two/z/profile.d/a.sh", "export FROM_LAYER=layer")
    (image.app / ".profile").write_text("export FROM_APP=app")
    assert image.run(shell, "web", HOME="/h").stdout == "layer app /h\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_command_after_two_dashes_is_run_as_it_is(shell: list[str], tmp_path: Path) -> None:
    image = Image(tmp_path, process())
    image.file("two/z/env/V", "1")
    args, env, _ = image.shown(shell, "launcher", "--", *SHOW, "$HOME")
    assert (args, env["V"]) == (["$HOME"], "1")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("name", "args", "message"), [
    pytest.param("other", (), "process type 'other' does not exist", id="unknown type"),
    pytest.param("launcher", (), "no default process type", id="nothing to run"),
    pytest.param("launcher", ("--",), "no command after --", id="nothing after dashes"),
    pytest.param("launcher", ("--", "no-such-command"), "'no-such-command' is not in the image", id="missing program"),
])  # fmt: skip
def test_what_cannot_start_ends_with_82(shell: list[str], name: str, args: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = Image(tmp_path, process()).run(shell, name, *args)
    assert done.returncode == 82
    assert message in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_process_takes_the_place_of_the_launcher(shell: list[str], tmp_path: Path) -> None:
    done = Image(tmp_path, Process("web", ("sh", "-c", "kill -TERM $$"))).run(shell, "web")
    assert done.returncode == -15
