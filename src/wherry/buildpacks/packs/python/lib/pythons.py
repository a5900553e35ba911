"""Which Python a source asks for, and whether the one that is here will do.

In:    the application's folder, the version that is here.
Out:   what is not met, as lines that name file, value and what there is.
Spec:  PEP 440 specifiers; .python-version of pyenv and uv; runtime.txt of Heroku. A pinned patch release asks for its
       minor version: patches of one are compatible.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pip._vendor.packaging.specifiers import InvalidSpecifier, SpecifierSet

PINNED = re.compile(r"(?:c?python-?)?(\d+)(?:\.(\d+|x|\*))?(?:\.(?:\d+|x|\*))?(?:rc\d+|[ab]\d+|-dev|t)?", re.IGNORECASE)


def unmet(app: Path, project: Mapping[str, Any], pipfile: Mapping[str, Any], here: str) -> list[str]:
    """One line for each wish that `here`, such as "3.11.2", does not meet."""
    return [
        f"{source} asks for Python {wish!r}; this buildpack gives {here}. Change the file, or take another builder: --builder"
        for source, wish, is_met in wishes(app, project, pipfile, here) if not is_met
    ]  # fmt: skip


def wishes(app: Path, project: Mapping[str, Any], pipfile: Mapping[str, Any], here: str) -> Iterator[tuple[str, str, bool]]:
    """(where, what, whether `here` meets it)."""
    lists = (  # where versions stand one a line, the first that is there counts
        (".python-version", _lines(app / ".python-version")),
        ("runtime.txt", _lines(app / "runtime.txt")),
        (".tool-versions", tuple(_tool_versions(app / ".tool-versions"))),
    )
    for name, values in lists:
        if values:
            yield name, " ".join(values), any(meets_pin(value, here) for value in values)
    if wish := str((project.get("project") or {}).get("requires-python") or ""):
        yield "pyproject.toml: requires-python", wish, meets(wish, here)
    dependencies = ((project.get("tool") or {}).get("poetry") or {}).get("dependencies") or {}
    if wish := str(dependencies.get("python") or ""):
        yield "pyproject.toml: tool.poetry.dependencies.python", wish, meets(wish, here)
    requires = pipfile.get("requires") or {}
    for key in ("python_version", "python_full_version"):
        if wish := str(requires.get(key) or ""):
            yield f"Pipfile: requires.{key}", wish, meets_pin(wish, here)


def meets_pin(wish: str, here: str) -> bool:
    """Whether `here` is of the same minor version as "3.11.4", "3.11", "3", "cpython-3.11" or a range."""
    if wish.lower() in ("system", "*"):
        return True
    found = PINNED.fullmatch(wish)
    if found is None:
        return meets(wish, here)
    major, minor = here.split(".")[:2]
    return found[1] == major and found[2] in (None, "x", "X", "*", minor)


def meets(wish: str, here: str) -> bool:
    """Whether `here` is in a PEP 440 set, or in one of poetry's: `^3.11`, `~3.11`, `3.11.*`, alternatives with ||."""
    try:
        return any(SpecifierSet(_as_specifiers(part)).contains(here, prereleases=True) for part in wish.split("||"))
    except InvalidSpecifier:
        return False


def _as_specifiers(text: str) -> str:
    parts = [part for part in re.split(r"\s*,\s*|\s+(?=[<>=!~^])", text.strip()) if part not in ("", "*")]
    return ",".join(_as_specifier(part.replace(" ", "")) for part in parts)


def _as_specifier(part: str) -> str:
    if part[0] == "^":
        return f">={part[1:]},<{int(part[1:].split('.')[0]) + 1}"
    if part[0] == "~" and part[1:2] != "=":
        numbers = part[1:].split(".")
        return f"=={'.'.join(numbers[:2])}.*,>={part[1:]}" if len(numbers) > 1 else f"=={numbers[0]}.*"
    return part if part[0] in "<>=!~" else f"=={part}"


def _lines(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    lines = (line.partition("#")[0].strip() for line in path.read_text(errors="replace").splitlines())
    return tuple(line for line in lines if line)


def _tool_versions(path: Path) -> Iterator[str]:
    for line in _lines(path):
        name, *versions = line.split()
        if name == "python":
            yield from versions
