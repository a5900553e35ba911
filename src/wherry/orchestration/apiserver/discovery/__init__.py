"""Discovery documents and /version."""

from wherry.orchestration.apiserver.discovery.documents import Discovery
from wherry.orchestration.apiserver.discovery.version import version_info

__all__ = ["Discovery", "version_info"]
