"""Tables: the server side of `kubectl get`."""

from wherry.orchestration.apiserver.tables.custom import custom_printer
from wherry.orchestration.apiserver.tables.rows import Row, row_of
from wherry.orchestration.apiserver.tables.table import render

__all__ = ["Row", "custom_printer", "render", "row_of"]
