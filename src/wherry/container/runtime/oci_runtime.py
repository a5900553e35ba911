"""The door to the OCI runtime (crun, or runc): which command line, and the wrapper for hybrid cgroup machines.

In:    settings, the machine's cgroup layout.
Out:   argv prefixes; `start`; `Unavailable` with the mend when a program is missing.
Why a wrapper: crun 1.8.1 refuses to work while /sys/fs/cgroup/unified is in sight. The wrapper runs each call in a mount
namespace of its own with that one unmounted (measured: 5 ms more a call); conmon itself stays outside, so that it pins no
copy of anybody's mounts while its container lives.
"""

import os
import shutil
from pathlib import Path

from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.linux.cgroup_layout import Kind, Layout
from wherry.kit import process
from wherry.kit.errors import Invalid, Unavailable

MESSAGE_CHARACTERS_MAX = 1000


class OciRuntime:
    """One runtime program with one state folder."""

    def __init__(self, settings: RuntimeSettings, layout: Layout) -> None:
        self._settings = settings
        self._layout = layout
        self.program = ""

    def prepare(self) -> None:
        """Find the programs and write the wrapper. Raise `Unavailable` naming what to install."""
        found = find_program(self._settings.runtime, "crun")
        find_program(self._settings.conmon, "conmon")
        self.program = found
        # runc handles hybrid machines by itself.
        if self._layout.kind is Kind.HYBRID and os.path.basename(found) == "crun":
            self._settings.wrapper.write_text(_wrapper(found, self._layout), encoding="utf-8")
            self._settings.wrapper.chmod(0o700)
            self.program = str(self._settings.wrapper)

    @property
    def options(self) -> tuple[str, ...]:
        """What stands before the runtime's command."""
        return (f"--root={self._settings.runtime_state_dir}",)

    def argv(self, *words: str) -> tuple[str, ...]:
        """A whole command line."""
        return (self.program, *self.options, *words)

    async def start(self, container_id: str) -> None:
        """Run the created container's process. Raise `Invalid` with the runtime's words."""
        await self.call("start", container_id)

    async def call(self, *words: str) -> bytes:
        """One short command of the runtime, to its end."""
        try:
            return await process.run(self.argv(*words), timeout_s=self._settings.command_timeout_s)
        except process.CommandFailed as error:
            raise Invalid(message_of(error.stderr)) from error


def message_of(text: str) -> str:
    """A runtime's complaint as a line for the user: without time stamps, cut short."""
    words = " ".join(text.split())
    for noise in ("[conmon:e]:", "error:", "Error:"):
        words = words.removeprefix(noise).strip()
    return words[-MESSAGE_CHARACTERS_MAX:] or "the container runtime gave no reason"


def find_program(name: str, package: str) -> str:
    """The path of a program. Raise `Unavailable` when it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed; run: apt-get install -y {package}")
    return found


def _wrapper(program: str, layout: Layout) -> str:
    hide = f"umount {layout.unified}"
    if layout.unified_shared:
        # Unmounting would reach the machine itself by the shared parent.
        hide = f"mount --make-private {Path(layout.unified).parent} && {hide}"
    return f"""#!/bin/sh
exec unshare --mount --propagation unchanged /bin/sh -c '{hide}; exec {program} "$@"' {program} "$@"
"""
