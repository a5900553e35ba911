"""Paths of the registry API as values.

Spec: OCI distribution-spec 1.1, "Endpoints". Repository names hold slashes, so a path is read from its end.
"""

import re
from dataclasses import dataclass

from wherry.container.image import digest as digests
from wherry.container.image import reference as references
from wherry.container.registry.problems import Problem

_FORM = re.compile(
    r"/v2/(?P<name>.+?)/(?:"
    r"(?P<blobs>blobs)/(?P<digest>[^/]+)|blobs/(?P<uploads>uploads)/(?P<session>[^/]*)|"
    r"(?P<manifests>manifests)/(?P<reference>[^/]+)|(?P<tags>tags)/list|(?P<referrers>referrers)/(?P<subject>[^/]+))\Z"
)


@dataclass(frozen=True, slots=True)
class Route:
    """`kind`: base, catalog, blob, upload, manifest, tags or referrers. `item` is the digest, tag or session named."""

    kind: str
    name: str = ""
    item: str = ""


def parse(path: str) -> Route | None:
    """The route of a path; None when it is no path of the API. Raise `Problem` for bad names, tags and digests."""
    if path in ("/v2", "/v2/"):
        return Route("base")
    if path == "/v2/_catalog":
        return Route("catalog")
    if path.endswith("/blobs/uploads"):
        path += "/"
    match = _FORM.match(path)
    if match is None:
        return None
    name = match["name"]
    if not references.is_path(name):
        raise Problem("NAME_INVALID", f"invalid repository name: {name[:255]!r}")
    if match["blobs"]:
        return Route("blob", name, _digest(match["digest"]))
    if match["uploads"]:
        return Route("upload", name, match["session"])
    if match["tags"]:
        return Route("tags", name)
    if match["referrers"]:
        return Route("referrers", name, _digest(match["subject"]))
    reference = match["reference"]
    if ":" in reference:
        return Route("manifest", name, _digest(reference))
    if not references.is_tag(reference):
        raise Problem("MANIFEST_INVALID", f"invalid tag: {reference[:200]!r}")
    return Route("manifest", name, reference)


def _digest(text: str) -> str:
    if not digests.is_digest(text):
        raise Problem("DIGEST_INVALID", f"invalid digest: {text[:200]!r}")
    return text
