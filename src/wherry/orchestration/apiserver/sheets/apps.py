"""What the kinds of apps are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain, same, special
from wherry.orchestration.apiserver.strategies.daemonsets import DaemonSetStrategy
from wherry.orchestration.apiserver.tables import workloads
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(kinds.CONTROLLER_REVISIONS, "A saved state of a StatefulSet or DaemonSet.", columns=workloads.CONTROLLER_REVISION),
    Sheet(
        kinds.DAEMON_SETS, "Runs one pod on every node that fits.", strategy=special(DaemonSetStrategy),
        columns=workloads.DAEMON_SET),
    Sheet(
        kinds.DEPLOYMENTS, "Keeps a number of equal pods running and replaces them step by step when the template changes.",
        strategy=plain(tracks_generation=True, generation_follows_annotations=True), columns=workloads.DEPLOYMENT),
    Sheet(
        kinds.REPLICA_SETS, "Keeps a number of equal pods running.",
        strategy=plain(tracks_generation=True, initial_status={"replicas": 0}), columns=workloads.REPLICA_SET,
        fields=same("status.replicas")),
    Sheet(
        kinds.STATEFUL_SETS, "Runs pods with stable names and storage of their own.",
        strategy=plain(tracks_generation=True, initial_status={"replicas": 0, "availableReplicas": 0}),
        columns=workloads.STATEFUL_SET),
)
