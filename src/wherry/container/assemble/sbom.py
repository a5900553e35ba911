"""The bill of materials of an assembled image, as SPDX 2.3 JSON.

Spec: https://spdx.github.io/spdx-spec/v2.3/ ; package-url "deb" and "pypi" types.
"""

import json
from collections.abc import Sequence
from urllib.parse import quote

from wherry.container.assemble.lock import LockedWheel
from wherry.container.assemble.packages import Package

MEDIA_TYPE = "application/spdx+json"
NAMESPACE = "urn:wherry:sbom:"


def spdx(name: str, packages: Sequence[Package], wheels: Sequence[LockedWheel], *, digest: str, created: str) -> bytes:
    """`name` is the image's, `digest` its manifest's. The same image gives the same bytes."""
    listed = [_package(package) for package in packages] + [_wheel(wheel) for wheel in wheels]
    root = {
        "SPDXID": "SPDXRef-image", "name": name, "versionInfo": digest, "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False, "primaryPackagePurpose": "CONTAINER",
    }
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image")]
    relations += [_relation("SPDXRef-image", "CONTAINS", str(one["SPDXID"])) for one in listed]
    document = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
        "documentNamespace": NAMESPACE + digest, "creationInfo": {"created": created, "creators": ["Tool: wherry-assemble"]},
        "packages": [root, *listed], "relationships": relations,
    }
    return json.dumps(document, indent=1).encode()


def _package(package: Package) -> dict[str, object]:
    version = quote(package.version, safe=".+~-")
    purl = f"pkg:deb/debian/{quote(package.name)}@{version}?arch={package.architecture}"
    return {
        "SPDXID": _id("deb", package.name), "name": package.name, "versionInfo": package.version,
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "sourceInfo": f"built from: {package.source or package.name}",
        "checksums": [{"algorithm": "SHA256", "checksumValue": package.sha256}],
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }


def _wheel(wheel: LockedWheel) -> dict[str, object]:
    name, version, *_ = wheel.file.split("-")
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    return {
        "SPDXID": _id("pypi", name), "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False, "checksums": [{"algorithm": "SHA256", "checksumValue": wheel.sha256}],
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }


def _id(kind: str, name: str) -> str:
    return f"SPDXRef-{kind}-" + "".join(char if char.isalnum() or char in ".-" else "-" for char in name)


def _relation(source: str, kind: str, target: str) -> dict[str, str]:
    return {"spdxElementId": source, "relationshipType": kind, "relatedSpdxElement": target}
