"""Wherry: the cloud native stack in one Python program. See ARCHITECTURE.md for the map."""

__version__ = "0.1.0"
KUBERNETES_VERSION = "v1.37.0+wherry"
