"""TOML writing, env folders, patterns of .gitignore: properties and tables."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.buildpacks.lifecycle import environment, toml_text
from wherry.buildpacks.lifecycle.places import Folder
from wherry.buildpacks.platform import patterns
from wherry.kit.errors import Invalid

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = texts | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12)


@given(st.dictionaries(texts, values, max_size=5))
@pytest.mark.slow
def test_what_is_written_is_read_back(document: dict[str, object]) -> None:
    assert tomllib.loads(toml_text.dumps(document)) == document


@pytest.mark.parametrize(("before", "files", "after"), [
    pytest.param({}, {"A": "1"}, {"A": "1"}, id="no suffix overrides"),
    pytest.param({"A": "0"}, {"A.override": "1"}, {"A": "1"}, id="override"),
    pytest.param({"A": "0"}, {"A.default": "1"}, {"A": "0"}, id="default leaves what is set"),
    pytest.param({}, {"A.default": "1"}, {"A": "1"}, id="default sets what is not"),
    pytest.param({"A": "0"}, {"A.append": "1"}, {"A": "01"}, id="append without delimiter"),
    pytest.param({"A": "0"}, {"A.append": "1", "A.delim": ","}, {"A": "0,1"}, id="append with delimiter"),
    pytest.param({"A": "0"}, {"A.prepend": "1", "A.delim": ":"}, {"A": "1:0"}, id="prepend with delimiter"),
    pytest.param({}, {"A.prepend": "1", "A.delim": ":"}, {"A": "1"}, id="no delimiter beside nothing"),
    pytest.param({"A": "0"}, {"A.strange": "1"}, {"A": "0"}, id="unknown suffix is ignored"),
    pytest.param({}, {"A": "line\n"}, {"A": "line\n"}, id="bytes are taken as they are"),
])  # fmt: skip
def test_env_files_change_the_environment(before: dict[str, str], files: dict[str, str], after: dict[str, str]) -> None:
    assert environment.with_env_files(before, files) == after


def test_user_values_go_in_front_of_path_lists_and_replace_others() -> None:
    found = environment.with_user_values({"PATH": "/bin", "A": "0"}, {"PATH": "/mine", "A": "1"})
    assert found == {"PATH": "/mine:/bin", "A": "1"}


def test_build_layer_gives_its_folders_and_env(tmp_path: Path) -> None:
    for name in ("bin", "lib", "include", "pkgconfig", "env", "env.build"):
        (tmp_path / name).mkdir()
    (tmp_path / "env/A").write_text("1")
    (tmp_path / "env.build/A.append").write_text("2")
    (tmp_path / "env/link").symlink_to("/etc/passwd")
    found = environment.with_layer({"PATH": "/bin"}, Folder(tmp_path, "/layers/x/y"))
    assert found == {
        "PATH": "/layers/x/y/bin:/bin", "LD_LIBRARY_PATH": "/layers/x/y/lib", "LIBRARY_PATH": "/layers/x/y/lib",
        "CPATH": "/layers/x/y/include", "PKG_CONFIG_PATH": "/layers/x/y/pkgconfig", "A": "12",
    }  # fmt: skip


def test_only_the_named_variables_of_the_lifecycle_are_kept() -> None:
    assert environment.base({"HOME": "/h", "SECRET": "s", "HTTPS_PROXY": "p", "PATH": "/bin", "LANG": "C"}) == {
        "HOME": "/h", "HTTPS_PROXY": "p", "PATH": "/bin",
    }  # fmt: skip


@pytest.mark.parametrize(("pattern", "path", "is_match"), [
    pytest.param("*.pyc", "a/b/c.pyc", True, id="a name matches at any depth"),
    pytest.param("/*.md", "README.md", True, id="a leading slash is the top"),
    pytest.param("/*.md", "docs/x.md", False, id="and nothing below it"),
    pytest.param("docs/", "docs/a/b.txt", True, id="a folder with all in it"),
    pytest.param("docs/", "docs", False, id="a folder's pattern matches no file"),
    pytest.param("a/**/z", "a/b/c/z", True, id="two stars cross folders"),
    pytest.param("a/**/z", "a/z", True, id="or none"),
    pytest.param("a/*/z", "a/b/c/z", False, id="one star does not"),
    pytest.param("b[0-9]", "b7", True, id="class"),
    pytest.param("b[!0-9]", "b7", False, id="negated class"),
    pytest.param("node_modules/", "x/node_modules/y.js", True, id="folder anywhere"),
    pytest.param("c.pyc", "xc.pyc", False, id="whole names only"),
])  # fmt: skip
def test_patterns_match_as_git_does(pattern: str, path: str, is_match: bool) -> None:
    assert patterns.matches([pattern], path) is is_match


def test_last_pattern_decides() -> None:
    assert not patterns.matches(["*.txt", "!keep.txt"], "keep.txt")
    assert patterns.matches(["!keep.txt", "*.txt"], "keep.txt")


def test_link_in_the_place_of_a_toml_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "launch.toml").symlink_to("/etc/hostname")
    with pytest.raises(Invalid, match="is a link"):
        toml_text.read(tmp_path / "launch.toml")
