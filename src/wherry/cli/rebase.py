"""Put an image that `wherry build` made on the newest base, without building: the application's layers stay as they are.

Exit code 72 when the bases do not fit.

examples:
  wherry rebase registry.wherry.local:5050/team/app:v1
  wherry rebase app:v1 --tag app:v1-patched --run-image wherry.local/run-python:12
"""

import argparse
import asyncio

from wherry.assembly import builds, settings
from wherry.buildpacks.lifecycle.failure import PhaseFailed
from wherry.buildpacks.platform.report import TextProgress
from wherry.cli import output


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help="name of the image")
    parser.add_argument("--tag", action="append", default=[], help="name for the result (default its own); may be given again")
    parser.add_argument("--run-image", default="", help="the base (default: the newest of the name it was built on)")
    parser.add_argument("--force", action="store_true", help="also on a base of another name or distribution")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """0, or 72."""
    cluster = settings.load_or_default(args.data_dir)
    names = args.tag or [args.image]
    try:
        image = asyncio.run(
            builds.rebase(cluster, args.image, names, args.run_image, force=args.force, progress=TextProgress(output.note))
        )
    except PhaseFailed as error:
        output.note(f"wherry rebase: {error}")
        return int(error.code)
    if args.output == "json":
        output.data({"image": image.id, "names": names, "digests": image.digests})
    else:
        output.line(f"{', '.join(names)}  {image.id[:19]}")
    return 0
