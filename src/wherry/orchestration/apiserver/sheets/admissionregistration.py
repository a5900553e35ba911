"""What the kinds of admissionregistration.k8s.io are."""

from wherry.orchestration.apiserver.sheets.sheet import Sheet, plain
from wherry.orchestration.apiserver.tables import access
from wherry.orchestration.objects import kinds

SHEETS = (
    Sheet(
        kinds.MUTATING_ADMISSION_POLICIES, "Expressions that change objects before they are stored.",
        strategy=plain(tracks_generation=True), columns=access.MUTATING_ADMISSION_POLICY),
    Sheet(
        kinds.MUTATING_ADMISSION_POLICY_BINDINGS, "Where a MutatingAdmissionPolicy applies.",
        strategy=plain(tracks_generation=True), columns=access.ADMISSION_BINDING),
    Sheet(
        kinds.MUTATING_WEBHOOK_CONFIGURATIONS, "Services that may change objects before they are stored.",
        strategy=plain(tracks_generation=True, needs_revision=True), columns=access.WEBHOOKS),
    Sheet(
        kinds.VALIDATING_ADMISSION_POLICIES, "Expressions that refuse objects before they are stored.",
        strategy=plain(tracks_generation=True), columns=access.VALIDATING_ADMISSION_POLICY),
    Sheet(
        kinds.VALIDATING_ADMISSION_POLICY_BINDINGS, "Where a ValidatingAdmissionPolicy applies.",
        strategy=plain(tracks_generation=True), columns=access.ADMISSION_BINDING),
    Sheet(
        kinds.VALIDATING_WEBHOOK_CONFIGURATIONS, "Services that may refuse objects before they are stored.",
        strategy=plain(tracks_generation=True, needs_revision=True), columns=access.WEBHOOKS),
)
