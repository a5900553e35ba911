"""The environment of bin/detect and bin/build, and how layers change it for the buildpacks after them.

In:    the lifecycle's own variables, env folders, layer folders.
Out:   new mappings; nothing is changed in place.
Spec:  Buildpack API 0.12 "Environment"; Platform API 0.15 "User-Provided Variables".
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from wherry.buildpacks.lifecycle import toml_text
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.places import Folder, Places

Env = dict[str, str]
# Everything else of the lifecycle's own environment stays outside.
KEPT = (
    "CNB_STACK_ID", "HOSTNAME", "HOME", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy",
    "PATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "PKG_CONFIG_PATH",
)  # fmt: skip
PATH_LISTS = ("PATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "PKG_CONFIG_PATH")
VALUE_BYTES_MAX = 128 << 10  # the kernel takes no longer one
_ROOTS = {
    "bin": ("PATH",), "lib": ("LD_LIBRARY_PATH", "LIBRARY_PATH"), "include": ("CPATH",), "pkgconfig": ("PKG_CONFIG_PATH",),
}  # fmt: skip


def base(own: Mapping[str, str]) -> Env:
    """What of the lifecycle's own environment buildpacks see."""
    return {name: own[name] for name in KEPT if own.get(name)}


def files(folder: Path) -> dict[str, str]:
    """The plain files of an env folder, by name and verbatim. Folders and links are no variables."""
    if folder.is_symlink() or not folder.is_dir():
        return {}
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()]
    return {path.name: _text(path) for path in paths}


def with_user_values(env: Mapping[str, str], given: Mapping[str, str]) -> Env:
    """`<platform>/env`: lists of paths go in front, others replace."""
    changed = dict(env)
    for name, value in given.items():
        changed[name] = _joined(value, changed.get(name, ""), ":") if name in PATH_LISTS else value
    return changed


def with_env_files(env: Mapping[str, str], given: Mapping[str, str], default: str = "override") -> Env:
    """A layer's env folder: the suffix says what to do, `default` what to do without one."""
    changed = dict(env)
    for file, value in sorted(given.items()):
        name, _, suffix = file.partition(".")
        old, delimiter = changed.get(name, ""), given.get(f"{name}.delim", "")
        match suffix or default:
            case "override":
                changed[name] = value
            case "default":
                changed[name] = old or value
            case "append":
                changed[name] = _joined(old, value, delimiter)
            case "prepend":
                changed[name] = _joined(value, old, delimiter)
    return changed


def with_layer(env: Mapping[str, str], layer: Folder) -> Env:
    """What a layer with `build = true` gives the buildpacks after it."""
    changed = dict(env)
    for child, names in _ROOTS.items():
        if (layer.host / child).is_dir():
            for name in names:
                changed[name] = _joined(f"{layer.inside}/{child}", changed.get(name, ""), ":")
    for child in ("env", "env.build"):
        changed = with_env_files(changed, files(layer.host / child))
    return changed


def of_buildpack(env: Mapping[str, str], pack: Buildpack, places: Places, target: Mapping[str, str]) -> Env:
    """The whole environment of one run: user values (unless cleared), then the operator's, then CNB_*."""
    chosen = dict(env) if pack.is_env_cleared else with_user_values(env, files(places.platform.host / "env"))
    chosen = with_env_files(chosen, files(places.build_config.host / "env"), default="default")
    chosen["CNB_BUILDPACK_DIR"] = pack.inside
    if pack.api >= (0, 8):
        chosen["CNB_PLATFORM_DIR"] = places.platform.inside
    if pack.api >= (0, 10):
        chosen |= target
    if pack.api >= (0, 12):
        chosen["CNB_EXEC_ENV"] = "production"
    return chosen


def build_layers(env: Mapping[str, str], layers: Iterable[Folder]) -> Env:
    """`with_layer` for each, in order."""
    changed = dict(env)
    for layer in layers:
        changed = with_layer(changed, layer)
    return changed


def _joined(first: str, second: str, delimiter: str) -> str:
    return f"{first}{delimiter}{second}" if first and second else first or second


def _text(path: Path) -> str:
    return toml_text.read_plain(path, VALUE_BYTES_MAX).decode("utf-8", "surrogateescape")
