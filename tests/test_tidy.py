"""Rules about the code itself. One rule, one message, and the message says what to write instead."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.assembly.components import COMPONENTS
from wherry.orchestration.objects.schema_data import data

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "wherry"
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 700
BANNED = {  # call -> what to write instead
    "asyncio.create_task": "TaskGroup.create_task",
    "asyncio.ensure_future": "TaskGroup.create_task",
    "asyncio.wait_for": "asyncio.timeout",
    "subprocess.run": "kit.process.run, which bounds time and leaves no child",
    "subprocess.check_output": "kit.process.run",
    "os.system": "kit.process.run",
    "time.time": "a Clock passed in",
    "time.sleep": "a Clock passed in",
    "print": "a logger, or cli/output.py",
}
# file -> the rules it may break, and why it must
EXCEPTIONS = {
    "kit/supervise.py": {"broad"},
    "kit/process.py": set(),
    "cli/output.py": {"print"},
    # Run by the build image's own Python, where there is nothing of ours.
    "buildpacks/packs/python/lib/locks.py": {"subprocess.run"},
    "buildpacks/packs/nodejs/lib/nodes.py": {"subprocess.run"},
}


def findings(path: Path, name: str) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    excused = EXCEPTIONS.get(name, set())
    if ast.get_docstring(tree) is None and tree.body:
        yield f"{path}:1: module has no docstring: say what goes in, what comes out, which spec"
    length = len(path.read_text(encoding="utf-8").splitlines())
    if length > FILE_LINES_MAX:
        yield f"{path}:1: {length} lines, over {FILE_LINES_MAX}: one idea per file"
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    yield f"{path}:{node.lineno}: {node.name} has {length} lines, over {FUNCTION_LINES_MAX}"
            case ast.Call() if (call := ast.unparse(node.func)) in BANNED and call not in excused:
                yield f"{path}:{node.lineno}: {call} is banned, use {BANNED[call]}"
            case ast.Call(func=ast.Attribute(attr="create_task")) if not any(word.arg == "name" for word in node.keywords):
                yield f"{path}:{node.lineno}: a task without a name: a warning or a stack of tasks could not say which"
            case ast.ExceptHandler(type=None) | ast.ExceptHandler(type=ast.Name(id="Exception" | "BaseException")):
                if "broad" not in excused:
                    yield f"{path}:{node.lineno}: broad except; name the error, or let the supervisor see it"


def test_source_is_tidy() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=SRC, text=True, capture_output=True, check=True,
    )
    names = [name for name in listed.stdout.split() if (SRC / name).exists()]
    found = [line for name in names for line in findings(SRC / name, name)]
    assert names and not found, "\n" + "\n".join(found)


# Modules that no import in src names, and what does.
OTHERWISE = (
    ("wherry.cli.", "a verb, found by its name"),
    ("wherry.testing.", "published for tests"),
    ("wherry.buildpacks.packs.", "run by the build image's own Python"),
)


def modules() -> dict[str, Path]:
    """Every module of src by its dotted name; a package by its folder's."""
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        name = ".".join(path.relative_to(SRC.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """What one module imports of others: modules, and names that may be modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def unused(found: dict[str, Path]) -> list[str]:
    """Modules that nothing imports and nothing else names."""
    used = {other for name, path in found.items() for other in imports(path) if other != name}
    used |= {f"wherry.assembly.{row.module}" for row in COMPONENTS}
    return [
        name for name, path in found.items()
        if name not in used and path.name != "__init__.py"
        and not any(name.startswith(prefix) for prefix, _ in OTHERWISE)
    ]


def test_every_module_is_used() -> None:
    found = modules()
    assert not unused(found), f"nothing in src imports {unused(found)}: wire them, move what tests alone use to wherry.testing, or delete"


def test_a_module_that_nothing_imports_is_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import two\n")
    (tmp_path / "two.py").write_text("import two\n")
    assert unused({name: tmp_path / f"{name}.py" for name in ("one", "two")}) == ["one"]


WELL_KNOWN = ("kubernetes.io/", "k8s.io/")
ROLE_DATA = ("orchestration/apiserver/auth/bootstrap_",)  # upstream's rules as they are


def well_known(text: str) -> Iterator[str]:
    """Literals with a name of Kubernetes' in them; docstrings only cite."""
    nodes = list(ast.walk(ast.parse(text))) if any(part in text for part in WELL_KNOWN) else []
    cited = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in cited
        if is_text and any(part in node.value for part in WELL_KNOWN):
            yield node.value


def spelled_twice(found: dict[str, str]) -> dict[str, list[str]]:
    """Literal -> the files it is in, where these are several. `found` is the text of files by their name."""
    places: dict[str, list[str]] = {}
    for name, text in found.items():
        for literal in {*well_known(text)}:
            places.setdefault(literal, []).append(name)
    return {literal: names for literal, names in places.items() if len(names) > 1}


def test_a_well_known_name_is_spelled_in_one_file() -> None:
    names = {str(path.relative_to(SRC)): path for path in sorted(SRC.rglob("*.py"))}
    found = spelled_twice({name: path.read_text() for name, path in names.items() if not name.startswith(ROLE_DATA)})
    assert not found, f"give it upstream's constant in objects/well_known.py, or say it by the resource in objects/kinds.py: {found}"


def test_a_well_known_name_in_two_files_is_found() -> None:
    one, cited, other = 'X = "kubernetes.io/x"\n', '"""kubernetes.io/x"""\n', 'print({"kubernetes.io/x": 1}, "k8s.io/y")\n'
    assert spelled_twice({"one.py": one, "cited.py": cited, "other.py": other}) == {"kubernetes.io/x": ["one.py", "other.py"]}


# Keys of what is no object of a built-in kind, in components that read hardly anything else.
OTHER_KEYS = {
    "proxy": {"frontends": "a map of our table"},
    "dns": {},
    "scheduler": {},
    "controllers": {
        "claim": "a group of a pattern",
        "expiration": "a bootstrap token's data", "Ready": "conditions by their type",
    },
    "agent": {
        "MemAvailable": "/proc/meminfo", "MemTotal": "/proc/meminfo", "memory": "resources by name",
        "ephemeral-storage": "resources by name", "auths": "a Docker configuration", "auth": "a Docker configuration",
        "password": "a Docker configuration", ".dockercfg": "a Secret's data", ".dockerconfigjson": "a Secret's data",
        "authorization": "a header", "connection": "a header", "location": "a header", "requestid": "a header",
        "streamtype": "a header", "upgrade": "a header", "Width": "a terminal's size", "Height": "a terminal's size",
    },
}


def keys_read(text: str) -> Iterator[tuple[int, str]]:
    """The literal keys that are read of mappings, with their lines."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Attribute(attr="get" | "pop" | "setdefault"), args=[ast.Constant(value=str(key)), *_]):
                yield node.lineno, key
            case ast.Subscript(slice=ast.Constant(value=str(key))):
                yield node.lineno, key


def unknown_keys(text: str, known: set[str]) -> Iterator[tuple[int, str]]:
    """Keys that are no field of any kind: misspelled, they read as "absent" for ever."""
    return ((line, key) for line, key in keys_read(text) if key not in known)


def fields_of_kinds() -> set[str]:
    return {name for definition in data()["definitions"].values() for name in definition["fields"]}


@pytest.mark.parametrize("component", OTHER_KEYS)
def test_every_key_that_is_read_is_a_field_of_some_kind(component: str) -> None:
    paths = sorted((SRC / "orchestration" / component).rglob("*.py"))
    found = [(path, line, key) for path in paths for line, key in unknown_keys(path.read_text(), fields_of_kinds())]
    wrong = [f"{path}:{line}: {key!r} is a field of no kind" for path, line, key in found if key not in OTHER_KEYS[component]]
    assert not wrong, "\n".join(["misspelled, or to be named in OTHER_KEYS:", *wrong])
    assert {key for _, _, key in found} == set(OTHER_KEYS[component]), "OTHER_KEYS names what is read no longer"


def test_a_misspelled_key_is_found() -> None:
    text = 'spec["clusterIP"]\nspec.get("internalTrafficPolcy") == "Local"\nspec.pop("potrs", None)\n'
    assert sorted(unknown_keys(text, fields_of_kinds())) == [(2, "internalTrafficPolcy"), (3, "potrs")]


IN_BACKTICKS = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
OURS = re.compile(r"(?:\.\./)*(?:[\w.-]+/)*[\w-]+\.py|(?:[a-z_]\w*/)+|wherry(?:\.[A-Za-z_]\w*)+")
PAGES = re.compile(r"(?<![\w/.:-])(?:[\w.-]+/)+[\w-]+\.md\b")
# Folders that are there while something runs, and a file of users.
NOT_IN_THE_TREE = {"committed/", "identity/", "ingest/", "log/", "nodes/", "staging/", "tmp/", "wherry.toml"}


def documents() -> Iterator[tuple[Path, str]]:
    """Every text that may name a file or a module of ours, with where it is."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, text=True, capture_output=True, check=True)
    yield from ((ROOT / name, (ROOT / name).read_text()) for name in listed.stdout.split() if name != "CHANGELOG.md")
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, ast.get_docstring(node) or ""


def ends_of_paths() -> set[str]:
    """`linux/loop.py`, `loop.py` ... for every file and folder of the tree."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True, capture_output=True, check=True)
    parts = {path.parts[:end] for path in map(Path, listed.stdout.split("\n")) for end in range(1, len(path.parts) + 1)}
    return {"/".join(path[start:]) for path in parts for start in range(len(path))}


def unresolved(text: str, known: set[str]) -> list[str]:
    """Names in backticks that look like files, folders or modules of ours and are none; pages that are cited and not in the tree."""
    found = [name for name in IN_BACKTICKS.findall(text) if OURS.fullmatch(name) and name not in NOT_IN_THE_TREE]
    found += PAGES.findall(text)
    return [name for name in found if not _is_known(name, known)]


def _is_known(name: str, known: set[str]) -> bool:
    if not name.startswith("wherry."):
        return name.replace("../", "").rstrip("/") in known
    place = name.replace(".", "/")
    return any(one in known for one in (place, f"{place}.py", f"{place.rpartition('/')[0]}.py"))  # the last: a name in a module


def test_a_name_in_backticks_is_there() -> None:
    known = ends_of_paths()
    wrong = [f"{path}: `{name}` is not in the tree" for path, text in documents() for name in unresolved(text, known)]
    assert not wrong, "\n".join(wrong)


def test_a_name_in_backticks_that_is_not_there_is_found() -> None:
    known = {"src", "wherry", "wherry/kit", "kit/clock.py", "clock.py", "wherry/kit/clock.py"}
    text = "`clock.py` `kit/clock.py` `../kit/clock.py` `wherry.kit.clock` `wherry.kit.clock.Clock` `wherry/kit/` `spec.py` `wherry.kit.clocks`"
    assert unresolved(text + " `gone/clock.py` `gone/` `spec.nodeName` `a.py b` facts/x.md https://x/y.md", known) == [
        "spec.py", "wherry.kit.clocks", "gone/clock.py", "gone/", "facts/x.md"]


def test_every_component_has_a_readme() -> None:
    folders = [p for layer in ("orchestration", "container", "infrastructure", "application")
               for p in sorted((SRC / layer).iterdir()) if p.is_dir() and any(p.glob("[a-z]*.py"))]
    missing = [str(p) for p in folders if not (p / "README.md").exists()]
    assert not missing, f"no README.md in {missing}"


def test_a_broad_except_is_found(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text('"""Doc."""\ntry:\n    pass\nexcept Exception:\n    pass\n')
    assert any("broad except" in line for line in findings(bad, "bad.py"))
