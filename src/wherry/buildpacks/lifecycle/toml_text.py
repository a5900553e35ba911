"""Write TOML, which the standard library only reads.

In:    a mapping of what `tomllib` gives.
Out:   text that `tomllib` reads back as equal; None values are left out.
Spec:  TOML 1.0.
"""

import datetime
import errno
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wherry.kit.errors import Invalid

_BARE = re.compile(r"[A-Za-z0-9_-]+")
FILE_BYTES_MAX = 4 << 20  # of one TOML file a buildpack or a project wrote


def dumps(document: Mapping[str, Any]) -> str:
    """The document as TOML: values first, then tables, in the order given."""
    return "\n".join(_table(document, ())) + "\n"


def read(path: Path) -> dict[str, Any]:
    """A TOML file, {} when there is none. Raise `Invalid` naming the file when it is none."""
    try:
        data = read_plain(path, FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    if len(data) > FILE_BYTES_MAX:
        raise Invalid(f"{path.name}: longer than {FILE_BYTES_MAX} bytes")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name}: not TOML: {error}") from error


def read_plain(path: Path, bytes_max: int) -> bytes:
    """The start of a file that a buildpack may have put there: a link could lead anywhere on this machine, so none is followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Invalid(f"{path.name}: is a link, it must be a file") from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Invalid(f"{path.name}: is no plain file")
        return file.read(bytes_max)


def rfc3339(value: datetime.datetime | datetime.date | datetime.time) -> str:
    """A date of TOML as RFC 3339 writes it: `T` between date and time, `Z` for UTC."""
    return value.isoformat().removesuffix("+00:00") + "Z" if _is_utc(value) else value.isoformat()


def _is_utc(value: datetime.datetime | datetime.date | datetime.time) -> bool:
    return isinstance(value, datetime.datetime) and value.utcoffset() == datetime.timedelta(0)


def as_json(value: object) -> str:
    """For `json.dumps(default=...)`: the kinds of value that TOML has and JSON has not."""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return rfc3339(value)
    raise TypeError(f"a {type(value).__name__} is no value of TOML")


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    nested: list[tuple[str, Any]] = []
    for key, value in table.items():
        if value is None:
            continue
        if isinstance(value, Mapping) or _is_table_list(value):
            nested.append((key, value))
        else:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in nested:
        name = ".".join(_key(part) for part in (*path, key))
        for one in [value] if isinstance(value, Mapping) else value:
            yield f"[{name}]" if isinstance(value, Mapping) else f"[[{name}]]"
            yield from _table(one, (*path, key))


def _is_table_list(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, except that JSON lets DEL pass and writes beyond the BMP as surrogate pairs.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            text = repr(value)
            return text if any(mark in text for mark in ".en") else f"{text}.0"
        case str():
            return _string(value)
        case datetime.datetime():
            return rfc3339(value)
        case datetime.date() | datetime.time():
            return value.isoformat()
        case list() | tuple():
            return "[" + ", ".join(_value(item) for item in value) + "]"
        case Mapping():
            return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
        case _:
            raise Invalid(f"a {type(value).__name__} cannot be written as TOML")
