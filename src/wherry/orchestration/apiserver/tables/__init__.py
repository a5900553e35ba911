"""Tables: the server side of `kubectl get`."""

from wherry.orchestration.apiserver.tables.table import column_definitions, render

__all__ = ["column_definitions", "render"]
