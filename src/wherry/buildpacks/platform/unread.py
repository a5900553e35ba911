"""What lies in a source folder and no buildpack of ours reads: told before the build, each with what to do.

In:    the folder.
Out:   lines; nothing that is read is among them. Lock files and versions are not: our buildpacks follow them or refuse.
"""

from pathlib import Path

_IMAGE = "is not read; the image is made by buildpacks. Name the process in a Procfile"
FILES = {"Dockerfile": _IMAGE, "Containerfile": _IMAGE}


def lines(folder: Path) -> tuple[str, ...]:
    """One for each file."""
    return tuple(f"{name} {text}" for name, text in FILES.items() if (folder / name).is_file())
