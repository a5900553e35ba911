"""What the kinds of authorization.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(kinds.LOCAL_SUBJECT_ACCESS_REVIEWS, "Whether somebody may do something in one namespace."),
    Sheet(kinds.SELF_SUBJECT_ACCESS_REVIEWS, "Whether I may do something."),
    Sheet(kinds.SELF_SUBJECT_RULES_REVIEWS, "What I may do in a namespace."),
    Sheet(kinds.SUBJECT_ACCESS_REVIEWS, "Whether somebody may do something."),
)
