"""schemas.py DOCS NAME FILE...: holds outputs against DOCS/NAME.schema.json, a pair an output.

Each output is valid and has no field that its schema does not describe; with a value of another type,
or without a field that has to be there, it is not valid. Each field that a file describes is in some output."""

import copy
import json
import pathlib
import sys

try:
    import jsonschema
    import referencing
except ImportError:
    print("jsonschema MISSING")
    sys.exit(0)

# Fields that some rows lack: what a place, or a thread, goes by.
OPTIONAL = {"function", "source", "size", "is_class", "pid", "tid", "thread"}
END = ".schema.json"

docs, *pairs = sys.argv[1:]
schemas = {path.name: json.load(open(path)) for path in pathlib.Path(docs).glob("*" + END)}
specification = referencing.jsonschema.DRAFT202012
registry = referencing.Registry().with_resources(
    (name, specification.create_resource(schema)) for name, schema in schemas.items()
)
validators = {
    name: jsonschema.Draft202012Validator({"$ref": name}, registry=registry) for name in schemas
}


def parts(file, schema):
    """The schema, and those that it refers to, each with its file."""
    yield file, schema
    references = [schema["$ref"]] if "$ref" in schema else []
    for reference in references + [each["$ref"] for each in schema.get("allOf", [])]:
        name, _, pointer = reference.partition("#/")
        name = name or file
        target = schemas[name]
        for step in pointer.split("/") if pointer else []:
            target = target[step]
        yield from parts(name, target)


def inner(file, schema, key):
    """The file and schema of a field or an element."""
    for name, part in parts(file, schema):
        if isinstance(key, str) and key in part.get("properties", {}):
            return name, part["properties"][key]
        if isinstance(key, int) and key < len(part.get("prefixItems", [])):
            return name, part["prefixItems"][key]
        if isinstance(key, int) and part.get("items"):
            return name, part["items"]
    return None


def is_map(file, schema):
    return any("additionalProperties" in part for _, part in parts(file, schema))


def walk(file, schema, value, path=()):
    """The paths of all that is in a value."""
    yield path
    if isinstance(value, dict) and not is_map(file, schema):
        items = value.items()
    else:
        items = enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        found = inner(file, schema, key)
        assert found, f"{path}: {key} is not described"
        yield from walk(*found, part, (*path, key))


def described(file, schema, path=()):
    """The paths of all that its own file describes, without the positions of elements."""
    for name, part in parts(file, schema):
        if name != file:
            continue
        for key, field in part.get("properties", {}).items():
            assert field.get("description"), f"{file}: {path} {key} has no description"
            yield (*path, key)
            yield from described(name, field, (*path, key))
        for item in [part["items"]] if part.get("items") else part.get("prefixItems", []):
            yield from described(name, item, path)


def kind(path):
    return tuple(key for key in path if isinstance(key, str))


def short(value):
    """The same with short lists: a few elements stand for all."""
    if isinstance(value, list):
        return [short(each) for each in value[:8]]
    if isinstance(value, dict):
        return {key: short(each) for key, each in value.items()}
    return value


def at(value, path):
    for key in path:
        value = value[key]
    return value


seen = {name: set() for name in schemas}
for name, file in zip(pairs[::2], pairs[1::2]):
    name += END
    output, schema, validator = json.load(open(file)), schemas[name], validators[name]
    validator.validate(output)
    kinds = set()
    for path in walk(name, schema, output):
        if at(output, path) is not None:
            kinds.add(kind(path))
    output = short(output)
    for path in walk(name, schema, output):
        if not path or kind(path) not in kinds or kind(path) in seen[name]:
            continue
        seen[name].add(kind(path))
        *above, key = path
        wrong = copy.deepcopy(output)
        at(wrong, above)[key] = [[[]]]
        assert not validator.is_valid(wrong), f"{file}: {path} may be anything"
        if isinstance(key, str) and key not in OPTIONAL:
            del at(wrong, above)[key]
            assert not validator.is_valid(wrong), f"{file}: {path} may be missing"
    seen[name] |= kinds

for name, schema in schemas.items():
    jsonschema.Draft202012Validator.check_schema(schema)
    missing = set(described(name, schema)) - seen[name]
    assert not missing, f"{name}: in no output: {sorted(missing)}"
print("valid")
