"""`wherry deploy`: build, run, route, wait until it answers.

In:    a folder with source code, the application's settings, a client, the builds.
Out:   the URL at which it answers. Errors of the build (`PhaseFailed`), of the API, or `TimedOut` with what the pods say.
"""

from dataclasses import replace
from pathlib import Path

from wherry.application.builds import manifests, waiting
from wherry.application.builds.settings import AppSettings, ClusterAccess
from wherry.buildpacks.lifecycle.progress import Progress
from wherry.buildpacks.platform.build import BuildResult, Platform
from wherry.buildpacks.platform.settings import BuildOptions
from wherry.kit.errors import AlreadyExists
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects import kinds

HTTP_PORT = 80


async def deploy(
    folder: Path, app: AppSettings, *, platform: Platform, client: Client, access: ClusterAccess, options: BuildOptions,
    progress: Progress,
) -> str:  # fmt: skip
    """Build `folder`, apply the application's objects, wait; return its URL."""
    name = f"{access.registry}/{app.namespace}/{app.name}:latest"
    result = await platform.build(folder, [name], replace(options, process=options.process or app.process), progress)
    return await run(app, pinned(result), client=client, access=access, progress=progress)


async def run(
    app: AppSettings, image: str, *, client: Client, access: ClusterAccess, progress: Progress
) -> str:
    """Run an image that is there; return the application's URL."""
    progress.phase("DEPLOYING")
    has_gateway = access.gateway_port > 0
    try:
        await client.create(kinds.NAMESPACES, manifests.namespace(app))
    except AlreadyExists:
        pass
    resources = {"Deployment": kinds.DEPLOYMENTS, "Service": kinds.SERVICES, "Ingress": kinds.INGRESSES}
    for obj in manifests.manifests(app, image, has_gateway=has_gateway):
        await client.apply(resources[obj["kind"]], obj, field_manager=manifests.MANAGER)
        progress.line(f"{obj['kind'].lower()}/{app.name} applied")
    await waiting.rolled_out(client, app, access)
    progress.line(f"{app.replicas} of {app.replicas} pods available")
    if not has_gateway:
        return f"http://{await waiting.cluster_address(client, app)}/"
    if app.replicas:
        await waiting.answering(client, app, access)
    return url(app, access)


def pinned(result: BuildResult) -> str:
    """The image by digest, so that a new build is a new version of the Deployment and a running one stays what it is."""
    repository = result.names[0].rsplit(":", 1)[0]
    for digest in result.image.digests:
        if digest.startswith(f"{repository}@"):
            return digest
    return result.names[0]


def url(app: AppSettings, access: ClusterAccess) -> str:
    """Where people find it."""
    port = "" if access.gateway_port == HTTP_PORT else f":{access.gateway_port}"
    return f"http://{app.hostname}{port}{app.path}"
