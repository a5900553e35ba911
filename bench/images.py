"""How fast images are: a layer stored and unpacked, a pull and a push over loopback, `present`, the layers of an unpacked image.

    python bench/images.py [--record] [--small]

One JSON line a figure; see figures.py. Needs root (owners of files).
"""

import os
import tempfile
import time
from pathlib import Path

import figures

from wherry.container.content.images import ContentImages
from wherry.container.image.layer_tar import Entry
from wherry.container.registry.push import push_image
from wherry.testing.images import busybox_image, content_in, image_of
from wherry.testing.registry import client_for, serving

CALLS = 200


def files(count: int, size: int) -> list[Entry]:
    """Half random, half zeros: compresses about as programs do."""
    return [Entry(f"usr/lib/d{number % 97}/f{number}", data=os.urandom(size // 2) + bytes(size // 2)) for number in range(count)]


async def measure(folder: Path, count: int, size: int) -> figures.Figures:
    found: dict[str, tuple[float, str]] = {}
    megabytes = count * size / 1e6
    content, other, served = (content_in(folder / name) for name in ("content", "other", "served"))
    entries = files(count, size)
    began = time.perf_counter()
    image = await image_of(content, "app:1", [entries])
    found["layer_stored_zstd"] = megabytes / (time.perf_counter() - began), "MB/s"
    images = ContentImages(content)
    began = time.perf_counter()
    await images.unpacker.layers(image.id)
    found["layer_unpacked"] = megabytes / (time.perf_counter() - began), "MB/s"
    async with serving(served) as host, client_for(host) as client:
        began = time.perf_counter()
        await push_image(client, content, "app:1", f"{host}/app:1")
        found["push_over_loopback"] = image.size_bytes / 1e6 / (time.perf_counter() - began), "MB/s"
        began = time.perf_counter()
        await ContentImages(other, client).pull(f"{host}/app:1")
        found["pull_and_unpack_over_loopback"] = image.size_bytes / 1e6 / (time.perf_counter() - began), "MB/s"
    await busybox_image(content)
    began = time.perf_counter()
    for _ in range(CALLS):
        await images.present("wherry.local/busybox:1.35")
    found["present"] = (time.perf_counter() - began) / CALLS * 1e3, "ms"
    began = time.perf_counter()
    for _ in range(CALLS):
        await images.unpacker.layers(image.id)
    found["layers_of_an_unpacked_image"] = (time.perf_counter() - began) / CALLS * 1e3, "ms"
    return found


async def both(options: figures.Options) -> figures.Figures:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        return await measure(Path(folder), *((200, 4096) if options.small else (4000, 40_000)))


if __name__ == "__main__":
    figures.run(figures.parser(__doc__), both)
