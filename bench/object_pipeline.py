"""How long one object takes from bytes to accepted: decode, fit to the structure, defaults, validation; and OpenAPI builds.

Usage: python bench/object_pipeline.py [--small] [--record]
Prints one JSON line a figure. `--small` is a smoke run.
"""

import json
import time
from collections.abc import Callable, Iterator

import figures
import orjson

from wherry.orchestration.apiserver.openapi import Documents
from wherry.orchestration.objects.decoding import decode, typed
from wherry.orchestration.objects.defaulting import apply_defaults
from wherry.orchestration.objects.kinds import PODS
from wherry.orchestration.objects.schema_data import structure_of
from wherry.orchestration.objects.validation import validate

CONTAINER = {
    "name": "c", "image": "nginx:1", "ports": [{"name": "http", "containerPort": 80}],
    "env": [{"name": f"VARIABLE_{index}", "value": "value"} for index in range(8)],
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
    "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
}
POD = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default", "labels": {"app": "a"}},
    "spec": {"containers": [CONTAINER, {**CONTAINER, "name": "d"}], "volumes": [{"name": "data", "emptyDir": {}}]},
}


def mean_us(work: Callable[[], object], rounds: int) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        work()
    return (time.perf_counter() - started) / rounds * 1e6


def costs(rounds: int) -> Iterator[tuple[str, float, str]]:
    body, node = orjson.dumps(POD), structure_of("v1", "Pod")
    assert node is not None
    stored = apply_defaults(PODS, typed(orjson.loads(body), node).obj)

    def pipeline() -> None:
        obj = apply_defaults(PODS, typed(decode(body).obj, node).obj)
        assert not validate(PODS, obj)

    yield "pod_bytes", len(body), "B"
    yield "decode", mean_us(lambda: decode(body), rounds), "us"
    yield "decode_spaced", mean_us(lambda: decode(json.dumps(POD).encode()), rounds), "us"
    yield "typed", mean_us(lambda: typed(orjson.loads(body), node), rounds), "us"
    yield "defaults", mean_us(lambda: apply_defaults(PODS, orjson.loads(body)), rounds), "us"
    yield "validate_create", mean_us(lambda: validate(PODS, stored), rounds), "us"
    yield "validate_update", mean_us(lambda: validate(PODS, stored, stored), rounds), "us"
    yield "whole_pipeline", mean_us(pipeline, rounds), "us"
    documents = Documents()
    yield "openapi_v3_index", mean_us(documents.v3_index, 1), "us"
    yield "openapi_v3_core_v1", mean_us(lambda: documents.v3_group_version("api/v1"), 1), "us"
    yield "openapi_v2_protobuf", mean_us(documents.v2_protobuf, 1), "us"
    yield "openapi_v2_protobuf_bytes", len(documents.v2_protobuf()), "B"


async def measure(options: figures.Options) -> figures.Figures:
    return {name: (value, unit) for name, value, unit in costs(20 if options.small else 2000)}


if __name__ == "__main__":
    figures.run(figures.parser(__doc__), measure)
