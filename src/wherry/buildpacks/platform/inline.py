"""From the builder to the builder of one build: the buildpacks the user or project.toml names, also inline ones.

In:    the builder, project.toml, buildpacks named on the command line (which win).
Out:   the builder with the order of this build. Inline buildpacks become folders below the build's own.
"""

from dataclasses import replace
from pathlib import Path

from wherry.buildpacks.lifecycle import toml_text
from wherry.buildpacks.lifecycle.descriptor import escape
from wherry.buildpacks.platform import builder as builders
from wherry.buildpacks.platform.builder import Builder
from wherry.buildpacks.platform.project import Inline, Project


def apply(builder: Builder, project: Project, named: tuple[str, ...], source: Path, work: Path) -> Builder:
    """The order is: what is named, between `pre` and `post` of project.toml; or the builder's own between them."""
    wanted = named or _folders(project.buildpacks, work)
    chosen = builders.with_buildpacks(builder, wanted, source) if wanted else builder
    if not project.pre and not project.post:
        return chosen
    before = builders.with_buildpacks(chosen, _folders(project.pre, work), source)
    after = builders.with_buildpacks(before, _folders(project.post, work), source)
    order = tuple((*before.order[0], *group, *after.order[0]) for group in chosen.order)
    return replace(after, order=order)


def _folders(entries: tuple[str | Inline, ...], work: Path) -> tuple[str, ...]:
    return tuple(_made(entry, work) if isinstance(entry, Inline) else entry for entry in entries)


def _made(entry: Inline, work: Path) -> str:
    folder = work / "inline" / escape(entry.id)
    (folder / "bin").mkdir(parents=True)
    document = {"api": entry.api, "buildpack": {"id": entry.id, "version": entry.version}, "targets": [{"os": "linux"}]}
    (folder / "buildpack.toml").write_text(toml_text.dumps(document))
    programs = {"detect": "#!/bin/sh\n", "build": f"#!{entry.shell}\n{entry.text}\n"}
    for name, text in programs.items():
        path = folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    return str(folder)
