"""What annotations of other Ingress controllers mean here: enforced, refused, or told to be without effect.

In:    one Ingress.
Out:   `Meaning`. An annotation that restricts access and is not enforced refuses every request of its Ingress (503).
Spec:  ingress-nginx "Annotations" (nginx-configuration/annotations); prefixes of Traefik, Kong and HAProxy.
Rule:  `_TABLE` names what is known; under a known prefix the rest restricts when its name holds a word of `_WORDS`.
"""

from dataclasses import dataclass
from ipaddress import ip_network

from wherry.application.gateway.model.headers import is_header_name, is_header_value
from wherry.kit.errors import Invalid
from wherry.orchestration.objects.meta import Object, annotations_of

NGINX = "nginx.ingress.kubernetes.io/"
PREFIXES = (
    NGINX, "traefik.ingress.kubernetes.io/", "konghq.com/", "haproxy.org/", "haproxy-ingress.github.io/",
    "ingress.kubernetes.io/", "haproxy.com/",
)  # fmt: skip
_WORDS = (
    "auth", "whitelist", "allowlist", "denylist", "blacklist", "limit", "deny", "tls", "ssl", "plugins", "middlewares",
    "modsecurity", "owasp", "snippet", "satisfy", "waf",
)  # fmt: skip
_ENFORCED = frozenset({
    "whitelist-source-range", "allowlist-source-range", "denylist-source-range", "ssl-redirect", "force-ssl-redirect",
    "canary", "canary-weight", "canary-weight-total", "canary-by-header", "canary-by-header-value",
})  # fmt: skip
# Names that hold a word of `_WORDS` and restrict nothing by themselves.
_HARMLESS = frozenset({
    "limit-whitelist", "limit-allowlist", "limit-burst-multiplier", "auth-tls-pass-certificate-to-upstream", "auth-realm",
    "auth-cache-duration", "auth-response-headers", "auth-proxy-set-headers", "ssl-prefer-server-ciphers",
    "proxy-ssl-server-name", "proxy-ssl-name", "proxy-ssl-ciphers", "proxy-ssl-protocols", "proxy-ssl-verify-depth",
})  # fmt: skip
_OFF = frozenset({"", "false", "off", "0"})
_SECURE_BACKENDS = frozenset({"HTTPS", "GRPCS"})
RANGES_MAX = 256
VALUE_LENGTH_MAX = 1024


@dataclass(frozen=True, slots=True)
class Canary:
    """A share of the requests of the Ingress that has the same host and path: by weight, and before that by header."""

    weight: int = 0
    total: int = 100
    header: str = ""
    value: str = ""  # "": `always` and `never` decide


@dataclass(frozen=True, slots=True)
class Meaning:
    """`refused` and `ignored` are annotation names; `canary` is None for an Ingress that is none."""

    refused: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    forces_tls: bool = False
    canary: Canary | None = None


def meaning_of(obj: Object) -> Meaning:
    """Never raises: a value that cannot be understood is refused by its name."""
    given = {name: str(value) for name, value in annotations_of(obj).items() if name.startswith(PREFIXES)}
    refused = [name for name, value in given.items() if _restricts(name, value)]
    ignored = [name for name in given if name not in refused and not _is_enforced(name)]
    allowed = _ranges(given, ("whitelist-source-range", "allowlist-source-range"), refused)
    denied = _ranges(given, ("denylist-source-range",), refused)
    canary = None
    if given.get(NGINX + "canary") == "true":
        canary = _canary(given, refused)
    elif given.get(NGINX + "canary", "false") != "false":
        refused.append(NGINX + "canary")
    forces_tls = given.get(NGINX + "force-ssl-redirect") == "true"
    return Meaning(tuple(sorted(refused)), tuple(sorted(ignored)), allowed, denied, forces_tls, canary)


def _is_enforced(name: str) -> bool:
    return name.startswith(NGINX) and name.removeprefix(NGINX) in _ENFORCED


def _restricts(name: str, value: str) -> bool:
    short = name.partition("/")[2]
    if value.strip().lower() in _OFF or short in _HARMLESS or _is_enforced(name):
        return False
    if short == "backend-protocol":  # plain text must not reach what is to be spoken to by TLS
        return value.upper() in _SECURE_BACKENDS
    if short.startswith("canary-"):  # a share that cannot be computed: see `_canary`
        return True
    return any(word in short for word in _WORDS)


def _ranges(given: dict[str, str], names: tuple[str, ...], refused: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        text = given.get(NGINX + name, "")
        try:
            found += [str(ip_network(entry.strip(), strict=False)) for entry in text.split(",") if entry.strip()]
        except ValueError:
            refused.append(NGINX + name)
    if len(found) > RANGES_MAX:
        refused.append(NGINX + names[0])
    return tuple(dict.fromkeys(found))


def _canary(given: dict[str, str], refused: list[str]) -> Canary:
    """The share; nothing at all when a part of it is refused."""
    try:
        weight, total = (_number(given, name, default) for name, default in (("canary-weight", 0), ("canary-weight-total", 100)))
    except Invalid:
        refused.append(NGINX + "canary-weight")
        return Canary()
    header, value = (given.get(NGINX + name, "") for name in ("canary-by-header", "canary-by-header-value"))
    if (header and not is_header_name(header)) or not is_header_value(value) or len(value) > VALUE_LENGTH_MAX:
        refused.append(NGINX + "canary-by-header")
        return Canary()
    return Canary(min(weight, total), total, header, value)


def _number(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(NGINX + name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise Invalid(f"{name} {text[:16]!r} is not a number")
    return int(text)
