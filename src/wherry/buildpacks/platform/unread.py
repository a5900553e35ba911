"""What lies in a source folder and no buildpack of ours reads: told before the build, each with what to do.

In:    the folder.
Out:   lines; nothing that is read is among them. Files are looked at, package.json is read.
"""

import json
from pathlib import Path

_PYTHON = "is not read; pin the versions in a requirements.txt, made with: "
_NODE = "is not read; npm installs what package-lock.json pins, made with: npm install --package-lock-only"
FILES = {
    "uv.lock": f"{_PYTHON}uv export --no-dev -o requirements.txt",
    "poetry.lock": f"{_PYTHON}poetry export -o requirements.txt",
    "pdm.lock": f"{_PYTHON}pdm export --prod -o requirements.txt",
    "Pipfile": f"{_PYTHON}pipenv requirements > requirements.txt",
    "pnpm-lock.yaml": _NODE,
    "yarn.lock": _NODE,
    "Dockerfile": "is not read; the image is made by buildpacks. Name the process in a Procfile",
    ".python-version": "is not read; the image has the Python of its run image (wherry.local/run-python)",
    ".nvmrc": "is not read; the image has the Node.js of its run image (wherry.local/run-node)",
}
MADE_INSTEAD = {"uv.lock": "requirements.txt", "poetry.lock": "requirements.txt", "pdm.lock": "requirements.txt",
                "Pipfile": "requirements.txt", "pnpm-lock.yaml": "package-lock.json", "yarn.lock": "package-lock.json"}  # fmt: skip


def lines(folder: Path) -> tuple[str, ...]:
    """One for each file; none for a lock file that has been exported to one that is read."""
    found = [
        f"{name} {text}" for name, text in FILES.items()
        if (folder / name).is_file() and not (name in MADE_INSTEAD and (folder / MADE_INSTEAD[name]).is_file())
    ]  # fmt: skip
    if _has_engines(folder / "package.json"):
        found.append(f"package.json: engines {FILES['.nvmrc']}")
    return tuple(found)


def _has_engines(path: Path) -> bool:
    try:
        about = json.loads(path.read_text(errors="replace"))
    except (OSError, ValueError):
        return False  # the buildpack says what is wrong with it
    return isinstance(about, dict) and bool(about.get("engines"))
