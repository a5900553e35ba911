"""What every pod's worker shares: one value, so that a worker is made from a pod and this."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from wherry.container.runtime.engine import Engine
from wherry.kit.clock import Clock
from wherry.orchestration.agent.facts.runtime import RuntimeView
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.plan.admission import Rejection
from wherry.orchestration.agent.plan.resize import Verdict
from wherry.orchestration.agent.references.images import ImagePuller
from wherry.orchestration.agent.references.objects import ReferencedObjects
from wherry.orchestration.agent.volumes.setup import PodVolumes
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.meta import Object


@dataclass(frozen=True, slots=True)
class Parts:
    """`services` gives the Services known now; `admit` judges a new pod, `judge_resize` a changed one."""

    settings: AgentSettings
    client: Client
    engine: Engine
    view: RuntimeView
    images: ImagePuller
    volumes: PodVolumes
    references: ReferencedObjects
    recorder: Recorder
    clock: Clock
    services: Callable[[], Iterable[Object]]
    refresh_node: Callable[[], Awaitable[None]]  # read the Node object from the API
    admit: Callable[[Object], Rejection | None]
    judge_resize: Callable[[Object], Verdict]
    allocatable: Mapping[str, str]
    memory_capacity_bytes: int
