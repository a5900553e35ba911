"""The images of this cluster: list, read from a file, write to one, forget.

A tar is an OCI layout that `docker load`, `skopeo` and `ctr` read too; `load` reads those of `docker save`.

examples:
  wherry image ls
  wherry image load app.tar
  wherry image save registry.wherry.local:5050/team/app:v1 --to app.tar
  wherry image rm registry.wherry.local:5050/team/app:v1
  wherry image prune --hours 48             images that lost their tag to a newer one, two days old at least
"""

import argparse
import asyncio
from pathlib import Path

from wherry.assembly import settings
from wherry.assembly.images import Images, mounted_layers, open_images
from wherry.cli import output
from wherry.container.content import transfer
from wherry.container.image.service import Image
from wherry.kit.errors import NotFound

PRUNE_HOURS = 24.0


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ls | load | save | rm | prune")
    actions.add_parser("ls", help="every image with its names and size")
    load = actions.add_parser("load", help="take in the images of a tar or an OCI layout folder")
    load.add_argument("path", type=Path)
    load.add_argument("--name", default="", help="for an image that carries no name")
    save = actions.add_parser("save", help="write images to a tar")
    save.add_argument("names", nargs="+", metavar="image")
    save.add_argument("--to", type=Path, required=True, help="the tar; replaced when the new one is whole")
    remove = actions.add_parser("rm", help="forget names, or with an id all names of an image; what containers use stays on disk")
    remove.add_argument("names", nargs="+", metavar="image")
    prune = actions.add_parser("prune", help="forget images without a tag, as rebuilds leave them")
    prune.add_argument("--hours", type=float, default=PRUNE_HOURS, help="how old at least (default %(default)g)")
    for action in actions.choices.values():
        action.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """0 when done; 1 when an image is not there."""
    cluster = settings.load_or_default(args.data_dir)
    opened = open_images(cluster, in_use=lambda: mounted_layers(cluster))
    if args.action in ("ls", "load"):
        images = asyncio.run(opened.service.images() if args.action == "ls" else _load(opened, args))
        _show(images, args.output)
        return 0
    text, document = asyncio.run({"save": _save, "rm": _remove, "prune": _prune}[args.action](opened, args))
    if args.output == "json":
        output.data(document)
    else:
        output.line(text)
    return 0


async def _load(opened: Images, args: argparse.Namespace) -> list[Image]:
    return await transfer.import_images(opened.content, args.path, name=args.name)


async def _save(opened: Images, args: argparse.Namespace) -> tuple[str, dict[str, object]]:
    await transfer.export_images(opened.content, args.names, args.to)
    size = args.to.stat().st_size
    return f"{args.to}: {size / 1024**2:.1f} MiB", {"path": str(args.to), "sizeBytes": size}


async def _remove(opened: Images, args: argparse.Namespace) -> tuple[str, dict[str, object]]:
    missing = [name for name in args.names if await opened.service.present(name) is None]
    if missing:
        raise NotFound(f"no image {', '.join(map(repr, missing))} here, and nothing was removed; see: wherry image ls")
    for name in args.names:
        await opened.service.remove(name)
    return f"removed: {', '.join(args.names)}", {"removed": args.names}


async def _prune(opened: Images, args: argparse.Namespace) -> tuple[str, dict[str, object]]:
    count = await opened.service.prune(args.hours * 3600)
    return f"removed: {count} images without a tag", {"removed": count}


def _show(images: list[Image], form: str) -> None:
    if form == "json":
        output.data([{"id": i.id, "tags": i.tags, "digests": i.digests, "sizeBytes": i.size_bytes} for i in images])
        return
    rows = [(tag, i.id[7:19], f"{i.size_bytes / 1024**2:.1f} MiB") for i in images for tag in (i.tags or ("<none>",))]
    output.table(("IMAGE", "ID", "SIZE"), sorted(rows))
