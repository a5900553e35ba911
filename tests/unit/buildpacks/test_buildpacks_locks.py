"""Lock files and versions of our own buildpacks: followed, or an error that says what to do."""

import json
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from buildpack_harness import Shop
from test_buildpacks_packs import build

from wherry.buildpacks.lifecycle.failure import PhaseFailed
from wherry.buildpacks.platform import builder as builders
from wherry.container.content.snapshots import layer_tar

needs_npm = pytest.mark.skipif(not shutil.which("npm", path="/usr/bin:/bin"), reason="npm is not in /usr/bin")


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    return await Shop(tmp_path).with_images()


@pytest.fixture
def lib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of the buildpacks' programs, which are in no package."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for pack in ("python", "nodejs"):
        monkeypatch.syspath_prepend(str(builders.OWN / pack / "lib"))


@pytest.mark.parametrize("lock", ["uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"])
@pytest.mark.slow
async def test_lock_whose_tool_cannot_be_had_fails_with_the_way_out(lock: str, shop: Shop) -> None:
    """The build used to go on without what it pins."""
    with pytest.raises(PhaseFailed) as failed:
        await build(shop, {"app.py": "print()", lock: "version = 1\n"})
    assert failed.value.code == 51
    text = shop.progress.text.decode()
    assert f"ERROR: {lock}: " in text and "could not be installed from the package index" in text
    assert "Give a requirements.txt instead, made with: " in text and "> requirements.txt" in text


@pytest.mark.slow
async def test_requirements_decide_and_the_lock_beside_them_is_named(shop: Shop) -> None:
    await build(shop, {"app.py": "print()", "uv.lock": "", "requirements.txt": "# none"})
    assert b"requirements.txt decides what is installed, not uv.lock" in shop.progress.text


async def test_pipfile_without_its_lock_pins_nothing(shop: Shop) -> None:
    with pytest.raises(PhaseFailed):
        await build(shop, {"app.py": "print()", "Pipfile": "[packages]\nflask = '*'\n"})
    assert b"Pipfile without Pipfile.lock" in shop.progress.text and b"pipenv lock" in shop.progress.text


@pytest.mark.parametrize(("files", "said"), [
    pytest.param({".python-version": "3.9.1\n"}, ".python-version asks for Python '3.9.1'; this buildpack gives 3.11", id="pyenv"),
    pytest.param({".python-version": "pypy3.10-7.3\n"}, "asks for Python 'pypy3.10-7.3'", id="another Python"),
    pytest.param({"runtime.txt": "python-2.7.18"}, "runtime.txt asks for Python 'python-2.7.18'", id="runtime.txt"),
    pytest.param({".tool-versions": "nodejs 1\npython 3.13.1\n"}, ".tool-versions asks for Python '3.13.1'", id="asdf"),
    pytest.param({"pyproject.toml": "[project]\nname='x'\nversion='1'\nrequires-python='>=3.99'\n"},
                 "pyproject.toml: requires-python asks for Python '>=3.99'", id="requires-python"),
    pytest.param({"Pipfile": "[requires]\npython_version='3.8'\n"}, "Pipfile: requires.python_version asks for Python '3.8'", id="Pipfile"),
])  # fmt: skip
async def test_python_that_cannot_be_given_is_an_error(files: dict[str, str], said: str, shop: Shop) -> None:
    with pytest.raises(PhaseFailed) as failed:
        await build(shop, {"app.py": "print()", **files})
    assert failed.value.code == 51
    assert f"ERROR: {said}".replace("ERROR: asks", "asks") in shop.progress.text.decode()


@pytest.mark.parametrize("files", [
    pytest.param({".python-version": "# ours\n3.11.9\n"}, id="another patch of the same minor version"),
    pytest.param({".python-version": "3.12\n3.11\n"}, id="one of several"),
    pytest.param({"pyproject.toml": "[project]\nname='x'\nversion='1'\nrequires-python='>=3.9,<4'\n"}, id="a range that holds it"),
])  # fmt: skip
async def test_compatible_python_is_taken(files: dict[str, str], shop: Shop) -> None:
    assert (await build(shop, {"app.py": "print()", **files})).default_process == "web"


