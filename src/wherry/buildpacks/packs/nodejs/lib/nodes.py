"""Which Node.js a source asks for, and whether the one that is here will do.

In:    the application's folder, its package.json, the version that is here.
Out:   what is not met, as lines that name file, value and what there is.
Spec:  npm's semver ranges (read by npm's own `semver`); .nvmrc of nvm, .node-version, .tool-versions. A pinned version
       asks for its major version: later ones of it are compatible.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PINNED = re.compile(r"v?(\d+)(?:\.(?:\d+|x|\*))?(?:\.(?:\d+|x|\*))?")
ANY = ("node", "stable", "current", "latest", "system", "*", "lts/*", "lts/-1", "--lts")
# Takes [[wish, is it a range], ...], gives for each whether this node meets it.
JUDGE = """
const path = require('path'), root = process.argv[1];
let semver; try { semver = require(path.join(root, 'node_modules/semver')); } catch { semver = require('semver'); }
const lts = (process.release.lts || '').toLowerCase();
const met = ([wish, named]) => named ? wish === 'lts/' + lts : semver.satisfies(process.version, wish, {includePrerelease: true});
console.log(JSON.stringify(JSON.parse(process.argv[2]).map(met)));
"""

Wish = tuple[str, str]  # where, what


def wishes(app: Path, about: Mapping[str, Any]) -> tuple[Wish, ...]:
    """What the source asks for, as it is written."""
    found = [(name, text) for name in (".nvmrc", ".node-version") for text in _lines(app / name)[:1]]
    found += [(".tool-versions", words[1]) for words in map(str.split, _lines(app / ".tool-versions"))
              if len(words) > 1 and words[0] in ("nodejs", "node")]  # fmt: skip
    found += [(f"package.json: {part}.node", str(wish)) for part in ("engines", "volta") if (wish := _of(about, part))]
    return tuple(found)


def unmet(asked: Sequence[Wish], here: str) -> list[str]:
    """One line for each that Node.js `here` does not meet."""
    return [
        f"{source} asks for Node.js {wish!r}; this buildpack gives {here}. Change the file, or take another builder: --builder"
        for (source, wish), is_met in zip(asked, met([as_range(source, wish) for source, wish in asked]), strict=True) if not is_met
    ]  # fmt: skip


def as_range(source: str, wish: str) -> str:
    """A range that says when `wish` is met."""
    if wish.lower() in ANY:
        return "*"
    if not source.endswith("engines.node") and (found := PINNED.fullmatch(wish)):
        return found[1]  # its major version
    return wish.lower()


def met(ranges: Sequence[str]) -> list[bool]:
    """Whether the Node.js that is here is in each."""
    asked = json.dumps([[text, text.startswith("lts/")] for text in ranges])
    npm = Path(shutil.which("npm") or "/usr/bin/npm").resolve().parent.parent
    done = subprocess.run(["node", "-e", JUDGE, str(npm), asked], capture_output=True, text=True, check=True)
    return [bool(one) for one in json.loads(done.stdout)]


def _of(about: Mapping[str, Any], part: str) -> object:
    inside = about.get(part)
    return inside.get("node") if isinstance(inside, dict) else None


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    lines = (line.partition("#")[0].strip() for line in path.read_text(errors="replace").splitlines())
    return [line for line in lines if line]
