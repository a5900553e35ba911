"""Make the table of protobuf field numbers from checkouts of the upstream API repositories.

In:    git directories of kubernetes/{api,apimachinery,apiextensions-apiserver,kube-aggregator}, as arguments.
Out:   src/wherry/orchestration/apiserver/protobuf/fields.json.zst: message -> {number: [json name, type, flags]}.
       The name is "" for an inlined struct. Flags: r repeated, m map (type is the value's), z zero values are left out.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import zstandard

OUT = Path(__file__).parent.parent / "src/wherry/orchestration/apiserver/protobuf/fields.json.zst"
ROOTS = {"api": "", "apimachinery": "pkg/", "apiextensions-apiserver": "pkg/apis/", "kube-aggregator": "pkg/apis/"}
MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.M | re.S)
FIELD = re.compile(r"^\s*(optional|repeated)?\s*(map<\s*\w+\s*,\s*[\w.]+\s*>|[\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(?:\[.*\])?;", re.M)
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
GO_FIELD = re.compile(r"^\s*(?:\w+\s+)?(\*?[\w.\[\]*]+)\s+`(?=.*json:\"([^\"]*)\")(?=.*protobuf:\"\w+,(\d+))", re.M)
SCALARS = {"string", "int32", "int64", "uint32", "uint64", "bool", "bytes", "double", "float"}


def show(git: Path, path: str) -> str:
    done = subprocess.run(["git", "-C", str(git), "show", f"HEAD:{path}"], capture_output=True, check=True)
    return done.stdout.decode()


def files(git: Path) -> list[str]:
    done = subprocess.run(["git", "-C", str(git), "ls-tree", "-r", "--name-only", "HEAD"], capture_output=True, check=True)
    return done.stdout.decode().split()


def go_fields(texts: list[str]) -> dict[str, dict[str, tuple[str, bool]]]:
    """struct -> {number: (json name or "", zero values are left out)}."""
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for text in texts:
        for name, body in STRUCT.findall(text):
            for go_type, json_tag, number in GO_FIELD.findall(body):
                json_name, *options = json_tag.split(",")
                is_plain = not go_type.startswith(("*", "[", "map"))
                found.setdefault(name, {})[number] = ("" if "inline" in options else json_name,
                                                      is_plain and "omitempty" in options)
    return found


def package_table(package: str, proto: str, structs: dict[str, dict[str, tuple[str, bool]]]) -> dict[str, dict[str, list[str]]]:
    table: dict[str, dict[str, list[str]]] = {}
    bare = re.sub(r"//.*", "", proto)
    for message, body in MESSAGE.findall(bare):
        table[f"{package.removeprefix('k8s.io.')}.{message}"] = {}
        for label, kind, name, number in FIELD.findall(body):
            json_name, drops_zero = structs.get(message, {}).get(number, (name, False))
            flags = ("r" if label == "repeated" else "") + ("z" if drops_zero else "")
            if kind.startswith("map<"):
                kind, flags = kind[4:-1].split(",")[1].strip(), "m"
            if kind not in SCALARS:
                kind = kind.lstrip(".") if "." in kind else f"{package}.{kind}"
                kind = kind.removeprefix("k8s.io.")
            table[f"{package.removeprefix('k8s.io.')}.{message}"][number] = [json_name, kind, flags]
    return table


def main() -> None:
    table: dict[str, dict[str, list[str]]] = {}
    for argument in sys.argv[1:]:
        git = Path(argument)
        names = files(git)
        for path in (n for n in names if n.endswith("generated.proto") and "testapigroup" not in n
                     and not re.search(r"(alpha|beta)\d+/", n)):
            folder = path.rpartition("/")[0]
            go = [show(git, n) for n in names if n.rpartition("/")[0] == folder and n.endswith(".go")
                  and "types" in n.rpartition("/")[2] + "types" and not n.endswith(("_test.go", ".pb.go"))
                  and "generated" not in n.rpartition("/")[2]]
            proto = show(git, path)
            package = re.search(r"^package ([\w.]+);", proto, re.M)
            assert package is not None
            table |= package_table(package[1], proto, go_fields(go))
    OUT.write_bytes(zstandard.ZstdCompressor(level=19).compress(json.dumps(table, separators=(",", ":")).encode()))
    sys.stdout.write(f"{len(table)} messages, {OUT.stat().st_size} bytes\n")


main()