@pytest.mark.usefixtures("lib")
@pytest.mark.parametrize(("wish", "is_met"), [
    ("^3.10", True), ("^3.12", False), ("^2.7", False), ("~3.11", True), ("~3.10", False), ("3.11.*", True), ("3.12.*", False),
    (">=3.8, <3.11", False), (">=3.8 <4", True), ("^2.7 || ^3.11", True), ("*", True), ("nonsense", False),
])  # fmt: skip
def test_poetrys_constraints_are_read(wish: str, is_met: bool) -> None:
    import pythons

    assert pythons.meets(wish, "3.11.2") is is_met


@pytest.mark.usefixtures("lib")
@pytest.mark.parametrize(("text", "hashed", "others"), [
    pytest.param("-i https://pypi.org/simple\na==1 \\\n    --hash=sha256:0\n", ["a==1      --hash=sha256:0"], [],
                 id="the machine's index stays in force"),
    pytest.param("-i https://index.example/simple\na==1\n", [], ["-i https://index.example/simple", "a==1"],
                 id="an index of the project's own"),
    pytest.param("a==1 --hash=sha256:0 --hash=sha256:1\nb @ git+https://x/y\n-e ./c\n",
                 ["a==1 --hash=sha256:0 --hash=sha256:1"], ["b @ git+https://x/y", "./c"],
                 id="what has no hash takes none from the rest, and of the source a copy is installed"),
])  # fmt: skip
def test_export_becomes_what_pip_takes(text: str, hashed: list[str], others: list[str]) -> None:
    import locks

    assert [part.splitlines() for part in locks.readable(text)] == [hashed, others]


@pytest.mark.usefixtures("lib")
@pytest.mark.parametrize(("name", "text", "is_local"), [
    pytest.param("uv.lock", 'source = { virtual = "." }', False, id="uv: the application itself"),
    pytest.param("uv.lock", 'source = { editable = "packages/lib" }', True, id="uv: a member of the workspace"),
    pytest.param("poetry.lock", '[package.source]\ntype = "directory"\nurl = "lib"', True, id="poetry: a path"),
    pytest.param("poetry.lock", '[package.source]\ntype = "git"\nurl = "https://x/y"', False, id="poetry: a repository"),
    pytest.param("pdm.lock", 'name = "lib"\npath = "./packages/lib"', True, id="pdm: a path"),
    pytest.param("Pipfile.lock", '{"lib": {"path": "./packages/lib"}}', True, id="pipenv: a path"),
    pytest.param("Pipfile.lock", '{"a": {"version": "==1"}}', False, id="pipenv: none"),
])
def test_a_lock_that_names_packages_of_the_source_is_seen(name: str, text: str, is_local: bool, tmp_path: Path) -> None:
    import locks

    (tmp_path / name).write_text(text)
    assert locks.has_local(name, tmp_path) is is_local


@needs_npm
@pytest.mark.slow
async def test_workspaces_of_npm_are_in_the_image_and_still_there_in_the_next(shop: Shop) -> None:
    """What `node_modules` linked to beside itself was not there once it was a layer; without the network."""
    root = {"name": "shop", "version": "1.0.0", "workspaces": ["packages/*"], "dependencies": {"lib": "1.0.0"}}
    lib = {"name": "lib", "version": "1.0.0"}
    lock = {"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {
        "": root, "node_modules/lib": {"resolved": "packages/lib", "link": True}, "packages/lib": {"version": "1.0.0"}}}
    files = {"package.json": json.dumps(root), "package-lock.json": json.dumps(lock), "server.js": "require('lib')",
             "packages/lib/package.json": json.dumps(lib), "packages/lib/index.js": ""}
    links = []
    for _ in range(2):
        await build(shop, files)
        links.append({entry.name.rpartition("/layers/")[2]: entry.linkname for entry in entries(shop) if entry.issym()})
    link = next(target for name, target in links[0].items() if name.endswith("modules/node_modules/lib"))
    assert link.startswith("/") and link.endswith("/workspace/packages/lib")
    assert links[0].keys() == links[1].keys()
    assert b"unchanged: using those of the last image" in shop.progress.text


def entries(shop: Shop) -> list[tarfile.TarInfo]:
    """Of all layers of the image."""
    found: list[tarfile.TarInfo] = []
    for layer in shop.image().layers:
        with layer_tar(shop.content, layer) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            found += list(archive)
    return found


