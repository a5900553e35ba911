"""Build an application from source, run it in the cluster, route it, and wait until it answers.

Makes a Deployment, a Service and an Ingress for <name>.localhost (or --host). Flags can also stand under [deploy] in a
wherry.toml beside the source.

examples:
  wherry deploy examples/hello
  wherry deploy . --name api --port 3000 --replicas 2 --host api.example.com
"""

import argparse
import asyncio
from pathlib import Path

from wherry.application.builds import deploy
from wherry.application.builds import settings as apps
from wherry.assembly import builds, daemon, settings
from wherry.assembly.node import NodeSettings
from wherry.buildpacks.lifecycle.failure import PhaseFailed
from wherry.buildpacks.platform.report import TextProgress
from wherry.cli import build, output
from wherry.kit.errors import Unavailable

FLAGS = ("name", "namespace", "port", "replicas", "host", "path", "health", "memory")
TEXTS = {
    "name": "of the application (default: the folder's)",
    "namespace": "made if absent (default: default)",
    "port": "given to the process as PORT (default: 8080)",
    "replicas": "how many pods (default: 1)",
    "host": "host name of the route (default: <name>.localhost)",
    "path": "path prefix of the route (default: /)",
    "health": "path of a GET that answers 200 when ready (default: the open port)",
    "memory": "limit of each pod (default: 512Mi)",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="path", help="folder with the source code")
    for name in FLAGS:
        parser.add_argument(f"--{name}", type=int if name in ("port", "replicas") else str, help=TEXTS[name])
    build.add_options(parser)


def run(args: argparse.Namespace) -> int:
    """0 when it answers, or the exit code of the build phase that failed."""
    cluster = settings.load_of_server(args.data_dir)
    if not daemon.is_running(cluster):
        raise Unavailable("the cluster is not running; start it with: wherry up")
    given = {name: getattr(args, name) for name in FLAGS}
    app = apps.load(args.source, given)
    try:
        url = asyncio.run(_deploy(cluster, app, args))
    except PhaseFailed as error:
        output.note(f"wherry deploy: {error}")
        return int(error.code)
    output.line(f"{app.name} answers at {url}")
    return 0


async def _deploy(cluster: NodeSettings, app: apps.AppSettings, args: argparse.Namespace) -> str:
    client = builds.admin_client(cluster)
    try:
        return await deploy.deploy(
            args.source, app, platform=builds.open_platform(cluster), client=client, access=builds.access(cluster),
            options=build.options(args), progress=TextProgress(output.line),
        )  # fmt: skip
    finally:
        await client.close()
