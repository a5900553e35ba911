"""Build an image from source code with Cloud Native Buildpacks, in containers, without Docker.

The image is on the node and in the cluster's registry at once. Exit codes are the lifecycle's: 20 no buildpack fits,
51 a buildpack's build failed, 62 the export failed.

examples:
  wherry build . --tag registry.wherry.local:5050/team/app:v1
  wherry build ./api --tag registry.wherry.local:5050/team/api:v2 -e BP_LOG_LEVEL=debug
  wherry build . --tag app:dev --clear-cache
"""

import argparse
import asyncio
from pathlib import Path

from wherry.assembly import builds, settings
from wherry.assembly.images import open_images
from wherry.buildpacks.lifecycle.failure import PhaseFailed
from wherry.buildpacks.platform.build import BuildResult
from wherry.buildpacks.platform.report import TextProgress
from wherry.buildpacks.platform.settings import BuildOptions
from wherry.cli import output
from wherry.kit.errors import Invalid


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="folder with the source code")
    parser.add_argument("--tag", action="append", required=True, help="name of the image; may be given again")
    add_options(parser)
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The flags that `wherry deploy` has too."""
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="for the buildpacks")
    parser.add_argument("-b", "--buildpack", action="append", default=[], help="id or folder, instead of the builder's order")
    parser.add_argument("-B", "--builder", type=Path, help="a builder.toml")
    parser.add_argument("-d", "--descriptor", type=Path, help="a project.toml, instead of the source's own")
    parser.add_argument("-D", "--default-process", default="", help="process that the image runs")
    parser.add_argument("--clear-cache", action="store_true", help="forget what earlier builds kept")
    parser.add_argument("--previous-image", default="", help="compare with this one, not with the last of the same repository")
    parser.add_argument("--run-image", default="", help="base of the image")


def options(args: argparse.Namespace) -> BuildOptions:
    """The flags as options of the build. Raises `Invalid` for an environment variable without a value."""
    env = {}
    for text in args.env:
        name, separator, value = text.partition("=")
        if not separator:
            raise Invalid(f"-e {text!r}: write NAME=VALUE")
        env[name] = value
    return BuildOptions(
        env=env, process=args.default_process, is_cache_cleared=args.clear_cache, builder=args.builder,
        buildpacks=tuple(args.buildpack), descriptor=args.descriptor, run_image=args.run_image,
        previous_image=args.previous_image,
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """0, or the exit code of the phase that failed."""
    cluster = settings.load_or_default(args.data_dir)
    progress = TextProgress(output.note if args.output == "json" else output.line)
    try:
        result = asyncio.run(builds.open_platform(cluster).build(args.path, args.tag, options(args), progress))
    except PhaseFailed as error:
        output.note(f"wherry build: {error}")
        return int(error.code)
    if args.output == "json":
        output.data(report(result))
    content = open_images(cluster).content
    for name in result.names:
        if not content.is_local(content.parse(name)):
            output.note(f"{name} is on this machine only; send it to its registry with: wherry push {name}")
    return 0


def report(result: BuildResult) -> dict[str, object]:
    """The result as a document."""
    return {
        "image": result.image.id, "names": result.names, "digests": result.image.digests, "buildpacks": result.buildpacks,
        "processes": result.processes, "layersReused": result.layers_reused, "layersAdded": result.layers_added,
    }  # fmt: skip
