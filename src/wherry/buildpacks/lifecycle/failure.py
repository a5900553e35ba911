"""What ends a phase early, with the exit code that CNB tools know.

Spec: Platform API 0.15 "Exit Codes"; the numbers are those that the lifecycle uses.
"""

from enum import IntEnum

from wherry.kit.errors import WherryError


class Code(IntEnum):
    """Exit codes of the phases."""

    PLATFORM_API = 11
    BUILDPACK_API = 12
    NONE_DETECTED = 20
    DETECT_BUILDPACK = 21  # none detected, and at least one buildpack's detect broke
    DETECT = 22
    ANALYZE = 32
    RESTORE = 42
    BUILD_BUILDPACK = 51  # a buildpack's build ended with an error
    BUILD = 52
    EXPORT = 62
    REBASE = 72
    LAUNCH = 82


class PhaseFailed(WherryError):
    """A phase ended without its result. `code` is the exit code for the command line."""

    def __init__(self, code: Code, message: str) -> None:
        self.code = code
        super().__init__(message)
