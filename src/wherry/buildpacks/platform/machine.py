"""What builds need of this machine to reach package registries: proxies, certificates, pip's and npm's configuration.

In:    the environment of this process, the user's and the machine's configuration files.
Out:   variables for `<platform>/env` and files to mount into the build container. None of it ends up in the image.
"""

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_PASSED = re.compile(r"(PIP|UV|NPM_CONFIG|npm_config|POETRY|YARN|GOPROXY|GOFLAGS|GONOSUMDB|GOSUMDB)(_\w+)?")
_CERTIFICATES = (
    "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE",
)  # fmt: skip
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# Where they belong to this machine's folders, not to the container's.
_NOT_PASSED = frozenset({"PIP_CACHE_DIR", "PIP_CONFIG_FILE", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "UV_CACHE_DIR"})
_NOT_PASSED_NPM = ("cache", "prefix", "userconfig", "globalconfig", "init_module", "local_prefix", "node_gyp", "user_agent")
_FILE_KEYS = frozenset({"cert", "client-cert", "client_cert", "find-links", "find_links", "cafile", "certfile", "keyfile"})
PIP_FILES = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf")
NPM_FILES = ("/usr/etc/npmrc", "/usr/local/etc/npmrc", "/etc/npmrc")
NPM_GLOBAL = "/usr/local/etc/npmrc"  # where npm of the build image looks


@dataclass(frozen=True, slots=True)
class Given:
    """A file or folder of this machine and its name in the container."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True)
class Machine:
    """`private` files may hold passwords: they are copied for the build user alone, then mounted."""

    env: Mapping[str, str]
    proxies: Mapping[str, str]
    shared: tuple[Given, ...]
    private: tuple[Given, ...]


def look(environ: Mapping[str, str], home: Path, build_home: str) -> Machine:
    """What this machine has. Reads files, changes nothing."""
    env = {name: value for name, value in environ.items() if _is_passed(name) and value}
    proxies = {name: environ[name] for name in PROXIES if environ.get(name)}
    private = tuple(_configurations(home, build_home))
    named = [Path(value) for name, value in env.items() if name in _CERTIFICATES]
    named += [path for name, value in env.items() if name.partition("_")[2].lower() in _FILE_KEYS for path in _paths(value)]
    named += [path for given in private for path in _files_named_in(given.source)]
    shared = [Given(path, str(path)) for path in dict.fromkeys([_BUNDLE, *named]) if path.is_absolute() and path.exists()]
    shared += [Given(Path(name), name) for name in ("/etc/resolv.conf", "/etc/hosts") if Path(name).exists()]
    return Machine(env, proxies, tuple(shared), private)


def _is_passed(name: str) -> bool:
    if name in _CERTIFICATES:
        return True
    if name in _NOT_PASSED or not _PASSED.fullmatch(name):
        return False
    return not name.lower().removeprefix("npm_config_").startswith(_NOT_PASSED_NPM)


def _configurations(home: Path, build_home: str) -> Iterator[Given]:
    wanted = [
        ((home / ".config/pip/pip.conf", home / ".pip/pip.conf"), f"{build_home}/.config/pip/pip.conf"),
        (tuple(Path(name) for name in PIP_FILES), "/etc/pip.conf"),
        ((home / ".npmrc",), f"{build_home}/.npmrc"),
        (tuple(Path(name) for name in NPM_FILES), NPM_GLOBAL),
        ((home / ".netrc",), f"{build_home}/.netrc"),
    ]
    for sources, target in wanted:
        for source in sources:
            if source.is_file():
                yield Given(source, target)
                break


def _files_named_in(path: Path) -> list[Path]:
    """Certificates and package folders that a configuration names."""
    text = path.read_text(errors="replace")
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text if path.name == "pip.conf" else f"[npm]\n{text}")
    except configparser.Error:
        return []
    values = [value for section in parser.values() for key, value in section.items() if key in _FILE_KEYS and value]
    return [found for value in values for found in _paths(value)]


def _paths(value: str) -> list[Path]:
    return [Path(word.strip("\"'")) for word in value.split() if word.strip("\"'").startswith("/")]
