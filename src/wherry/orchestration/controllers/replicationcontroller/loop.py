"""Keep every ReplicationController at its number of pods: the ReplicaSet controller in another flavor."""

from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.controllers.replicaset import loop
from wherry.orchestration.controllers.replicaset.decide import REPLICATION_CONTROLLER


class Controller(loop.Controller):
    """See `replicaset.loop.Controller`."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, REPLICATION_CONTROLLER)
