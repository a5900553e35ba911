"""What the kinds of apiextensions.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, special
from wherry.orchestration.apiserver.strategies.kinds import DefinitionStrategy
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(kinds.CUSTOM_RESOURCE_DEFINITIONS, "Adds a kind to the API.", strategy=special(DefinitionStrategy)),
)
