"""API versions: which are spoken, and how a text becomes one.

Spec: Buildpack API 0.7-0.12, Platform API 0.15.
"""

import re

from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed

Api = tuple[int, int]
BUILDPACK_MIN: Api = (0, 7)
BUILDPACK_MAX: Api = (0, 12)
PLATFORM = "0.15"
_FORM = re.compile(r"(\d+)(?:\.(\d+))?")


def buildpack_api(text: str, owner: str) -> Api:
    """Read `api` of a buildpack.toml. Raise `PhaseFailed` for one that is not spoken here."""
    match = _FORM.fullmatch(text)
    api = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    if not BUILDPACK_MIN <= api <= BUILDPACK_MAX:
        spoken = f"{BUILDPACK_MIN[0]}.{BUILDPACK_MIN[1]} to {BUILDPACK_MAX[0]}.{BUILDPACK_MAX[1]}"
        raise PhaseFailed(Code.BUILDPACK_API, f"{owner}: buildpack API {text!r} is not supported, {spoken} are")
    return api
