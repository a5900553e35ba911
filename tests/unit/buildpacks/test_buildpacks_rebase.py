"""Rebase: what changes is the base, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from buildpack_harness import NAME, Shop, layer, write_pack

from wherry.buildpacks.lifecycle import records
from wherry.buildpacks.lifecycle.failure import PhaseFailed
from wherry.buildpacks.lifecycle.rebase import rebase
from wherry.container.content import builder

RUN = "example.test/run:1"


async def base(shop: Shop, text: str, name: str = RUN, **labels: str) -> None:
    tar = shop.root / f"{text}.tar"
    tar.write_bytes(text.encode().ljust(512, b"\0") + bytes(1024))
    config: dict[str, Any] = builder.new_config()
    config["config"] = {"Env": ["PATH=/bin"], "Labels": {"io.buildpacks.base.distro.name": "debian", **labels}}
    await builder.write_image(shop.content, config, [await builder.add_layer(shop.content, tar)], [name])


@pytest.fixture
async def shop(tmp_path: Path) -> Shop:
    made = await Shop(tmp_path).with_images()
    await base(made, "old")
    await made.build(write_pack(made.root / "packs", "a", build=layer("dep", "launch")))
    return made


async def test_base_layers_are_replaced_and_the_others_stay(shop: Shop) -> None:
    before = shop.image()
    await base(shop, "new", **{"io.buildpacks.base.description": "newer"})
    await rebase(shop.content, NAME, [NAME])
    after = shop.image()
    assert after.layers[0] != before.layers[0]
    assert after.layers[1:] == before.layers[1:]
    labels = after.config["config"]["Labels"]
    assert labels["io.buildpacks.base.description"] == "newer"
    assert records.read(labels[records.LABEL]).run_image.top_layer == after.layers[0].diff_id
    assert after.config["config"]["Entrypoint"] == before.config["config"]["Entrypoint"]


async def test_rebased_image_can_be_rebased_again(shop: Shop) -> None:
    first = shop.image()
    await base(shop, "new")
    await rebase(shop.content, NAME, [NAME])
    await base(shop, "old")
    await rebase(shop.content, NAME, [NAME])
    assert [one.diff_id for one in shop.image().layers] == [one.diff_id for one in first.layers]


@pytest.mark.parametrize(("labels", "name", "message"), [
    pytest.param({"io.buildpacks.base.distro.name": "alpine"}, RUN, "distribution name", id="another distribution"),
    pytest.param({}, "example.test/other:1", "nor a mirror", id="another run image"),
])  # fmt: skip
async def test_base_that_does_not_fit_is_refused_unless_forced(labels: dict[str, str], name: str, message: str, shop: Shop) -> None:
    await base(shop, "new", name, **labels)
    with pytest.raises(PhaseFailed, match=message) as failed:
        await rebase(shop.content, NAME, [NAME], name)
    assert failed.value.code == 72
    await rebase(shop.content, NAME, [NAME], name, force=True)
    record = json.loads(shop.image().config["config"]["Labels"][records.LABEL])
    assert record["runImage"]["image"] == name


async def test_image_of_another_kind_is_refused(shop: Shop) -> None:
    with pytest.raises(PhaseFailed, match="not made by buildpacks"):
        await rebase(shop.content, RUN, [NAME])
