"""Tiny images for tests: a content folder, and images made of a few files in milliseconds.

In:    a folder for the test; files by path.
Out:   `Content`; images under names, such as a busybox image that containers can run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wherry.container.content import builder
from wherry.container.content.content import Content
from wherry.container.content.settings import ContentSettings
from wherry.container.image import layer_tar
from wherry.container.image.layer_tar import Entry
from wherry.container.image.service import Image

BUSYBOX = "wherry.local/busybox:1.35"
STATIC_BUSYBOX = Path("/usr/bin/busybox")
APPLETS = (
    "ash", "awk", "basename", "cat", "chmod", "chown", "cp", "cut", "date", "dd", "df", "dirname", "du", "echo", "env", "expr",
    "false", "find", "grep", "gunzip", "gzip", "head", "hostname", "httpd", "id", "ifconfig", "ip", "kill", "ln", "ls", "md5sum",
    "mkdir", "mktemp", "mount", "mv", "nc", "nslookup", "od", "pidof", "ping", "printenv", "printf", "ps", "pwd", "readlink", "rm",
    "rmdir", "sed", "seq", "sh", "sha256sum", "sleep", "sort", "stat", "stty", "sync", "tail", "tar", "tee", "test", "time",
    "timeout", "top", "touch", "tr", "traceroute", "true", "tty", "umount", "uname", "uniq", "uptime", "usleep", "vi", "wc", "wget",
    "which", "whoami", "xargs", "yes",
)


def content_in(folder: Path, **settings: Any) -> Content:
    """A content folder of its own; `settings` go to `ContentSettings`."""
    return Content(ContentSettings(root=folder, **settings))


async def image_of(
    content: Content,
    name: str,
    layers: Sequence[Sequence[Entry]],
    *,
    config: Mapping[str, Any] | None = None,
    kind: str = "zstd",
) -> Image:
    """An image with the given entries as its layers (parents are added) and `config` as the config's `config`."""
    made = []
    for entries in layers:
        with content.blobs.temporary() as tar:
            with tar.open("wb") as file:
                layer_tar.write(file, [*layer_tar.parents(entries), *entries])
            made.append(await builder.add_layer(content, tar, kind=kind))
    document = builder.new_config()
    document["config"] = dict(config or {})
    return await builder.write_image(content, document, made, [name])


async def busybox_image(content: Content, name: str = BUSYBOX) -> Image:
    """The machine's static busybox as an image: shell and applets in /bin, users root and nobody, /tmp."""
    entries = [
        Entry("bin/busybox", mode=0o755, source=str(STATIC_BUSYBOX)),
        *(Entry(f"bin/{applet}", "symlink", 0o777, target="busybox") for applet in APPLETS),
        Entry("etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        Entry("etc/group", data=b"root:x:0:\nnogroup:x:65534:\n"),
        Entry("root", "folder", 0o700),
        Entry("tmp", "folder", 0o1777),
        *(Entry(folder, "folder", 0o755) for folder in ("proc", "sys", "dev", "var", "usr", "home")),
    ]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return await image_of(content, name, [entries], config={"Env": [path], "Cmd": ["sh"]})
