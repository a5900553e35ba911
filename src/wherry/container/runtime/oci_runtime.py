"""The door to the OCI runtime (crun, or runc): which command line, and the wrapper for creation.

In:    settings, the machine's cgroup layout.
Out:   argv prefixes; `start`; `Unavailable` with the mend when a program is missing.
Why a wrapper: the machine sees root filesystems nosuid and nodev, or a set-user-ID file made in a container would serve
the machine's users; the container must see its own without. And crun 1.8.1 refuses to create while /sys/fs/cgroup/unified
is in sight. The wrapper runs that call in a mount namespace of its own where both are so (measured: 5 ms more). conmon and
everything that lasts (exec) stay outside, so that nothing pins copies of anybody's mounts. The shell is told to read it: where it
lies, nothing may be executed (/run is noexec on a stock Debian).
"""

import asyncio
import os
import shutil
from pathlib import Path

from wherry.container.runtime.settings import RuntimeSettings
from wherry.infrastructure.linux.cgroup_layout import Kind, Layout
from wherry.kit import process
from wherry.kit.errors import Invalid, TimedOut, Unavailable

SHELL = "/bin/sh"
MESSAGE_CHARACTERS_MAX = 1000


class OciRuntime:
    """One runtime program with one state folder."""

    def __init__(self, settings: RuntimeSettings, layout: Layout) -> None:
        self._settings = settings
        self._layout = layout
        self._found = ""

    def prepare(self) -> None:
        """Find the programs and write the wrapper. Raise `Unavailable` naming what to install."""
        found = find_program(self._settings.runtime, "crun")
        find_program(self._settings.conmon, "conmon")
        self._found = found
        # By rename: a conmon that outlived the last process may have it read just now.
        fresh = self._settings.wrapper.with_suffix(".new")
        fresh.write_text(_wrapper(found, self._layout), encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(self._settings.wrapper)

    @property
    def creation(self) -> tuple[str, ...]:
        """The words of creation that stand before `options`: a program and its first arguments."""
        return (SHELL, str(self._settings.wrapper))

    @property
    def options(self) -> tuple[str, ...]:
        """What stands before the runtime's command."""
        return (f"--root={self._settings.runtime_state_dir}",)

    def argv(self, *words: str) -> tuple[str, ...]:
        """A command line for anything but creation: start, exec. Past the wrapper, which those do not need."""
        return (self._found, *self.options, *words)

    async def start(self, container_id: str) -> None:
        """Run the created container's process. Raise `Invalid` with the runtime's words."""
        try:
            await process.run(self.argv("start", container_id), timeout_s=self._settings.command_timeout_s)
        except process.CommandFailed as error:
            raise Invalid(message_of(error.stderr)) from error
        except TimeoutError as error:
            raise TimedOut(f"the runtime did not start {container_id!r} in {self._settings.command_timeout_s:g} s") from error

    async def run_detached(self, bundle: Path, container_id: str) -> int:
        """Create and start a process nobody watches; return its pid. Its streams lead nowhere."""
        pid_file, errors = bundle / "pid", bundle / "stderr"
        words = ("run", "--detach", "--bundle", str(bundle), "--pid-file", str(pid_file), container_id)
        with errors.open("wb") as stderr:
            started = process.start((*self.creation, *self.options, *words), stderr=stderr, cwd=bundle, new_session=True)
        async with asyncio.timeout(self._settings.command_timeout_s):
            code = await started.wait()
        if code:
            raise Invalid(message_of(errors.read_text(encoding="utf-8", errors="replace")))
        return int(pid_file.read_text(encoding="ascii"))


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
    # An init's bundle is no mount and needs no set-user-ID.
    steps = ['case "$ROOT" in */init/rootfs) ;; *) mount -o remount,bind,suid,dev "$ROOT" ;; esac']
    # runc handles hybrid machines by itself.
    if layout.kind is Kind.HYBRID and os.path.basename(program) == "crun":
        if layout.unified_shared:
            # Unmounting would reach the machine itself by the shared parent.
            steps.append(f"mount --make-private {Path(layout.unified).parent}")
        steps.append(f"umount {layout.unified}")
    return f"""#!/bin/sh
previous= ROOT=
for word; do
  [ "$previous" = --bundle ] && ROOT=$word/rootfs
  previous=$word
done
[ -n "$ROOT" ] || exec {program} "$@"
export ROOT
exec unshare --mount --propagation unchanged /bin/sh -c '{" && ".join(steps)} && unset ROOT && exec {program} "$@"' {program} "$@"
"""
