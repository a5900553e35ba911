"""Where the engine keeps what it has, and which programs it runs."""

from dataclasses import dataclass
from pathlib import Path

# conmon's attach socket is `<run_dir>/c/<id>/attach`, and a unix socket path has at most 107 characters.
RUN_DIR_CHARACTERS_MAX = 34


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """`run_dir` holds what ends with the machine's uptime, `data_dir` the writable layers (they need a disk)."""

    run_dir: Path
    data_dir: Path
    cgroup_root: str  # such as "wherry-1f2e3d4c"; everything below it is ours
    runtime: str = "crun"  # crun or runc, a name in PATH or a path
    conmon: str = "conmon"
    init: str = "catatonit"  # static; PID 1 of sandboxes whose containers share a PID namespace
    shm_bytes: int = 64 << 20  # of /dev/shm, as every runtime has it
    command_timeout_s: float = 60.0  # for one call of the runtime; a loaded machine may take seconds

    limited_cgroup: str = ""  # below `cgroup_root`: the parent of all sandboxes, for `pids_max`
    pids_max: int = 0  # processes and threads of everything in it; 0: not limited

    def __post_init__(self) -> None:
        if len(str(self.run_dir)) > RUN_DIR_CHARACTERS_MAX:
            raise ValueError(f"run_dir {str(self.run_dir)!r} is longer than {RUN_DIR_CHARACTERS_MAX} characters")

    def sandbox_dir(self, sandbox_id: str) -> Path:
        """Namespace files, /dev/shm and the record of one sandbox."""
        return self.run_dir / "s" / sandbox_id

    def bundle(self, container_id: str) -> Path:
        """The OCI bundle, sockets, pid files and the record of one container."""
        return self.run_dir / "c" / container_id

    def writable_dir(self, container_id: str) -> Path:
        """The upper and work folders of one container's overlay."""
        return self.data_dir / "containers" / container_id

    @property
    def exit_dir(self) -> Path:
        """conmon writes each exit code here, in a file named after the container."""
        return self.run_dir / "exit"

    @property
    def runtime_state_dir(self) -> Path:
        """The runtime's own `--root`."""
        return self.run_dir / "runtime"

    @property
    def wrapper(self) -> Path:
        """The script that runs the runtime for creation."""
        return self.run_dir / "runtime.sh"

    @property
    def short_names_dir(self) -> Path:
        """Short links to image layers."""
        return self.run_dir / "l"
