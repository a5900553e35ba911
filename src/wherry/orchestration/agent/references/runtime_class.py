"""RuntimeClass: does the class a pod names exist, and is its handler the engine that runs here?

Spec: node.k8s.io/v1 RuntimeClass; an unknown handler must fail the sandbox, not fall back.
"""

from wherry.kit.errors import Invalid, NotFound, Unsupported
from wherry.orchestration.agent.facts.pod import spec_of
from wherry.orchestration.agent.facts.settings import RUNTIME_NAME
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import RUNTIME_CLASSES
from wherry.orchestration.objects.meta import Object

HANDLERS = ("", RUNTIME_NAME, "crun", "runc")


async def check(client: Client, pod: Object) -> None:
    """Raise `Invalid` for a class that does not exist, `Unsupported` for a handler this node has not."""
    name = spec_of(pod).get("runtimeClassName")
    if not name:
        return
    try:
        found = await client.get(RUNTIME_CLASSES, str(name))
    except NotFound:
        raise Invalid(f'failed to get runtimeclass "{name}": runtimeclass.node.k8s.io "{name}" not found') from None
    if found.get("handler") not in HANDLERS:
        raise Unsupported(f'no runtime for "{found.get("handler")}" is configured')
