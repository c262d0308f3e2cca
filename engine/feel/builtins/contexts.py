"""Functions on contexts (DMN 1.5, section 10.3.4.10)."""

from __future__ import annotations

from engine.feel.builtins.catalog import Catalog
from engine.feel.errors import NoValue
from engine.feel.run import Run
from engine.feel.values import Value, kind, native

catalog = Catalog()


@catalog.add("get value(m: context, key: string)")
def get_value(run: Run, m: dict[str, Value], key: str) -> Value:
    if key not in m:
        raise NoValue(f"the context has no entry {key!r}")
    return native(m[key])


@catalog.add("get entries(m: context)")
def get_entries(run: Run, m: dict[str, Value]) -> Value:
    run.spend(len(m))
    return [{"key": key, "value": value} for key, value in m.items()]


@catalog.add("context(entries: list)")
def context(run: Run, entries: list[Value]) -> Value:
    result: dict[str, Value] = {}
    run.spend(len(entries))
    for entry in entries:
        key, value = key_and_value(entry)
        if key in result:
            raise NoValue(f"the key {key!r} is there twice")
        result[key] = value
    return result


@catalog.add("context put(context: context, key: string, value: any)")
def context_put(run: Run, context: dict[str, Value], key: str, value: Value) -> Value:
    return {**context, key: value}


@catalog.add("context put(context: context, keys: list, value: any)")
def context_put_nested(
    run: Run, context: dict[str, Value], keys: list[Value], value: Value
) -> Value:
    if not keys or any(type(key) is not str for key in keys):
        raise NoValue("expected at least one key, and keys that are strings")
    run.spend(len(context) + len(keys))
    if len(keys) == 1:
        return {**context, keys[0]: value}
    inner = context.get(keys[0])
    if inner is None:
        inner = {}
    inner = native(inner)
    if type(inner) is not dict:
        raise NoValue(f"the entry {keys[0]!r} is {kind(inner)}, not a context")
    return {**context, keys[0]: context_put_nested(run, inner, keys[1:], value)}


@catalog.add("context merge(contexts: list)")
def context_merge(run: Run, contexts: list[Value]) -> Value:
    result: dict[str, Value] = {}
    for part in contexts:
        if type(part) is not dict:
            raise NoValue(f"expected contexts, but got {kind(part)}")
        run.spend(len(part) + 1)
        result.update(part)
    return result


def key_and_value(entry: Value) -> tuple[str, Value]:
    """Return what an entry holds, as `get entries` writes it. Raises NoValue."""
    if type(entry) is not dict or "key" not in entry or "value" not in entry:
        raise NoValue("expected contexts with a `key` and a `value`")
    key = entry["key"]
    if type(key) is not str:
        raise NoValue(f"expected a string as key, but got {kind(key)}")
    return key, entry["value"]
