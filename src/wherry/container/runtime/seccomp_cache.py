"""Compiled seccomp filters, kept by profile: compiling the default one anew costs 25 ms of each container's start.

In:    a profile (the OCI document's `seccomp`), a container the runtime created with it.
Out:   the annotation by which crun takes a compiled filter (crun(1), `run.oci.seccomp_bpf_data`), or none yet.
The profile stays in the document beside it, so a runtime that does not know the annotation compiles as ever.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ANNOTATION = "run.oci.seccomp_bpf_data"
COMPILED_NAME = "seccomp.bpf"  # in crun's state folder of a container
FILTER_BYTES_MAX = 4096 * 8 * 4  # BPF_MAXINSNS instructions of 8 bytes, with room


class SeccompCache:
    """Lives in `folder`, which only root may write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def annotations(self, profile: Mapping[str, Any] | None) -> dict[str, str]:
        """What to add to the document."""
        if profile is None:
            return {}
        try:
            data = self._file(profile).read_bytes()
        except FileNotFoundError:
            return {}
        return {ANNOTATION: base64.b64encode(data).decode("ascii")}

    def keep(self, profile: Mapping[str, Any] | None, state_folder: Path) -> None:
        """Take over what the runtime compiled for a new container, if it left it there."""
        if profile is None or (file := self._file(profile)).exists():
            return
        try:
            data = (state_folder / COMPILED_NAME).read_bytes()
        except FileNotFoundError:
            return
        if 0 < len(data) <= FILTER_BYTES_MAX and len(data) % 8 == 0:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = file.with_suffix(f".{state_folder.name}.tmp")
            temporary.write_bytes(data)
            temporary.replace(file)

    def _file(self, profile: Mapping[str, Any]) -> Path:
        text = json.dumps(profile, sort_keys=True).encode()
        return self._folder / hashlib.sha256(text).hexdigest()
