"""Who installs node_modules: npm, pnpm or yarn, as the lock file says.

In:    the application's folder, its package.json, the folder that keeps downloads.
Out:   an `Installer`: commands, each with the lock frozen; `LockRefused` for a lock that none of them reads.
Never: runs anything.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NPM_LOCKS = ("npm-shrinkwrap.json", "package-lock.json")  # npm's own order
LOCKS = (*NPM_LOCKS, "pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb")
READ = ("package.json", *LOCKS, ".npmrc", "pnpm-workspace.yaml", ".pnpmfile.cjs", ".yarnrc", ".yarnrc.yml")
PNPM_OF_LOCK = {"5": "7", "6": "8", "9": "10"}  # lockfileVersion -> the last pnpm that writes it
YARN_OF_LOCK = {"8": "4.9"}  # __metadata.version -> a yarn that leaves it as it is
VERSION = re.compile(r"(npm|pnpm|yarn|bun)@(\d[^+]*)")

Commands = tuple[tuple[str, ...], ...]


class LockRefused(Exception):
    """The lock cannot be followed; the text says why and what to do."""


@dataclass(frozen=True)
class Installer:
    """`install` leaves what production needs; `install_all` also what the build script needs, which `prune` takes away."""

    name: str
    lock: str
    install: Commands
    install_all: Commands
    prune: Commands
    package: str = ""  # to get first, from the npm registry
    folder: str = ""  # where it is put
    env: Mapping[str, str] = field(default_factory=dict)
    is_bound: bool = False  # reads more of the source than package.json and the lock


def choose(app: Path, about: Mapping[str, Any], cache: Path, registry: Callable[[], str]) -> Installer:
    """npm where it has a lock or nobody has; else the one whose lock is there. `registry` is npm's, for who does not ask it."""
    locks = [name for name in LOCKS if (app / name).is_file()]
    if not locks:
        install = ("npm", "install", "--no-save")
        return Installer("npm", "", _npm(install, "--omit=dev"), _npm(install, "--include=dev"), (("npm", "prune", "--omit=dev"),))
    lock = locks[0]
    if lock in NPM_LOCKS:
        return Installer(
            "npm", lock, _npm(("npm", "ci"), "--omit=dev"), _npm(("npm", "ci"), "--include=dev"), (("npm", "prune", "--omit=dev"),)
        )
    if lock == "pnpm-lock.yaml":
        return _pnpm(app, about, cache)
    if lock == "yarn.lock":
        return _yarn(app, about, cache, registry)
    raise LockRefused(f"{lock} is not read. Give a package-lock.json instead, made with: npm install --package-lock-only")


def get(chosen: Installer) -> list[str]:
    """The command that puts the tool into its folder; a tool that is there already is not fetched again."""
    return ["npm", "install", "--prefix", chosen.folder, "--no-save", "--omit=dev", "--prefer-offline", chosen.package]


def _npm(command: tuple[str, ...], flag: str) -> Commands:
    return ((*command, flag),)


def _pnpm(app: Path, about: Mapping[str, Any], cache: Path) -> Installer:
    text = (app / "pnpm-lock.yaml").read_text(errors="replace")
    found = re.search(r"^lockfileVersion:\s*['\"]?(\d+)", text, re.MULTILINE)
    version = _pinned(about, "pnpm") or PNPM_OF_LOCK.get(found[1] if found else "", "")
    if not version:
        raise LockRefused(
            f"pnpm-lock.yaml: lockfileVersion {found[1] if found else '(none)'} is not known; name the pnpm that wrote it "
            'in package.json: "packageManager": "pnpm@VERSION"'
        )
    install = ("pnpm", "install", "--frozen-lockfile", f"--store-dir={cache / 'pnpm-store'}")
    return Installer(
        "pnpm", "pnpm-lock.yaml", ((*install, "--prod"),), ((*install, "--prod=false"),), (("pnpm", "prune", "--prod"),),
        package=f"pnpm@{version}", is_bound=(app / "pnpm-workspace.yaml").is_file(), **_tool("pnpm", cache, CI="true"),
    )  # fmt: skip


def _yarn(app: Path, about: Mapping[str, Any], cache: Path, registry: Callable[[], str]) -> Installer:
    pinned = _pinned(about, "yarn")
    text = (app / "yarn.lock").read_text(errors="replace")
    if "__metadata:" in text:  # yarn 2 and later
        found = re.search(r"^__metadata:\n\s+version: (\d+)", text, re.MULTILINE)
        version = pinned or YARN_OF_LOCK.get(found[1] if found else "", "")
        if not version or version.startswith(("2.", "3.")):  # they focus on production with a plugin only
            raise LockRefused(
                f"yarn.lock: its yarn is {pinned or 'not known'}; yarn 1 and yarn 4 or later are followed. "
                'Name the yarn that wrote it in package.json: "packageManager": "yarn@VERSION"'
            )
        production = (("yarn", "workspaces", "focus", "--all", "--production"),)
        immutable = (("yarn", "install", "--immutable"),)
        checked = (("yarn", "install", "--immutable", "--mode=skip-build"),)
        env = {
            "YARN_NODE_LINKER": "node-modules", "YARN_GLOBAL_FOLDER": str(cache / "yarn-berry"), "YARN_ENABLE_TELEMETRY": "0",
            "YARN_ENABLE_GLOBAL_CACHE": "1",
        }  # fmt: skip
        rc = app / ".yarnrc.yml"
        if not (rc.is_file() and "npmRegistryServer" in rc.read_text(errors="replace")):  # it does not read .npmrc
            env["YARN_NPM_REGISTRY_SERVER"] = registry()
        return Installer(
            "yarn", "yarn.lock", (*checked, *production), immutable, production,
            package=f"@yarnpkg/cli-dist@{version}", is_bound=True, **_tool("yarn", cache, **env),
        )  # fmt: skip
    install = ("yarn", "install", "--frozen-lockfile", "--non-interactive")
    return Installer(
        "yarn", "yarn.lock", ((*install, "--production=true"),), ((*install, "--production=false"),),
        ((*install, "--production=true", "--ignore-scripts", "--prefer-offline"),),
        package=f"yarn@{pinned or '1'}", **_tool("yarn", cache, YARN_CACHE_FOLDER=str(cache / "yarn")),
    )  # fmt: skip


def _tool(name: str, cache: Path, **env: str) -> dict[str, Any]:
    folder = cache / f"tool-{name}"
    path = f"{folder / 'node_modules' / '.bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"folder": str(folder), "env": {"PATH": path, **env}}


def _pinned(about: Mapping[str, Any], name: str) -> str:
    found = VERSION.fullmatch(str(about.get("packageManager") or "").split("+")[0])
    return found[2] if found and found[1] == name else ""
