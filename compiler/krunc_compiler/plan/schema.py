"""The plan's JSON Schema, completed from libkrun's API table, the host steps and the kinds."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from typing import Any

from krunc_schema import load

from krunc_compiler import libkrun as api
from krunc_compiler.libkrun import Param
from krunc_compiler.plan import kinds
from krunc_compiler.plan.kinds import kind_schema, text_schema


@cache
def operation_schemas() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the schema of each operation by kind and name."""
    schemas = {
        ("call", function.name): _operation(
            "call", function.name, function.params, function.role == "log"
        )
        for function in api.functions().values()
        if function.role in ("log", "create", "configure", "enter")
    }
    for name, params in api.steps().items():
        schemas["step", name] = _operation("step", name, params, False)
    for name, params in api.orders().items():
        schemas["order", name] = _operation("order", name, params, False)
    for row in api.table()["implicit"]:
        schemas["implicit", row["name"]] = _operation("implicit", row["name"], (), False)
    return schemas


@cache
def head_schema() -> dict[str, Any]:
    """Return the schema of a plan in which an operation is any map of keys."""
    schema: dict[str, Any] = _completed(load("plan.schema"))
    schema["properties"]["krunc_plan"]["const"] = load("plan")["format"]
    schema["properties"]["api"]["enum"] = list(api.table()["eras"])
    features = schema["properties"]["requires"]["properties"]["features"]
    features["items"]["enum"] = list(api.enums()["feature"])
    return schema


def _completed(part: Any) -> Any:
    """Copy PART of the schema, each `x-kind` in it replaced by the schema of that kind."""
    if isinstance(part, list):
        return [_completed(item) for item in part]
    if not isinstance(part, dict):
        return part
    copied = {key: _completed(item) for key, item in part.items() if key != "x-kind"}
    if "x-kind" not in part:
        return copied
    kind = part["x-kind"]
    return {**copied, **(_of_the_guest(kind) if kind in _OF_THE_GUEST else kind_schema(kind))}


_OF_THE_GUEST = ("guest_path", "guest_text", "guest_variable", "text")


def _of_the_guest(kind: str) -> dict[str, Any]:
    """Make the schema of what a content of the plan holds for the guest."""
    if kind == "guest_variable":
        return _variable(())
    if kind == "text":
        return {"type": "string", "pattern": r"^[^\ud800-\udfff]*$"}
    # The guest's init reads these from its configuration file.
    controls = api.table()["guest_configuration"]["controls"]
    refused = "".join(f"\\u{code:04x}" for code in range(32) if chr(code) not in controls)
    row = {"prefix": "/"} if kind == "guest_path" else {}
    form = "a string that starts with /" if row else "a string without control characters"
    return text_schema(row, rf"(?![\s\S]*[{refused}])[^\ud800-\udfff]*", form)


def _variable(taken: Iterable[str]) -> dict[str, Any]:
    """Make the schema of a variable's name that nobody has TAKEN for himself."""
    starts = "|".join(api.table()["reserved_env"]["prefixes"])
    refused: list[dict[str, Any]] = [{"pattern": f"^({starts})"}, {"enum": list(taken)}]
    return {**kind_schema("variable"), "not": {"anyOf": refused}}


def plan_schema() -> dict[str, Any]:
    """Return the whole schema of a plan, each call and step with its own arguments."""
    schema = deepcopy(head_schema())
    schema["properties"]["operations"]["items"] = {"oneOf": list(operation_schemas().values())}
    return schema


def _operation(kind: str, name: str, params: tuple[Param, ...], warn: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {kind: {"const": name}}
    required = [kind, "from"]
    if params:
        properties["args"] = {
            "type": "object",
            "additionalProperties": False,
            "required": [param.name for param in params],
            "properties": {param.name: _argument(param) for param in params},
        }
        required.append("args")
    if warn:
        properties["on_failure"] = {"const": "warn"}
    properties["from"] = {"$ref": "#/$defs/from"}
    return {
        "title": name,
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


def _argument(param: Param) -> dict[str, Any]:
    schema = _value(param)
    return {"oneOf": [schema, {"type": "null"}]} if param.rules.get("nullable") else schema


def _value(param: Param) -> dict[str, Any]:
    rules = param.rules
    match param.kind:
        case "int":
            return {"type": "integer", "minimum": rules["min"], "maximum": rules["max"]}
        case "bool":
            return {"type": "boolean"}
        case "enum":
            return {"enum": list(api.enums()[rules["enum"]])}
        case "flags":
            names = rules.get("only") or list(api.table()["flags"][rules["flags"]])
            return {"type": "array", "items": {"enum": names}, "maxItems": len(names)}
        case "text":
            return _text(rules)
        case "texts":
            return _list(_text(rules), rules["max_items"])
        case "port_map":
            return _list(kind_schema("port_pair"), rules["max_items"])
        case "published":
            return _list(kind_schema("published"), rules["max_items"])
        case "ipv4" | "digest":
            return kind_schema(param.kind)
        case "env":
            return {
                "type": "object",
                "maxProperties": rules["max_items"],
                "propertyNames": kind_schema("free_variable")
                if "free_names" in rules
                else _variable(api.table()["reserved_env"]["kernel"]),
                "additionalProperties": {"oneOf": [_text(rules), {"$ref": "#/$defs/late"}]},
            }
        case "rlimits":
            limit = kind_schema("limit")
            names = list(api.enums()["rlimit"])
            return {
                "type": "object",
                "additionalProperties": False,
                "properties": dict.fromkeys(names, limit),
            }
        case "mac":
            return kind_schema("mac")
        case "fd":
            handed_down = kind_schema("descriptor")
            named = [{"enum": list(rules["named"])}] if rules["named"] else []
            return {"oneOf": [*named, handed_down, {"$ref": "#/$defs/opened"}]}
        case "bytes":
            return {"$ref": "#/$defs/content"}
        case "u16s":
            return _list(kind_schema("queue_size"), kinds.rules("queue_size")["max_items"])
        case "host_path" | "socket_path":
            return kind_schema("host_path")
        case _:
            raise KeyError(param.kind)


def _list(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": most}


def _text(rules: dict[str, Any]) -> dict[str, Any]:
    if "charset" in rules:
        row = api.table()["charsets"][rules["charset"]]
        schema = text_schema(rules, row["pattern"], row["doc"])
    else:
        schema = text_schema(rules)
    refused = rules.get("refused")
    return {**schema, "not": {"enum": refused}} if refused else schema
