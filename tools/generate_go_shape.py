"""Write what Go's encoding of the served types leaves out and always writes: `go_shape.json.zst`, and its golden pairs.

In:    k8s.io/api and its siblings of `MODULES` through the Go module proxy, and `schema.json.zst`.
Out:   a definition -> {"omits": fields left out when empty, "zeros": fields always written -> their zero value}; an
       empty object stands for the shape of the struct at that place. And (sent, answered) of every kind for the test.
Run:   .venv/bin/python tools/generate_go_shape.py    (needs `go`)
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zstandard

from wherry.orchestration.objects.kinds import BUILTIN
from wherry.orchestration.objects.schema_data import data

ROOT = Path(__file__).parent.parent
SHAPE = ROOT / "src" / "wherry" / "orchestration" / "objects" / "go_shape.json.zst"
GOLDEN = ROOT / "tests" / "unit" / "objects" / "go_shape_golden.json.zst"
MODULES = ("k8s.io/api", "k8s.io/apimachinery", "k8s.io/apiextensions-apiserver", "k8s.io/kube-aggregator")
VERSION = "v0.37.2"
DEPTH_MAX = 7
GO = r"""
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"

IMPORTS
)

type facts struct {
	Omits []string       `json:"omits"`
	Zeros map[string]any `json:"zeros"`
}

var kinds = map[string]reflect.Type{
KINDS
}

var found = map[string]*facts{}

func name(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	host := strings.Split(parts[0], ".")
	return host[1] + "." + host[0] + "." + strings.Join(parts[1:], ".") + "." + t.Name()
}

var marshaler = reflect.TypeOf((*json.Marshaler)(nil)).Elem()

func zero(t reflect.Type) any {
	if t.Kind() == reflect.Struct && !t.Implements(marshaler) && !reflect.PointerTo(t).Implements(marshaler) {
		return map[string]any{}
	}
	raw, err := json.Marshal(reflect.New(t).Interface())
	if err != nil {
		return nil
	}
	var out any
	json.Unmarshal(raw, &out)
	return out
}

func walk(t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() == "" || t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler) {
		return
	}
	if found[name(t)] != nil {
		return
	}
	f := &facts{Omits: []string{}, Zeros: map[string]any{}}
	found[name(t)] = f
	fields(t, f)
}

func fields(t reflect.Type, f *facts) {
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		tag := strings.Split(field.Tag.Get("json"), ",")
		if tag[0] == "-" || !field.IsExported() {
			continue
		}
		if field.Anonymous && tag[0] == "" {
			fields(field.Type, f)
			continue
		}
		walk(field.Type)
		empty, zeroed := false, false
		for _, option := range tag[1:] {
			empty = empty || option == "omitempty"
			zeroed = zeroed || option == "omitzero"
		}
		kind := field.Type.Kind()
		switch {
		case kind == reflect.Pointer && empty:
		case kind == reflect.Struct && !zeroed, !empty && !zeroed:
			f.Zeros[tag[0]] = zero(field.Type)
		case kind != reflect.Struct:
			f.Omits = append(f.Omits, tag[0])
		}
	}
}

func main() {
	for _, t := range kinds {
		walk(t)
	}
	var sent []map[string]json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&sent); err != nil {
		panic(err)
	}
	answered := []any{}
	for _, one := range sent {
		var kind string
		json.Unmarshal(one["kind"], &kind)
		obj := reflect.New(kinds[kind]).Interface()
		if err := json.Unmarshal(one["object"], obj); err != nil {
			panic(kind + ": " + err.Error())
		}
		answered = append(answered, obj)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"facts": found, "answered": answered})
}
"""


def go_package(definition: str) -> tuple[str, str]:
    """(import path, type) of an OpenAPI definition name."""
    _, _, rest = definition.split(".", 2)
    *path, name = rest.split(".")
    return "/".join(["k8s.io", *path]), name


def program(kinds: dict[str, str]) -> str:
    paths = sorted({go_package(definition)[0] for definition in kinds.values()})
    alias = {path: f"p{index}" for index, path in enumerate(paths)}
    imports = "\n".join(f'\t{alias[path]} "{path}"' for path in paths)
    rows = []
    for kind, definition in sorted(kinds.items()):
        path, name = go_package(definition)
        rows.append(f'\t"{kind}": reflect.TypeOf({alias[path]}.{name}{{}}),')
    return GO.replace("IMPORTS", imports).replace("KINDS", "\n".join(rows))


def sample(field: dict[str, Any], way: str, depth: int) -> Any:
    """A value of a field: `filled`, `empty` (each explicit), or `null`."""
    if "ref" in field:
        return {} if depth > DEPTH_MAX else members(data()["definitions"][field["ref"]], way, depth + 1)
    match field["shape"]:
        case "list":
            return [sample(field["item"], way, depth)] if way == "filled" else []
        case "map":
            inner = sample(field["item"], way, depth)
            return {"key": inner} if way == "filled" and inner is not None else {}
        case "string":
            return ("YQ==" if field.get("format") == "byte" else "text") if way == "filled" else ""
        case "boolean":
            return way == "filled"
        case "integer" | "number" | "int-or-string":
            return 1 if way == "filled" else 0
        case "quantity":
            return "1" if way == "filled" else "0"
        case "time":
            micro = field.get("format") == "micro-time"
            return ("2026-01-02T03:04:05.000006Z" if micro else "2026-01-02T03:04:05Z") if way == "filled" else None
    return None


def members(definition: dict[str, Any], way: str, depth: int) -> dict[str, Any]:
    if way == "null":
        return dict.fromkeys(definition["fields"])
    found = {name: sample(field, way, depth) for name, field in definition["fields"].items()}
    return {name: value for name, value in found.items() if value is not None}


def samples(kinds: dict[str, str]) -> Iterator[dict[str, Any]]:
    for kind, definition in sorted(kinds.items()):
        version, _, word = kind.rpartition("/")
        head = {"apiVersion": version, "kind": word}
        yield {"kind": kind, "object": head}
        fields = data()["definitions"][definition]["fields"]
        for way in ("filled", "empty", "null"):
            inside = {name: sample(field, way, 0) for name, field in fields.items() if name not in head}
            yield {"kind": kind, "object": {**head, **inside}}


def main() -> None:
    served = {f"{r.api_version}/{r.kind}" for r in BUILTIN} | {"authentication.k8s.io/v1/TokenRequest"}
    kinds = {kind: definition for kind, definition in data()["kinds"].items() if kind in served}
    sent = list(samples(kinds))
    with TemporaryDirectory() as folder:
        (Path(folder) / "main.go").write_text(program(kinds), encoding="utf-8")
        (Path(folder) / "go.mod").write_text("module shape\n\ngo 1.26\n", encoding="utf-8")
        subprocess.run(["go", "get", *(f"{module}@{VERSION}" for module in MODULES)], cwd=folder, check=True)
        subprocess.run(["go", "mod", "tidy"], cwd=folder, check=True)
        ran = subprocess.run(["go", "run", "."], cwd=folder, check=True, input=json.dumps(sent).encode(), stdout=subprocess.PIPE)
    answer = json.loads(ran.stdout)
    facts = {name: answer["facts"][name] for name in sorted(data()["definitions"]) if name in answer["facts"]}
    pairs = [{**one, "answered": answered} for one, answered in zip(sent, answer["answered"], strict=True)]
    for path, value in ((SHAPE, facts), (GOLDEN, pairs)):
        path.write_bytes(zstandard.ZstdCompressor(level=19).compress(json.dumps(value, separators=(",", ":")).encode()))


if __name__ == "__main__":
    main()
