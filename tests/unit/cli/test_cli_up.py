"""The flags of `wherry up` that are not settings of the cluster."""

import argparse

import pytest

from wherry.cli import up


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(exit_on_error=False)
    up.configure(made)
    return made


@pytest.mark.parametrize(("words", "span_s"), [
    pytest.param([], 60, id="default"), pytest.param(["--timeout", "300"], 300, id="seconds"),
    pytest.param(["--timeout=5.5s"], 5.5, id="with its unit"),
])  # fmt: skip
def test_the_time_to_wait_is_a_flag_and_no_setting_of_the_cluster(words: list[str], span_s: float) -> None:
    args = parser().parse_args(words)
    assert args.timeout == span_s and "timeout" not in up.given(args)


@pytest.mark.parametrize("word", ["0", "-1", "inf", "nan", "soon"])
def test_a_time_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="--timeout"):
        parser().parse_args([f"--timeout={word}"])
