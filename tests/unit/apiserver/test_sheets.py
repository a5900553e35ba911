"""Every built-in kind has one sheet, and what a sheet names is there."""

import pytest

from wherry.orchestration.apiserver.registry.fields import FieldReader
from wherry.orchestration.apiserver.sheets import SHEETS, sheet_of
from wherry.orchestration.apiserver.sheets.sheet import Sheet
from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.schema_data import structure_of


def name_of(sheet: Sheet) -> str:
    return f"{sheet.resource.api_version} {sheet.resource.plural}"


def test_every_built_in_row_has_one_sheet_in_the_file_of_its_group() -> None:
    assert sorted(map(name_of, SHEETS)) == sorted(f"{r.api_version} {r.plural}" for r in kinds.BUILTIN)
    assert all(sheet_of(resource).resource is resource for resource in kinds.BUILTIN)


@pytest.mark.parametrize("sheet", SHEETS, ids=name_of)
def test_a_sheet_is_filled_in(sheet: Sheet) -> None:
    assert sheet.description.endswith(".") and len(sheet.description) > 10
    strategy = sheet.strategy(sheet.resource)
    assert strategy is not sheet.strategy(sheet.resource), "a strategy may hold what belongs to one server"
    assert strategy.has_status == ("status" in sheet.resource.subresources)
    first, *_ = sheet.columns.columns
    assert first["name"] in ("Name", "Last Seen")


@pytest.mark.parametrize("sheet", [sheet for sheet in SHEETS if sheet.fields], ids=name_of)
def test_selectable_fields_are_fields_of_what_is_stored(sheet: Sheet) -> None:
    resource = sheet_of(kinds.EVENTS).resource if sheet.stored else sheet.resource
    for path in sheet.fields.values():
        node = structure_of(resource.api_version, resource.kind)
        for part in path.split("."):
            assert node is not None and part in node.fields, f"{path}: {resource.kind} has no {part}"
            node = node.fields[part]
    assert FieldReader(sheet.fields).names == {"metadata.name", "metadata.namespace", *sheet.fields}
