"""The nodes that are looked at for one shape of pod, remembered from pod to pod.

Pods of one workload ask for the same: what was found out of a node stays true until the node changes (`version`).
With many nodes only a window of feasible ones is looked at, which moves on with every pod, so that all get their turn.

In:    what a pod needs, the snapshot, rules that change with every placement (`nearby`).
Out:   candidates with the parts of their scores that are the node's own; the reasons against all others.
Spec:  kubernetes pkg/scheduler schedule_one.go (numFeasibleNodesToFind); KEP-5598 (reuse between like pods).
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from wherry.orchestration.scheduler.filters import PodNeeds
from wherry.orchestration.scheduler.scores import ABSOLUTE, RELATIVE
from wherry.orchestration.scheduler.snapshot import NodeInfo, Snapshot

# With many nodes only some are scored (upstream percentageOfNodesToScore: 50 % less one per 125 nodes, at least 5 %).
SCORE_ALL_UP_TO = 100
SCORE_PERCENT_MIN = 5
MOVED_PER_POD = 8  # nodes that leave a full window, and come in, with every pod

Reasons = tuple[str, ...]
Check = Callable[[PodNeeds, NodeInfo], list[str]]


@dataclass(slots=True)
class Candidate:
    """A node that fits. `absolute`: its weighted score; `relative`: those that are compared between candidates."""

    info: NodeInfo
    version: int
    absolute: float
    relative: tuple[float, ...]


def nodes_to_find(total: int) -> int:
    """How many feasible nodes are enough to choose from."""
    if total <= SCORE_ALL_UP_TO:
        return total
    percent = max(SCORE_PERCENT_MIN, 50 - total // 125)
    return max(SCORE_ALL_UP_TO, total * percent // 100)


class Window:
    """See the module docstring. `check` gives the reasons against a node that only the node and the pod decide."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._at = 0
        self._found: OrderedDict[str, Candidate] = OrderedDict()
        self._refused: dict[str, tuple[int, Reasons]] = {}

    def candidates(
        self, needs: PodNeeds, snapshot: Snapshot, refusal: Callable[[NodeInfo], str] | None
    ) -> tuple[list[Candidate], list[tuple[str, Reasons]]]:
        """(candidates, name and reasons of each node that is none). All are there when there is no candidate.

        `refusal`: what only holds for now, asked anew each time.
        """
        total = len(snapshot.order)
        enough = nodes_to_find(total)
        candidates = self._still_good(needs, snapshot, refusal)
        if len(candidates) >= enough and enough < total:
            for left in candidates[:MOVED_PER_POD]:
                del self._found[left.info.name]
            del candidates[:MOVED_PER_POD]
        reasons: list[tuple[str, Reasons]] = []
        known = set(self._found)
        for _ in range(total):
            if len(candidates) >= enough:
                break
            info = snapshot.order[self._at % total]
            self._at += 1
            if info.name in known:
                continue
            against = self._judge(needs, info) or self._now(info, refusal)
            if against:
                reasons.append((info.name, against))
            else:
                candidates.append(self._found[info.name])
        return candidates, reasons

    def _still_good(
        self, needs: PodNeeds, snapshot: Snapshot, refusal: Callable[[NodeInfo], str] | None
    ) -> list[Candidate]:
        good = []
        for name, candidate in [*self._found.items()]:
            if candidate.version != candidate.info.version:
                del self._found[name]
                if snapshot.nodes.get(name) is not candidate.info or self._judge(needs, candidate.info):
                    continue
                candidate = self._found[name]
            if refusal is not None and refusal(candidate.info):
                del self._found[name]
            else:
                good.append(candidate)
        return good

    def _judge(self, needs: PodNeeds, info: NodeInfo) -> Reasons:
        """The standing reasons against a node; a node without any is put into `_found`."""
        refused = self._refused.get(info.name)
        if refused is not None and refused[0] == info.version:
            return refused[1]
        reasons = tuple(self._check(needs, info))
        if reasons:
            self._refused[info.name] = (info.version, reasons)
            return reasons
        absolute = sum(weight * score(needs, info) for score, weight in ABSOLUTE)
        relative = tuple(score(needs, info) for score, _ in RELATIVE)
        self._found[info.name] = Candidate(info, info.version, absolute, relative)
        return ()

    def _now(self, info: NodeInfo, refusal: Callable[[NodeInfo], str] | None) -> Reasons:
        reason = refusal(info) if refusal is not None else ""
        if not reason:
            return ()
        self._found.pop(info.name, None)
        return (reason,)
