"""Send an image of this cluster to a registry, with the credentials of ~/.docker/config.json.

examples:
  wherry push registry.example.com/team/app:v1
  wherry push wherry.local/postgres:17 registry.wherry.local:5050/base/postgres:17
"""

import argparse
import asyncio

from wherry.assembly import settings
from wherry.assembly.images import open_images, refuse_unsendable
from wherry.cli import output
from wherry.container.content.content import Content


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help="name or id of an image that is here")
    parser.add_argument("target", nargs="?", default="", help="name to send it as (default: its own)")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """0 when the registry has it."""
    content = open_images(settings.load_or_default(args.data_dir)).content
    target = args.target or args.image
    refuse_unsendable(content, target)
    digest = asyncio.run(send(content, args.image, target))
    if args.output == "json":
        output.data({"name": target, "digest": digest})
    else:
        output.line(f"{target}@{digest}")
    return 0


async def send(content: Content, source: str, target: str) -> str:
    """The digest that the registry has it under."""
    from wherry.container.registry.client import RegistryClient
    from wherry.container.registry.push import push_image

    async with RegistryClient() as client:
        return await push_image(client, content, source, target, progress=output.note)
