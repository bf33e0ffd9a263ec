"""The plan's JSON Schema, completed from libkrun's API table and the host steps."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

from krunc_schema import load

from krunc_compiler import libkrun as api
from krunc_compiler.libkrun import Param

_TEXTS = {"type": "array", "items": {"type": "string"}}


@cache
def operation_schemas() -> dict[tuple[str, str], dict[str, Any]]:
    """The schema of each operation by kind and name."""
    schemas = {
        ("call", function.name): _operation(
            "call", function.name, function.params, function.role == "log"
        )
        for function in api.functions().values()
        if function.role in ("log", "create", "configure", "enter")
    }
    for name, params in api.steps().items():
        schemas["step", name] = _operation("step", name, params, False)
    for row in api.table()["implicit"]:
        schemas["implicit", row["name"]] = _operation("implicit", row["name"], (), False)
    return schemas


@cache
def head_schema() -> dict[str, Any]:
    """The schema of a plan in which an operation is any map of keys."""
    schema: dict[str, Any] = deepcopy(load("plan.schema"))
    schema["properties"]["api"]["enum"] = list(api.table()["eras"])
    return schema


def plan_schema() -> dict[str, Any]:
    """The whole schema of a plan, each call and step with its own arguments."""
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
            return {"type": "array", "items": {"enum": names}}
        case "text":
            return {"type": "string"}
        case "texts" | "port_map":
            return {**_TEXTS, "maxItems": rules["max_items"]}
        case "env":
            either = {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/late"}]}
            return {"type": "object", "additionalProperties": either}
        case "rlimits":
            limit = {"type": "string", "pattern": "^[0-9]{1,20}:[0-9]{1,20}$"}
            names = list(api.enums()["rlimit"])
            return {
                "type": "object",
                "additionalProperties": False,
                "properties": dict.fromkeys(names, limit),
            }
        case "mac":
            return {"type": "string", "pattern": "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$"}
        case "fd":
            handed_down = {"type": "integer", "minimum": 3, "maximum": 1048575}
            named = [{"enum": list(rules["named"])}] if rules["named"] else []
            return {"oneOf": [*named, handed_down, {"$ref": "#/$defs/opened"}]}
        case "bytes":
            return {"$ref": "#/$defs/content"}
        case "u16s":
            return {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 65535}}
        case _:
            return {"type": "string", "minLength": 1}
