"""OpenAPI documents of everything served."""

from wherry.orchestration.apiserver.openapi.answers import answer
from wherry.orchestration.apiserver.openapi.custom import CustomSchema
from wherry.orchestration.apiserver.openapi.documents import Documents

__all__ = ["CustomSchema", "Documents", "answer"]
