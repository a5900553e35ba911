"""The forms of names, keys, labels and ports; each check returns what is wrong, an empty list when nothing is.

Spec: RFC 1123, RFC 1035, RFC 6335 and k8s.io/apimachinery/pkg/util/validation, whose texts users know.
"""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

LABEL_LENGTH_MAX = 63
SUBDOMAIN_LENGTH_MAX = 253
PORT_NAME_LENGTH_MAX = 15
PORT_RANGE = range(1, 65536)
PORT_WRONG = "must be between 1 and 65535, inclusive"

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = rf"({_QUALIFIED})?"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"
_C_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"


def regex_wrong(text: str, pattern: str, *examples: str) -> str:
    """Upstream's form of "does not match"."""
    if not examples:
        return f"{text} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {shown}regex used for validation is '{pattern}')"


def too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


_LABEL_WRONG = regex_wrong(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character", _LABEL, "my-name", "123-abc",
)
_SUBDOMAIN_WRONG = regex_wrong(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character", _SUBDOMAIN, "example.com",
)
_LABEL_1035_WRONG = regex_wrong(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character", _LABEL_1035, "my-name", "abc-123",
)
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_QUALIFIED_EXAMPLES = ("MyName", "my.name", "123-abc")
_LABEL_VALUE_WRONG = regex_wrong(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character", _LABEL_VALUE, "MyValue", "my_value", "12345",
)
_CONFIG_KEY_WRONG = regex_wrong(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'", _CONFIG_KEY,
    "key.name", "KEY_NAME", "key-name",
)
_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_label_1035 = re.compile(_LABEL_1035).fullmatch
_is_qualified = re.compile(_QUALIFIED).fullmatch
_is_label_value = re.compile(_LABEL_VALUE).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch
_is_variable = re.compile(r"[ -<>-~]+").fullmatch
_is_port_name = re.compile(r"[-a-z0-9]+").fullmatch


@lru_cache(maxsize=4096)
def label_wrong(name: str) -> tuple[str, ...]:
    """RFC 1123 label."""
    return _length_and_form(name, LABEL_LENGTH_MAX, _is_label(name) is not None, _LABEL_WRONG)


@lru_cache(maxsize=4096)
def subdomain_wrong(name: str) -> tuple[str, ...]:
    """RFC 1123 subdomain: the name of most objects."""
    return _length_and_form(name, SUBDOMAIN_LENGTH_MAX, _is_subdomain(name) is not None, _SUBDOMAIN_WRONG)


def label_1035_wrong(name: str) -> tuple[str, ...]:
    """RFC 1035 label: names of Services."""
    return _length_and_form(name, LABEL_LENGTH_MAX, _is_label_1035(name) is not None, _LABEL_1035_WRONG)


def path_segment_wrong(name: str) -> tuple[str, ...]:
    """Anything that can stand in a URL path: names of RBAC objects."""
    if name in (".", ".."):
        return (f"may not be '{name}'",)
    return tuple(f"may not contain '{char}'" for char in "/%" if char in name)


@lru_cache(maxsize=4096)
def qualified_wrong(name: str) -> tuple[str, ...]:
    """`name` or `example.com/name`: label and annotation keys, resource names, finalizers."""
    prefix, slash, rest = name.partition("/")
    if "/" in rest:
        text = regex_wrong(f"a qualified name {_QUALIFIED_TEXT}", _QUALIFIED, *_QUALIFIED_EXAMPLES)
        return (f"{text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    found: list[str] = []
    if slash:
        if not prefix:
            found.append("prefix part must be non-empty")
        found += [f"prefix part {text}" for text in subdomain_wrong(prefix)] if prefix else []
    local = rest if slash else prefix
    if not local:
        found.append("name part must be non-empty")
    elif len(local) > LABEL_LENGTH_MAX:
        found.append(f"name part {too_long(LABEL_LENGTH_MAX)}")
    if not _is_qualified(local):
        found.append(f"name part {regex_wrong(_QUALIFIED_TEXT, _QUALIFIED, *_QUALIFIED_EXAMPLES)}")
    return tuple(found)


@lru_cache(maxsize=4096)
def label_value_wrong(value: str) -> tuple[str, ...]:
    """The value of a label."""
    return _length_and_form(value, LABEL_LENGTH_MAX, _is_label_value(value) is not None, _LABEL_VALUE_WRONG)


def config_key_wrong(key: str) -> tuple[str, ...]:
    """A key of a ConfigMap or Secret: also a file name."""
    found = _length_and_form(key, SUBDOMAIN_LENGTH_MAX, _is_config_key(key) is not None, _CONFIG_KEY_WRONG)
    if key == ".":
        found += ("must not be '.'",)
    elif key == "..":
        found += ("must not be '..'",)
    elif key.startswith(".."):
        found += ("must not start with '..'",)
    return found


def variable_wrong(name: str) -> tuple[str, ...]:
    """The name of an environment variable: printable ASCII without `=`."""
    if _is_variable(name):
        return ()
    return ("a valid environment variable name must consist only of printable ASCII characters other than '='",)


def port_name_wrong(name: str) -> tuple[str, ...]:
    """IANA service name, RFC 6335 section 5.1."""
    found: list[str] = []
    if len(name) > PORT_NAME_LENGTH_MAX:
        found.append(too_long(PORT_NAME_LENGTH_MAX))
    if not _is_port_name(name):
        found.append("must contain only alphanumeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        found.append("must contain at least one letter (a-z)")
    if "--" in name:
        found.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return tuple(found)


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address, or None when it is not one in plain form."""
    for form in (IPv4Address, IPv6Address):
        try:
            return form(text)
        except AddressValueError:
            continue
    return None


def without_trailing_dashes(prefix: str) -> str:
    """A generateName as its checks see it: the dash before the random suffix is fine."""
    return f"{prefix[:-1]}a" if prefix.endswith("-") and len(prefix) > 1 else prefix


def _length_and_form(text: str, limit: int, is_form: bool, form_wrong: str) -> tuple[str, ...]:
    found = (too_long(limit),) if len(text) > limit else ()
    return found if is_form else (*found, form_wrong)
