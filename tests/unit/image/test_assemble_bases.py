"""What `base` of a recipe may be: a recipe beside it, one that comes with Wherry, an image that is here."""

from dataclasses import replace
from pathlib import Path

import pytest

from wherry.container.assemble.assemble import assemble_recipe, base_recipe, recipes_dir
from wherry.container.assemble.recipe import load
from wherry.kit.errors import NotFound
from wherry.testing.images import content_in

SHIPPED = recipes_dir() / "debian-base.toml"
VERSION = load(SHIPPED).version


def write(folder: Path, name: str, base: str = "") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\nversion = "1"\nbase = "{base}"\n')
    return path


@pytest.mark.parametrize("base", ["debian-base", f"debian-base:{VERSION}", f"wherry.local/debian-base:{VERSION}"])
def test_a_recipe_stands_on_one_that_comes_with_wherry(base: str, tmp_path: Path) -> None:
    assert base_recipe(load(write(tmp_path, "mine", base))) == SHIPPED
    same = write(tmp_path, "debian-base", base)
    assert base_recipe(replace(load(same), base=base)) == SHIPPED, "also when it has the same name"


def test_a_recipe_beside_comes_first(tmp_path: Path) -> None:
    beside = write(tmp_path, "debian-base")
    assert base_recipe(load(write(tmp_path, "mine", "debian-base"))) == beside


@pytest.mark.parametrize("base", ["", "debian-base:0.1", "registry.wherry.local:5050/team/base:1", "../up", "docker.io/a/b"])
def test_other_names_are_images(base: str, tmp_path: Path) -> None:
    assert base_recipe(load(write(tmp_path, "mine", base))) is None


@pytest.mark.parametrize("base", ["debian-base:0.1", "wherry.local/nothing:1", "registry.wherry.local:5050/team/base:1"])
async def test_a_base_that_is_not_there_says_where_it_was_looked_for(base: str, tmp_path: Path) -> None:
    content = content_in(tmp_path / "content")
    with pytest.raises(NotFound, match="no recipe beside it, none that comes with Wherry .* and no image that is here"):
        await assemble_recipe(write(tmp_path, "mine", base), content=content, cache_dir=tmp_path / "cache")
