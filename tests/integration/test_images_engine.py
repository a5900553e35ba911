"""Images of the content store run in real containers: what lower and upper layers say comes out as the specification says."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from engine_harness import Harness, Layers, harness

from wherry.container.content import builder
from wherry.container.content.images import ContentImages
from wherry.container.image.layer_tar import Entry
from wherry.container.runtime.crun_engine import CrunEngine
from wherry.testing.images import busybox_image, content_in, image_of

pytestmark = pytest.mark.node


@pytest_asyncio.fixture
async def box(tmp_path: Path) -> AsyncIterator[Harness]:
    async with harness(tmp_path) as made:
        yield made


async def test_a_container_sees_the_upper_layers_win(box: Harness, tmp_path: Path) -> None:
    content = content_in(tmp_path / "content")
    base = content.open_image((await busybox_image(content)).id)
    await image_of(content, "top:1", [
        [Entry("data/a", data=b"old a"), Entry("data/b", data=b"old b"), Entry("hidden/x", data=b"x"), Entry("gone", data=b"g")],
        [Entry("data/a", data=b"new a"), Entry(".wh.gone"), Entry("hidden/.wh..wh..opq"), Entry("hidden/y", data=b"y")],
    ])
    top = content.open_image("top:1")
    image = await builder.write_image(content, {**base.config, "history": []}, [*base.layers, *top.layers], ["all:1"])
    box.layers = Layers(*map(Path, await ContentImages(content).unpacker.layers(image.id)))
    box.engine = CrunEngine(box.settings, box.network, box.layers)
    await box.engine.restore()
    said = await box.run("cat /data/a; echo; cat /data/b; echo; ls /hidden; ls /gone; stat -c %a /tmp")
    assert said.split("\n")[:4] == ["new a", "old b", "y", "1777"]