@needs_npm
@pytest.mark.parametrize(("files", "package", "said"), [
    pytest.param({".nvmrc": "v8.17.0\n"}, {}, ".nvmrc asks for Node.js 'v8.17.0'; this buildpack gives v", id="nvm"),
    pytest.param({".nvmrc": "lts/boron"}, {}, ".nvmrc asks for Node.js 'lts/boron'", id="a named line"),
    pytest.param({".node-version": "6"}, {}, ".node-version asks for Node.js '6'", id=".node-version"),
    pytest.param({}, {"engines": {"node": ">=6 <9 || 10.x"}}, "package.json: engines.node asks for Node.js '>=6 <9 || 10.x'", id="engines"),
    pytest.param({".tool-versions": "python 3\nnodejs 9.1.0\n"}, {}, ".tool-versions asks for Node.js '9.1.0'", id="asdf"),
])  # fmt: skip
async def test_node_that_cannot_be_given_is_an_error(files: dict[str, str], package: dict[str, Any], said: str, shop: Shop) -> None:
    with pytest.raises(PhaseFailed) as failed:
        await build(shop, {"package.json": json.dumps(package), "server.js": "", **files})
    assert failed.value.code == 51
    assert f"ERROR: {said}" in shop.progress.text.decode()


@needs_npm
@pytest.mark.parametrize(("files", "package"), [
    pytest.param({".nvmrc": "lts/*"}, {"engines": {"node": ">=12"}}, id="a range that holds it"),
    pytest.param({".nvmrc": "node"}, {}, id="any"),
])  # fmt: skip
@pytest.mark.slow
async def test_compatible_node_is_taken(files: dict[str, str], package: dict[str, Any], shop: Shop) -> None:
    lock = {"name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {"": {"name": "x", "version": "1.0.0", **package}}}
    about = {"name": "x", "version": "1.0.0", **package}
    result = await build(shop, {"package.json": json.dumps(about), "package-lock.json": json.dumps(lock), "server.js": "", **files})
    assert result.default_process == "web"


@needs_npm
@pytest.mark.parametrize(("files", "said"), [
    pytest.param({"bun.lock": "{}"}, "bun.lock is not read. Give a package-lock.json", id="bun"),
    pytest.param({"yarn.lock": "__metadata:\n  version: 6\n"}, "yarn.lock: its yarn is not known; yarn 1 and yarn 4", id="yarn 3"),
    pytest.param({"pnpm-lock.yaml": "lockfileVersion: '99.0'\n"}, "pnpm-lock.yaml: lockfileVersion 99 is not known", id="a pnpm to come"),
])  # fmt: skip
async def test_node_lock_that_nothing_reads_is_an_error(files: dict[str, str], said: str, shop: Shop) -> None:
    with pytest.raises(PhaseFailed):
        await build(shop, {"package.json": "{}", "server.js": "", **files})
    assert f"ERROR: {said}" in shop.progress.text.decode()


@pytest.mark.usefixtures("lib")
@pytest.mark.parametrize(("files", "about", "package", "command"), [
    pytest.param({"package-lock.json": "{}", "yarn.lock": ""}, {}, "", "npm ci --omit=dev", id="npm before others"),
    pytest.param({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, {}, "pnpm@10", "pnpm install --frozen-lockfile", id="pnpm of the lock"),
    pytest.param({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, {"packageManager": "pnpm@8.15.9+sha512.0"}, "pnpm@8.15.9",
                 "pnpm install --frozen-lockfile", id="pnpm that is named"),
    pytest.param({"yarn.lock": "# yarn lockfile v1\n"}, {}, "yarn@1", "yarn install --frozen-lockfile", id="yarn 1"),
    pytest.param({"yarn.lock": "__metadata:\n  version: 8\n"}, {"packageManager": "yarn@4.9.1"}, "@yarnpkg/cli-dist@4.9.1",
                 "yarn install --immutable", id="yarn 4"),
    pytest.param({}, {}, "", "npm install --no-save", id="no lock"),
])  # fmt: skip
def test_the_lock_chooses_who_installs(files: dict[str, str], about: dict[str, str], package: str, command: str, tmp_path: Path) -> None:
    import installers

    for name, text in files.items():
        (tmp_path / name).write_text(text)
    chosen = installers.choose(tmp_path, about, tmp_path / "cache", lambda: "https://npm.example")
    assert chosen.package == package
    assert " ".join(chosen.install[0]).startswith(command)
