"""What `GET /version` answers.

Spec:  apimachinery version.Info; clients parse gitVersion as a semantic version and compare minors.
"""

import platform
import sys

from wherry import KUBERNETES_VERSION, __version__

MAJOR, MINOR, _ = KUBERNETES_VERSION.removeprefix("v").split(".", 2)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def version_info() -> dict[str, str]:
    """The document."""
    machine = platform.machine()
    return {
        "major": MAJOR, "minor": MINOR, "emulationMajor": MAJOR, "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR, "minCompatibilityMinor": str(int(MINOR) - 1),
        "gitVersion": KUBERNETES_VERSION, "gitCommit": f"wherry-{__version__}", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{sys.version_info.major}.{sys.version_info.minor}", "compiler": sys.implementation.name,
        "platform": f"{sys.platform}/{_ARCHITECTURES.get(machine, machine)}",
    }
