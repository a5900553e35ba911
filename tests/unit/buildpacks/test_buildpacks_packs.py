"""Our own buildpacks, on small sources that need no download."""

import json
import shutil
from pathlib import Path

import pytest
from buildpack_harness import NAME, Lines, Shop

from wherry.buildpacks.lifecycle.failure import PhaseFailed
from wherry.buildpacks.platform import builder as builders
from wherry.buildpacks.platform.build import BuildResult
from wherry.buildpacks.platform.settings import BuildOptions

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FASTAPI = "import fastapi\napp: object = fastapi.FastAPI()\n"


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    return await Shop(tmp_path).with_images()


async def build(shop: Shop, files: dict[str, str], **env: str) -> BuildResult:
    """Build with the own builder's order, in the test's images."""
    for name, text in files.items():
        (shop.app / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.app / name).write_text(text)
    text = builders.OWN_BUILDER.read_text().replace("wherry.local/build:12", "example.test/build:1")
    for image in ("run-python", "run-node", "run-base"):
        text = text.replace(f"wherry.local/{image}:12", "example.test/run:1")
    path = shop.root / "builder.toml"
    path.write_text(text)
    shop.progress = Lines()
    options = BuildOptions(builder=path, env={"PIP_NO_INDEX": "1", **env})
    return await shop.platform.build(shop.app, [NAME], options, shop.progress)


def command(shop: Shop, kind: str = "web") -> list[str]:
    metadata = json.loads(shop.image().config["config"]["Labels"]["io.buildpacks.build.metadata"])
    return next(process["command"] for process in metadata["processes"] if process["type"] == kind)


@pytest.mark.parametrize(("files", "found"), [
    pytest.param({"app.py": "print()"}, ["python", "app.py"], id="a plain program"),
    pytest.param({"main.py": "print()"}, ["python", "main.py"], id="main.py"),
    pytest.param({"server.py": "print()", "requirements.txt": "# none"}, ["python", "server.py"], id="requirements without entries"),
    pytest.param({"src/nothing.py": "", "pyproject.toml": "[project]\nname = 'x'\nversion = '1'\nscripts = {web = 'm:go'}"},
                 ["python", "-c", "import sys; from m import go; sys.exit(go())"], id="script of pyproject.toml"),
    pytest.param({"app.py": "print()", "Procfile": "# how\nweb: serve \"it\" \\now\nworker: work"}, ["bash", "-c", 'serve "it" \\now'],
                 id="Procfile wins"),
])  # fmt: skip
@pytest.mark.slow
async def test_python_is_started_as_its_files_say(files: dict[str, str], found: list[str], shop: Shop) -> None:
    result = await build(shop, files)
    assert command(shop) == found
    assert result.default_process == "web"


