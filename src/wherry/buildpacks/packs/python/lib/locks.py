"""Lock files that pip does not read, as requirements it does: exported by the tool that wrote them.

In:    the application's folder; a folder for the tool, kept between builds.
Out:   the texts of two requirements files, with hashes and without; `LockRefused` with what to do instead.
Never: resolves anything: what the lock pins is what is installed.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SAID_MAX = 2000  # characters of a tool's own words


class LockRefused(Exception):
    """The lock cannot be followed; the text says why and what to do."""


@dataclass(frozen=True)
class Tool:
    """What wrote a lock file, and how it exports one for production."""

    name: str
    requirements: tuple[str, ...]  # pip's
    export: tuple[str, ...]  # to standard output, without development dependencies and without the project itself
    for_local: tuple[str, ...] = ()  # what it needs besides where packages of the source are among them


TOOLS = {
    "uv.lock": Tool("uv", ("uv",), (
        "uv", "export", "--frozen", "--no-dev", "--no-editable", "--no-emit-project", "--no-header", "--no-annotate", "--quiet",
    )),
    "poetry.lock": Tool("poetry", ("poetry>=2,<3", "poetry-plugin-export"), ("poetry", "export", "--only=main")),
    "pdm.lock": Tool("pdm", ("pdm",), ("pdm", "export", "--prod", "--format=requirements"), ("--no-hashes",)),
    "Pipfile.lock": Tool("pipenv", ("pipenv",), ("pipenv", "requirements", "--hash")),
}  # fmt: skip
ENV = {
    "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CACHE": "1",
    "PDM_CHECK_UPDATE": "false", "PDM_PYTHON": sys.executable,
    "POETRY_VIRTUALENVS_CREATE": "false", "POETRY_NO_INTERACTION": "1",
    "PIPENV_IGNORE_VIRTUALENVS": "1", "PIPENV_NOSPIN": "1",
}  # fmt: skip
# A package of the source itself: a workspace's member, a path dependency. "." is the application.
LOCAL = re.compile(r'''\b(editable|directory|virtual|path) = "(?!\."|")|\btype = "(directory|file)"|"path": "''')
PUBLIC_INDEX = ("-i https://pypi.org/simple", "--index-url https://pypi.org/simple")


def found(app: Path) -> str:
    """The lock file that is followed, or "". A requirements.txt says more than any lock."""
    if (app / "requirements.txt").is_file():
        return ""
    if (app / "Pipfile").is_file() and not (app / "Pipfile.lock").is_file() and not (app / "pyproject.toml").is_file():
        raise LockRefused("Pipfile without Pipfile.lock: no versions are pinned. Write it with: pipenv lock")
    return next((name for name in TOOLS if (app / name).is_file()), "")


def by_hand(name: str) -> str:
    """What makes the same requirements.txt."""
    return f"{shlex.join(TOOLS[name].export)} > requirements.txt"


def exported(name: str, app: Path, folder: Path) -> tuple[str, str]:
    """Requirements that pin what the lock pins: with hashes, and the rest. Neither needs anything that is in none of them."""
    tool = TOOLS[name]
    _installed(name, folder)
    env = {**os.environ, **ENV, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = (*tool.export, *(tool.for_local if has_local(name, app) else ()))
    done = subprocess.run(command, cwd=app, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-SAID_MAX:]
        raise LockRefused(f"{name}: {shlex.join(command)} ended with code {done.returncode}: {said}")
    return readable(done.stdout)


def has_local(name: str, app: Path) -> bool:
    """Whether the lock names packages of the source: then what is installed depends on all of it."""
    return bool(LOCAL.search((app / name).read_text(errors="replace")))


def readable(text: str) -> tuple[str, str]:
    """What pip takes, in two parts: what has a hash, and what has none because it is of the source or of a repository.

    The machine's own index stays in force, and of the source copies are installed: the image has it once more, unchanged.
    """
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and line.strip() not in PUBLIC_INDEX]
    wanted = [line.strip().removeprefix("-e ") for line in lines if not line.lstrip().startswith(("#", "-i ", "--"))]
    options = [line for line in lines if line.lstrip().startswith(("-i ", "--"))]
    hashed = [line for line in wanted if "--hash" in line]
    others = [line for line in wanted if "--hash" not in line]
    return _text(options, hashed), _text(options, others)


def _text(options: list[str], wanted: list[str]) -> str:
    return "\n".join([*options, *wanted]) + "\n" if wanted else ""


def _installed(name: str, folder: Path) -> None:
    """The tool in a virtual environment of its own; what the cache brought back is taken as it is."""
    tool = TOOLS[name]
    stamp = folder / "wherry-tool"
    wanted = f"{' '.join(tool.requirements)} {sys.version_info[:2]}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    python = folder / "bin" / "python"
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    for command in (
        [sys.executable, "-m", "venv", "--clear", "--without-pip", "--symlinks", str(folder)],
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile", *tool.requirements],
    ):
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-SAID_MAX:]
            raise LockRefused(
                f"{name}: {tool.name}, which reads it, could not be installed from the package index: {said}\n"
                f"Give a requirements.txt instead, made with: {by_hand(name)}"
            )
    stamp.write_text(wanted)
