"""Tables: the server side of `kubectl get`."""

from wherry.orchestration.apiserver.tables.rows import Row
from wherry.orchestration.apiserver.tables.table import column_definitions, render, row

__all__ = ["Row", "column_definitions", "render", "row"]