@pytest.mark.parametrize(("source", "names", "found"), [
    pytest.param({"app.py": FLASK}, {"flask", "gunicorn"}, ["gunicorn", "app:app"], id="Flask and gunicorn"),
    pytest.param({"main.py": FASTAPI}, {"fastapi", "uvicorn"}, ["/bin/sh", "-c", 'exec uvicorn main:app --host 0.0.0.0 --port "$PORT"'],
                 id="FastAPI and uvicorn"),
    pytest.param({"app.py": FLASK}, {"flask"}, ["/bin/sh", "-c", 'exec flask --app app:app run --host 0.0.0.0 --port "$PORT"'], id="Flask alone"),
    pytest.param({"wsgi.py": "app = create_app()"}, {"gunicorn"}, ["gunicorn", "wsgi:app"], id="application factory"),
    pytest.param({"manage.py": "", "site/wsgi.py": ""}, {"django", "gunicorn"}, ["gunicorn", "site.wsgi:application"], id="Django"),
    pytest.param({"app.py": "syntax error("}, {"flask", "gunicorn"}, ["python", "app.py"], id="broken source still starts as a program"),
])  # fmt: skip
def test_web_command_of_python(
    source: dict[str, str], names: set[str], found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in source.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNB_LAYERS_DIR", str(tmp_path / "layers"))
    program = (builders.OWN / "python/bin/build").read_text().removesuffix("main()\n")
    space: dict[str, object] = {"__name__": "build", "__file__": str(builders.OWN / "python/bin/build")}
    exec(compile(program, "build", "exec"), space)  # noqa: S102 - the buildpack's program has no module name
    assert space["web"](names) == found  # type: ignore[operator]


@pytest.mark.slow
async def test_python_environment_is_used_again_until_requirements_change(shop: Shop) -> None:
    files = {"app.py": "print()", "requirements.txt": "# one\n"}
    await build(shop, files)
    await build(shop, {"app.py": "print(2)"})
    assert b"dependencies unchanged" in shop.progress.text
    await build(shop, {"requirements.txt": "# two\n"})
    assert b"dependencies unchanged" not in shop.progress.text


@pytest.mark.slow
async def test_requirement_that_cannot_be_installed_fails_the_build(shop: Shop) -> None:
    with pytest.raises(PhaseFailed, match="wherry/python@1.0.0 could not build") as failed:
        await build(shop, {"requirements.txt": "no-such-package-of-wherry==1\n"})
    assert failed.value.code == 51
    assert b"no-such-package-of-wherry" in shop.progress.text


@pytest.mark.skipif(not shutil.which("npm", path="/usr/bin:/bin"), reason="npm is not in /usr/bin")
@pytest.mark.parametrize(("package", "files", "found"), [
    pytest.param({"scripts": {"start": "node x.js --flag"}}, {}, ["bash", "-c", "node x.js --flag"], id="start script"),
    pytest.param({"scripts": {"prestart": "a", "start": "b"}}, {}, ["bash", "-c", "a && b"], id="with prestart"),
    pytest.param({"main": "lib"}, {"lib.js": ""}, ["node", "lib.js"], id="main without ending"),
    pytest.param({}, {"server.js": ""}, ["node", "server.js"], id="server.js"),
])  # fmt: skip
@pytest.mark.slow
async def test_node_is_started_as_npm_start_would(package: dict[str, object], files: dict[str, str], found: list[str], shop: Shop) -> None:
    lock = {"name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {"": {"name": "x", "version": "1.0.0"}}}
    about = {"name": "x", "version": "1.0.0", **package}
    result = await build(shop, {"package.json": json.dumps(about), "package-lock.json": json.dumps(lock), **files})
    assert command(shop) == found
    assert result.buildpacks == ("wherry/nodejs@1.0.0",)
    await build(shop, {})
    assert b"node_modules unchanged" in shop.progress.text


@pytest.mark.parametrize(("text", "message"), [
    pytest.param("web serve", b"no colon", id="no colon"),
    pytest.param("we b: serve", b"may hold letters", id="bad type"),
    pytest.param("web:", b"has no command", id="no command"),
])  # fmt: skip
async def test_wrong_procfile_says_where(text: str, message: bytes, shop: Shop) -> None:
    with pytest.raises(PhaseFailed):
        await build(shop, {"Procfile": text})
    assert message in shop.progress.text


async def test_source_of_no_known_kind_says_what_each_looked_for(shop: Shop) -> None:
    with pytest.raises(PhaseFailed) as failed:
        await build(shop, {"README": "x"})
    assert failed.value.code == 20
    assert "wherry/python@1.0.0: no requirements.txt" in str(failed.value)
    assert "wherry/nodejs@1.0.0: no package.json" in str(failed.value)
    assert "wherry/procfile@1.0.0: no Procfile" in str(failed.value)


@pytest.mark.parametrize(("files", "said"), [
    pytest.param({"Dockerfile": ""}, "Dockerfile is not read", id="Dockerfile"),
    pytest.param({"requirements.txt": "# none"}, "", id="nothing unread"),
])  # fmt: skip
@pytest.mark.slow
async def test_what_no_buildpack_reads_is_told(files: dict[str, str], said: str, shop: Shop) -> None:
    await build(shop, {"app.py": "print()", **files})
    notes = [line for line in shop.progress.lines if line.startswith("note: ")]
    assert bool(notes) == bool(said) and all(said in line for line in notes)


@pytest.mark.slow
async def test_an_image_without_a_process_is_an_error_unless_it_is_wanted(shop: Shop) -> None:
    """It was made, with a line among others, and its pod said "no command"."""
    with pytest.raises(PhaseFailed, match="name one in a Procfile: web: COMMAND") as failed:
        await build(shop, {"requirements.txt": "# none"})
    assert failed.value.code == 62
    assert not shop.content.index.tag("example.test/app", "1")
    options = BuildOptions(builder=shop.root / "builder.toml", env={"PIP_NO_INDEX": "1"}, may_lack_process=True)
    result = await shop.platform.build(shop.app, [NAME], options, shop.progress)
    assert result.processes == () and shop.image()
