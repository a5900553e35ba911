"""What the kinds of authentication.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(kinds.SELF_SUBJECT_REVIEWS, "Who I am to the server."),
    Sheet(kinds.TOKEN_REVIEWS, "Whom a token proves."),
)
