"""The config of an assembled image: the base's, what the recipe says, and the labels builders look for.

Spec: OCI image-spec 1.1 config.md; Cloud Native Buildpacks platform spec, "Build Image" and "Run Image".
"""

from collections.abc import Mapping
from typing import Any

from wherry.container.assemble.recipe import CONFIG_KEYS, Recipe
from wherry.container.content import builder

CREATED = "1980-01-01T00:00:01Z"
INPUT_LABEL = "local.wherry.assemble.input"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def config_for(recipe: Recipe, base: Mapping[str, Any] | None, key: str) -> dict[str, Any]:
    """The whole config document without `rootfs`; `key` is the digest of everything the image is made from."""
    document = builder.new_config(created=CREATED)
    inherited: Mapping[str, Any] = base or {}
    document["history"] = [*inherited.get("history", []), builder.history(f"wherry assemble {recipe.name}", created=CREATED)]
    config = dict(inherited.get("config") or {})
    for ours, theirs in CONFIG_KEYS.items():
        if ours in recipe.config and ours not in ("env", "labels", "expose", "volumes"):
            config[theirs] = recipe.config[ours]
    if "entrypoint" in recipe.config and "cmd" not in recipe.config:
        config.pop("Cmd", None)  # a base's arguments are for the base's entrypoint
    for ours in ("expose", "volumes"):
        listed: dict[str, Any] = {str(item): {} for item in recipe.config.get(ours, [])}
        if listed:
            config[CONFIG_KEYS[ours]] = {**config.get(CONFIG_KEYS[ours], {}), **listed}
    env = dict(item.split("=", 1) for item in config.get("Env", []))
    env.setdefault("PATH", DEFAULT_PATH)
    env.update({name: str(value) for name, value in recipe.config.get("env", {}).items()})
    labels = {**config.get("Labels", {}), **_labels(recipe, key), **recipe.config.get("labels", {})}
    if recipe.cnb:
        _add_buildpacks(recipe, config, env, labels)
    config["Env"] = [f"{name}={value}" for name, value in env.items()]
    config["Labels"] = labels
    document["config"] = config
    return document


def _labels(recipe: Recipe, key: str) -> dict[str, str]:
    labels = {"org.opencontainers.image.title": recipe.name, "org.opencontainers.image.version": recipe.version, INPUT_LABEL: key}
    if recipe.description:
        labels["org.opencontainers.image.description"] = recipe.description
    return labels


def _add_buildpacks(recipe: Recipe, config: dict[str, Any], env: dict[str, str], labels: dict[str, str]) -> None:
    user, group = int(recipe.cnb.get("user", 1000)), int(recipe.cnb.get("group", 1000))
    config["User"] = f"{user}:{group}"
    if recipe.cnb.get("build"):
        env.update({"CNB_USER_ID": str(user), "CNB_GROUP_ID": str(group)})
    identity = str(recipe.cnb.get("id", f"local.wherry.{recipe.name}"))
    labels.update({
        "io.buildpacks.base.id": identity, "io.buildpacks.base.distro.name": "debian",
        "io.buildpacks.base.distro.version": "12", "io.buildpacks.base.maintainer": "Wherry",
        "io.buildpacks.base.description": str(recipe.cnb.get("description", recipe.description)),
        "io.buildpacks.stack.id": identity,
    })  # fmt: skip
