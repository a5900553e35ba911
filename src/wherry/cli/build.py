"""Build an image from source code with Cloud Native Buildpacks, in containers, without Docker.

The image is on the node and in the cluster's registry at once. Exit codes are the lifecycle's: 20 no buildpack fits,
51 a buildpack's build failed, 62 the export failed or there was no process to start.

examples:
  wherry build . --tag registry.wherry.local:5050/team/app:v1
  wherry build ./api --tag registry.wherry.local:5050/team/api:v2 -e BP_LOG_LEVEL=debug
  wherry build . --tag app:dev --clear-cache
  wherry build . --tag registry.example.com/team/app:v1 --push
"""

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from wherry.assembly import builds, settings
from wherry.assembly.images import open_images, refuse_unsendable
from wherry.buildpacks.lifecycle.failure import PhaseFailed
from wherry.buildpacks.platform.build import BuildResult
from wherry.buildpacks.platform.report import TextProgress
from wherry.buildpacks.platform.settings import BuildOptions
from wherry.cli import output, push
from wherry.container.content.content import Content
from wherry.kit.errors import Invalid


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="folder with the source code")
    parser.add_argument("--tag", action="append", required=True, help="name of the image; may be given again")
    add_options(parser)
    parser.add_argument("--push", "--publish", action="store_true", help="send it to the registry that each name begins with")
    parser.add_argument("--allow-no-process", action="store_true", help="make an image that does not start by itself")
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
    content = open_images(cluster).content
    away = [name for name in args.tag if not content.is_local(content.parse(name))]
    for name in away if args.push else ():
        refuse_unsendable(content, name)  # before the work, not after it
    progress = TextProgress(output.note if args.output == "json" else output.line)
    wanted = replace(options(args), may_lack_process=args.allow_no_process)
    try:
        result = asyncio.run(builds.open_platform(cluster).build(args.path, args.tag, wanted, progress))
    except PhaseFailed as error:
        output.note(f"wherry build: {error}")
        return int(error.code)
    for name in away:
        if args.push:
            digest = asyncio.run(push.send(content, name, name))
            output.note(f"pushed {name}@{digest}")
        else:
            output.note(f"{name} is on this machine only; send it to a registry with: wherry push {way_out(content, name)}")
    if args.output == "json":
        output.data(report(result))
    return 0


def way_out(content: Content, name: str) -> str:
    """Words behind `wherry push` that it takes: with another name, where this one names no registry."""
    try:
        refuse_unsendable(content, name)
    except Invalid:
        reference = content.parse(name)
        return f"{name} {content.settings.registry}/{reference.path.removeprefix('library/')}:{reference.tag}"
    return name


def report(result: BuildResult) -> dict[str, object]:
    """The result as a document."""
    return {
        "image": result.image.id, "names": result.names, "digests": result.image.digests, "buildpacks": result.buildpacks,
        "processes": result.processes, "layersReused": result.layers_reused, "layersAdded": result.layers_added,
    }  # fmt: skip
