"""Where images are kept and what an image may cost."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ContentSettings:
    """One content folder. Several processes may use it at once, each with settings of its own for the same `root`."""

    root: Path
    registry: str = ""  # the name of the registry that serves this folder: its images need no network
    registry_aliases: tuple[str, ...] = ()  # other names of the same registry, such as localhost:5050
    local_domains: tuple[str, ...] = ("wherry.local",)  # images of these domains are only ever made here
    absent_mend: str = ""  # what to do when such an image is not here; "": push it or make it
    grace_s: float = 3600.0  # unreferenced content younger than this may be part of a pull, push or build under way
    downloads_max: int = 3  # at a time for one pull, as Docker does
    blob_bytes_max: int = 64 << 30
    layer_bytes_max: int = 256 << 30  # unpacked; a few kilobytes of zstd can say more
    layer_entries_max: int = 4_000_000

    @property
    def blobs_dir(self) -> Path:
        return self.root / "blobs"

    @property
    def layers_dir(self) -> Path:
        return self.root / "layers"

    @property
    def layers_lock(self) -> Path:
        """Shared by who takes an unpacked layer into use, alone by who removes one."""
        return self.root / "layers.lock"

    @property
    def ingest_dir(self) -> Path:
        return self.root / "ingest"

    @property
    def uploads_dir(self) -> Path:
        return self.root / "uploads"

    @property
    def index_file(self) -> Path:
        return self.root / "index.db"
