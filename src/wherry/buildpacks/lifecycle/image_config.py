"""The config of the image that is made: entry point, environment, labels.

In:    the base's config, what was built, what was exported.
Out:   a config document for `container.content.builder.write_image`. Pure.
Spec:  Platform API 0.15 "exporter", "Labels"; OCI image-spec 1.1 config.md.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from wherry import __version__
from wherry.buildpacks.lifecycle import records, toml_text, versions
from wherry.buildpacks.lifecycle.build import Built, process_document
from wherry.buildpacks.lifecycle.failure import Code, PhaseFailed
from wherry.buildpacks.lifecycle.places import Places
from wherry.buildpacks.lifecycle.records import BuildRecord
from wherry.container.content import builder

CREATED = "1980-01-01T00:00:01Z"  # unless somebody asks for a time: equal input gives equal images
LAUNCHER, PROCESSES = "/cnb/lifecycle/launcher", "/cnb/process"
_PATH_DEFAULT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def default_process(built: Built, wanted: str) -> str:
    """The process that starts by default: as asked for, as a buildpack said, the only one, or none ("")."""
    types = [process.type for process in built.processes]
    if wanted and wanted not in types:
        there = ", ".join(types) or "none"
        raise PhaseFailed(Code.EXPORT, f"default process {wanted!r} does not exist; the buildpacks made: {there}")
    return wanted or built.default_process or (types[0] if len(types) == 1 else "")


def render(
    base: Mapping[str, Any], built: Built, record: BuildRecord, *, places: Places, process: str, created_by: Sequence[str],
    created: str = CREATED, project: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The whole document but `rootfs`, which `write_image` fills in. `created_by` has a text for each layer on the base."""
    document = copy.deepcopy(dict(base))
    config = dict(document.get("config") or {})
    config["Entrypoint"] = [f"{PROCESSES}/{process}"] if process else [LAUNCHER]
    config["WorkingDir"] = places.image_app
    config["Env"] = _environment(config.get("Env") or [], places)
    config["Labels"] = {**(config.get("Labels") or {}), **_labels(built, record, project or {})}
    config.pop("Cmd", None)
    document["config"] = config
    document["created"] = created
    document["history"] = [
        *_base_history(document),
        *(builder.history(text, created=created) for text in created_by),
    ]
    return document


def _environment(given: Sequence[str], places: Places) -> list[str]:
    values = dict(line.partition("=")[::2] for line in given)
    path = values.get("PATH") or _PATH_DEFAULT
    values |= {
        "CNB_LAYERS_DIR": places.image_layers, "CNB_APP_DIR": places.image_app, "CNB_PLATFORM_API": versions.PLATFORM,
        "CNB_DEPRECATION_MODE": "quiet", "PATH": f"{PROCESSES}:/cnb/lifecycle:{path}",
    }  # fmt: skip
    return [f"{name}={value}" for name, value in values.items()]


def _labels(built: Built, record: BuildRecord, project: Mapping[str, Any]) -> dict[str, str]:
    build: dict[str, Any] = {
        "buildpacks": [
            {"id": pack.id, "version": pack.version, "api": pack.api_text, **({"homepage": pack.homepage} if pack.homepage else {})}
            for pack in built.group
        ],
        "launcher": {"version": __version__, "source": {"git": {"repository": "", "commit": ""}}},
        "processes": [process_document(process) for process in built.processes],
    }
    if built.default_process:
        build["buildpack-default-process-type"] = built.default_process
    return {
        **dict(built.labels),
        records.LABEL: _json(record.document()),
        "io.buildpacks.build.metadata": _json(build),
        "io.buildpacks.project.metadata": _json(project),
        "io.buildpacks.exec-env": "production",
    }


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=toml_text.as_json)


def _base_history(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The base's history, made up where it does not tell of every layer."""
    layers = len((document.get("rootfs") or {}).get("diff_ids") or ())
    entries = list(document.get("history") or ())
    if sum(1 for entry in entries if not entry.get("empty_layer")) == layers:
        return entries
    return [builder.history("base image") for _ in range(layers)]
