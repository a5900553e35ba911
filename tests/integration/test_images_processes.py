"""One content folder and many processes at once: each adds, names, unpacks; every one of them succeeds, nothing is done twice."""

import asyncio
import sys
from pathlib import Path

import pytest

from wherry.container.content.images import ContentImages
from wherry.testing.images import content_in

PROCESSES = 4
WORK = """
import asyncio, sys
from pathlib import Path
from wherry.container.content.images import ContentImages
from wherry.container.image.layer_tar import Entry
from wherry.testing.images import content_in, image_of

async def main(folder, number):
    content = content_in(Path(folder))
    images = ContentImages(content)
    shared = [Entry(f"d/{n}", data=bytes([n % 256]) * 2000) for n in range(300)]
    for turn in range(5):
        image = await image_of(content, f"app:{turn}", [shared, [Entry("turn", data=b"%d" % turn)]])
        assert len(await images.unpacker.layers(image.id)) == 2
        await image_of(content, f"own{number}:{turn}", [[Entry("n", data=number.encode())]])
        await images.remove(f"own{number}:{turn}")
        await images.collect()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
async def test_processes_share_a_content_folder(tmp_path: Path) -> None:
    folder = tmp_path / "content"
    running = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WORK, str(folder), str(number), stderr=asyncio.subprocess.PIPE)
        for number in range(PROCESSES)
    ]
    for process in running:
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
    content = content_in(folder)
    names = sorted(tag for image in await ContentImages(content).images() for tag in image.tags)
    assert names == [f"docker.io/library/app:{turn}" for turn in range(5)]
    assert not [path for path in content.settings.layers_dir.iterdir() if path.name.startswith(".tmp")]
