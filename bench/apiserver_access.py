"""Cost of what every API request passes or asks for: keys made, callers known and allowed, tables and discovery made.

Usage: python bench/apiserver_access.py [--small] [--record]    one JSON line a figure, in microseconds; no network, no root
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import figures
from cryptography.hazmat.primitives.asymmetric import ec

from wherry.kit.clock import SystemClock
from wherry.orchestration.apiserver import pki, tables
from wherry.orchestration.apiserver.auth import bootstrap
from wherry.orchestration.apiserver.auth.authorizer import Attributes, FirstOf
from wherry.orchestration.apiserver.auth.node_authorizer import NodeAuthorizer
from wherry.orchestration.apiserver.auth.rbac import RbacAuthorizer
from wherry.orchestration.apiserver.auth.tokens import ServiceAccountTokens
from wherry.orchestration.apiserver.discovery import Discovery
from wherry.orchestration.apiserver.sheets import sheet_of
from wherry.orchestration.apiserver.user import CONTROLLER_MANAGER
from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.meta import Object, namespace_of
from wherry.orchestration.objects.resources import Resource

PODS = 1000
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class ListSource:
    """An `ObjectSource` over a list that only `touch` changes."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self._of: dict[Resource, list[Object]] = {}
        for obj in objects:
            resource = kinds.by_kind(obj["apiVersion"], obj["kind"])
            assert resource is not None
            self._of.setdefault(resource, []).append(obj)
        self._revision = 1

    def touch(self) -> None:
        self._revision += 1

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        return next((obj for obj in self.list(resource, namespace) if obj["metadata"]["name"] == name), None)

    def list(self, resource: Resource, namespace: str = "") -> Sequence[Object]:
        return [obj for obj in self._of.get(resource, []) if namespace in ("", namespace_of(obj))]

    def revision(self, *resources: Resource) -> int:
        return self._revision


def pod(index: int) -> Object:
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"p{index}", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "n1", "containers": [{"name": "a"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [
            {"name": "a", "ready": True, "restartCount": 1, "state": {"running": {}},
             "lastState": {"terminated": {"finishedAt": "2026-01-02T00:00:00Z"}}}]},
    }


def actions(folder: Path) -> dict[str, tuple[int, Callable[[], object]]]:
    """name -> (repetitions, what is timed)."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "x", "uid": "u"}}
    source, clock = ListSource([*bootstrap.objects(), account]), SystemClock()
    chain = FirstOf([NodeAuthorizer(source), RbacAuthorizer(source)])
    tokens = ServiceAccountTokens(ec.generate_private_key(ec.SECP256R1()), source, clock)
    token = tokens.issue(account, {})["status"]["token"]
    pods, now, numbers = [pod(index) for index in range(PODS)], datetime.now(UTC), count()

    def ask(name: str) -> Callable[[], object]:
        return lambda: chain.authorize(Attributes(
            CONTROLLER_MANAGER, "update", "apps", "v1", "deployments", "status", "x", name or f"n{next(numbers)}"))

    def rebuild() -> object:
        source.touch()
        return ask("same")()

    def recheck() -> object:
        source.touch()
        return tokens.verify(token)

    return {
        "pki_create": (5, lambda: pki.ensure(folder / str(next(numbers)), node_name="n1", now=now)),
        "pki_load": (20, lambda: pki.ensure(folder / "same", node_name="n1", now=now)),
        "authorize_known_question": (20_000, ask("same")),
        "authorize_new_question": (5_000, ask("")),
        "authorize_after_rbac_change": (20, rebuild),
        "token_issue": (500, lambda: tokens.issue(account, {})),
        "token_verify_known": (20_000, lambda: tokens.verify(token)),
        "token_verify_after_change": (2_000, recheck),
        "table_1000_pods": (10, lambda: tables.render(sheet_of(kinds.PODS).columns, pods, now=now)),
        "discovery_build_and_answer": (20, lambda: Discovery(kinds.BUILTIN).answer("/apis", AGGREGATED)),
    }


def mean_us(action: Callable[[], object], repetitions: int) -> float:
    action()
    began_at = time.perf_counter()
    for _ in range(repetitions):
        action()
    return (time.perf_counter() - began_at) / repetitions * 1e6


async def measure(options: figures.Options) -> figures.Figures:
    with tempfile.TemporaryDirectory() as folder:
        return {
            f"apiserver_{name}": (mean_us(action, 2 if options.small else repetitions), "us")
            for name, (repetitions, action) in actions(Path(folder)).items()
        }


if __name__ == "__main__":
    figures.run(figures.parser(__doc__), measure)
