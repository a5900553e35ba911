"""Make an image from distribution packages: a recipe that comes with Wherry, or your own .toml file.

The image is on the node at once, as wherry.local/<name>:<version>, for this cluster's pods and builds. It is in the
cluster's registry, for other clients, once it has a name there: --tag registry.wherry.local:5050/NAME:TAG.
A lock file beside the recipe pins every package. `base` of a recipe is another recipe, beside it or one of --list.

examples:
  wherry assemble postgres
  wherry assemble ./my-base.toml --tag registry.wherry.local:5050/team/base:1
  wherry assemble --list
"""

import argparse
import asyncio
from pathlib import Path

from wherry.assembly import images, settings
from wherry.assembly.node import NodeSettings
from wherry.cli import output
from wherry.container.assemble.assemble import Options, assemble_recipe, find_recipe, recipes_dir
from wherry.container.image.service import Image
from wherry.kit.errors import Invalid


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="*", help="name of a recipe, or path of a .toml file")
    parser.add_argument("--tag", default="", help="another name for the image, besides wherry.local/<name>:<version>")
    parser.add_argument("--list", action="store_true", help="the recipes that come with Wherry")
    parser.add_argument("--update", action="store_true", help="take the newest packages and write the lock file anew")
    parser.add_argument("--locked", action="store_true", help="fail rather than write the lock file anew")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """0 when every image is there."""
    if args.list:
        for path in sorted(recipes_dir().glob("*.toml")):
            output.line(path.stem)
        return 0
    if not args.recipe:
        raise Invalid("name a recipe; wherry assemble --list shows those that come with Wherry")
    if args.tag and len(args.recipe) > 1:
        raise Invalid("--tag names one image; assemble one recipe at a time with it")
    cluster = settings.load_or_default(args.data_dir)
    results: list[Image] = []
    for name in args.recipe:
        path = find_recipe(name)
        with output.Step(f"image {path.stem}") as step:
            image = asyncio.run(_assemble(cluster, path, args, step))
        results.append(image)
    if args.output == "json":
        output.data([{"id": image.id, "tags": image.tags, "sizeBytes": image.size_bytes} for image in results])
    else:
        for image in results:
            output.line(f"{', '.join(image.tags)}  {image.size_bytes / 1024**2:.0f} MiB  {image.id[:19]}")
    return 0


async def _assemble(cluster: NodeSettings, path: Path, args: argparse.Namespace, step: output.Step) -> Image:
    opened = images.open_images(cluster)
    return await assemble_recipe(
        path, content=opened.content, cache_dir=images.cache_dir(cluster), progress=step.progress, tag=args.tag,
        options=Options(update=args.update, locked=args.locked),
    )  # fmt: skip
