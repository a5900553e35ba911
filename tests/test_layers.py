"""The architecture, as a test. ARCHITECTURE.md explains it; this file is what holds."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SRC = Path(__file__).parent.parent / "src"

# Top to bottom. A module may import its own package and any row below, never a sibling.
LAYERS = [
    {"wherry.cli", "wherry.testing"},
    {"wherry.assembly"},
    {"wherry.application"},
    {"wherry.orchestration", "wherry.buildpacks"},
    {"wherry.container"},
    {"wherry.infrastructure"},
    {"wherry.kit"},
]
ORCHESTRATION = [
    {f"wherry.orchestration.{name}" for name in ("controllers", "scheduler", "agent", "proxy", "dns")},
    {"wherry.orchestration.client", "wherry.orchestration.apiserver"},
    {"wherry.orchestration.store"},
    {"wherry.orchestration.objects"},
]
APISERVER = [
    {f"wherry.orchestration.apiserver.{name}" for name in names}
    for names in (
        ("serving",),
        ("custom", "subresources"),
        ("verbs",),
        ("quota",),
        ("admission",),
        ("aggregation", "allocation", "call"),
        ("registry", "openapi"),
        ("sheets",),
        ("strategies", "discovery", "tables", "protobuf", "pki"),
        ("auth",),
        ("errors",),
        ("names", "settings", "source", "user"),
    )
]
GATEWAY = [
    {f"wherry.application.gateway.{name}" for name in names}
    for names in (("loop",), ("compiler", "install"), ("ownership_told", "workload"), ("ownership", "blame", "keeping", "programmed"),
                  ("dialects", "xds", "crds", "statuses"), ("model",))
]
CONTAINER = [
    {"wherry.container.runtime", "wherry.container.registry", "wherry.container.assemble"},
    {"wherry.container.content"},
    {"wherry.container.image"},
]
INFRASTRUCTURE = [
    {"wherry.infrastructure.storage", "wherry.infrastructure.network"},
    {"wherry.infrastructure.linux"},
]
AGENT = [
    {"wherry.orchestration.agent.loop"},
    {"wherry.orchestration.agent.node"},
    {"wherry.orchestration.agent.pod"},
    {f"wherry.orchestration.agent.{name}" for name in ("volumes", "probes", "logs", "streaming")},
    {"wherry.orchestration.agent.references"},
    {"wherry.orchestration.agent.plan"},
    {"wherry.orchestration.agent.facts"},
]
KUBERNETES_WORDS = ("pod", "kubernetes", "kubelet", "namespaced", "deployment")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's tree that says something here: six rules look at each file, it is read once."""
    kinds = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return tuple(node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds))


def imported(path: Path, module: str) -> Iterator[tuple[int, str]]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, node.module] if node.module else parents)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def violations(src: Path, layers: list[set[str]]) -> Iterator[str]:
    row = {package: index for index, packages in enumerate(layers) for package in packages}

    def home(name: str) -> str | None:
        return next((p for p in row if name == p or name.startswith(f"{p}.")), None)

    for path in sorted(src.rglob("*.py")):
        module = ".".join(path.relative_to(src).with_suffix("").parts)
        here = home(module)
        for line, name in imported(path, module):
            there = home(name)
            if here and there and here != there and row[there] <= row[here]:
                yield f"{path}:{line}: {here} must not import {there} ({name})"


def names_defined(path: Path) -> Iterator[tuple[int, str]]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def test_imports_point_down() -> None:
    tables = (LAYERS, ORCHESTRATION, APISERVER, AGENT, GATEWAY, CONTAINER, INFRASTRUCTURE)
    found = [line for rows in tables for line in violations(SRC, rows)]
    assert not found, "\n" + "\n".join(found)


def test_every_part_of_the_agent_has_a_row() -> None:
    agent = SRC / "wherry" / "orchestration" / "agent"
    parts = {path.relative_to(agent).parts[0].removesuffix(".py") for path in agent.rglob("*.py")} - {"__init__"}
    assert {f"wherry.orchestration.agent.{part}" for part in parts} == set().union(*AGENT)


def folders_that_import_each_other(src: Path) -> list[tuple[str, str]]:
    """Pairs of folders; what a folder takes from its own sub-folder's `__init__` counts as of the sub-folder."""
    homes = {".".join(path.relative_to(src).with_suffix("").parts).removesuffix(".__init__"): path.parent
             for path in src.rglob("*.py")}
    edges = set()
    for module, home in homes.items():
        path = home / "__init__.py" if home == src.joinpath(*module.split(".")) else home / f"{module.rpartition('.')[2]}.py"
        for _, name in imported(path, module):
            there = homes.get(name) or homes.get(name.rpartition(".")[0])
            if there and there != home:
                edges.add((str(home.relative_to(src)), str(there.relative_to(src))))
    return sorted((one, other) for one, other in edges if one < other and (other, one) in edges)


def test_no_two_folders_import_each_other() -> None:
    assert not folders_that_import_each_other(SRC)


def test_two_folders_that_import_each_other_are_found(tmp_path: Path) -> None:
    for name, text in (("a/x.py", "from b import y\n"), ("b/y.py", "from a.x import z\n"), ("b/c/w.py", "from a import x\n")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert folders_that_import_each_other(tmp_path) == [("a", "b")]


def test_only_the_api_server_touches_the_store() -> None:
    allowed = ("wherry.orchestration.apiserver", "wherry.orchestration.store", "wherry.assembly", "wherry.testing")
    found = [
        f"{path}:{line}: {name}"
        for path in sorted(SRC.rglob("*.py"))
        for module in [".".join(path.relative_to(SRC).with_suffix("").parts)]
        if not module.startswith(allowed)
        for line, name in imported(path, module)
        if name.startswith("wherry.orchestration.store")
    ]
    assert not found, "\n" + "\n".join(found)


def test_no_kubernetes_word_below_layer_three() -> None:
    found = [
        f"{path}:{line}: {name} speaks of Kubernetes below layer 3"
        for layer in ("container", "infrastructure")
        for path in sorted((SRC / "wherry" / layer).rglob("*.py"))
        for line, name in names_defined(path)
        if any(word in name.lower() for word in KUBERNETES_WORDS)
    ]
    assert not found, "\n" + "\n".join(found)


def test_a_sideways_import_is_found(tmp_path: Path) -> None:
    package = tmp_path / "wherry" / "container"
    package.mkdir(parents=True)
    (package / "bad.py").write_text("from wherry.orchestration import objects\n")
    assert len(list(violations(tmp_path, LAYERS))) == 1
