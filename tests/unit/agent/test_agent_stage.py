"""The stage of a pod's life on a node: where it may go, and that it never goes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.agent.pod.stage import Stage

WHOLE_LIFE = (Stage.JUDGED, Stage.STOPPED, Stage.ENDED, Stage.DELETED, Stage.REMOVED)
LIFE_WITHOUT_OUR_DELETE = (Stage.JUDGED, Stage.STOPPED, Stage.ENDED, Stage.REMOVED)
SKIPS = [
    (now, reached) for now in Stage for reached in Stage
    if reached > now + 1 and (now, reached) != (Stage.ENDED, Stage.REMOVED)
]  # fmt: skip


@pytest.mark.parametrize("life", [WHOLE_LIFE, LIFE_WITHOUT_OUR_DELETE], ids=["whole", "the API drops the pod unasked"])
def test_a_life_passes_its_stages_to_the_last(life: tuple[Stage, ...]) -> None:
    stage = Stage.SEEN
    for reached in life:
        stage = stage.moved_to(reached)
        assert stage is reached
    assert stage is max(Stage)


def test_the_answer_to_a_delete_that_comes_after_the_removal_changes_nothing() -> None:
    assert Stage.REMOVED.moved_to(Stage.DELETED) is Stage.REMOVED


@pytest.mark.parametrize(("now", "reached"), SKIPS, ids=lambda stage: stage.name)
def test_a_stage_left_out_is_a_bug_that_shows(now: Stage, reached: Stage) -> None:
    with pytest.raises(AssertionError, match=f"went from {now.name} to {reached.name}"):
        now.moved_to(reached)


@given(st.lists(st.sampled_from(Stage)))
def test_no_order_of_reports_moves_a_stage_back(reports: list[Stage]) -> None:
    stage = Stage.SEEN
    for reached in reports:
        if (stage, reached) in SKIPS:
            continue
        before, stage = stage, stage.moved_to(reached)
        assert stage == max(before, reached)
