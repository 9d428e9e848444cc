"""A vendor's own API description: its operations, and the examples that it gives for their answers."""

import dataclasses
import json
import re

METHODS = ("get", "post", "put", "patch", "delete")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of the description."""

    method: str
    path: str
    name: str

    def __str__(self):
        return f"{self.method} {self.path}"


class Contract:
    """An OpenAPI file."""

    def __init__(self, path):
        self.path = path
        self._document = json.loads(path.read_text())
        self._operations = []
        for template, item in self._document["paths"].items():
            pattern = re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template)))
            for method in METHODS:
                if method in item:
                    name = item[method].get("operationId", "")
                    self._operations.append((pattern, Operation(method.upper(), template, name)))
        # `/droplets/actions` goes before `/droplets/{id}`.
        self._operations.sort(key=lambda pair: pair[1].path.count("{"))

    def operation(self, method, path):
        """Which operation a request is for, if any."""
        for pattern, operation in self._operations:
            if operation.method == method and pattern.fullmatch(path):
                return operation
        return None

    def _follow(self, node):
        while isinstance(node, dict) and "$ref" in node:
            found = self._document
            for key in node["$ref"].removeprefix("#/").split("/"):
                found = found[key.replace("~1", "/").replace("~0", "~")]
            node = found
        return node

    def undeclared(self, operation, query, body):
        """The parameters and the fields, at any depth, that the description has no word for. Prism lets them pass, and
        so do most vendors: a misspelt filter lists everything, and a misspelt field orders something else."""
        item = self._document["paths"][operation.path]
        described = item[operation.method.lower()]
        parameters = [self._follow(one) for one in (*item.get("parameters", ()), *described.get("parameters", ()))]
        known = {one["name"] for one in parameters if one["in"] == "query"}
        found = [name for name in query if name not in known]
        bodies = [one["schema"] for one in parameters if one["in"] == "body"]
        content = self._follow(described.get("requestBody", {})).get("content", {})
        bodies += [self._follow(media).get("schema", {}) for media in content.values()]
        return found + self._unknown(body, bodies, "")

    def _unknown(self, value, schemas, path):
        """The fields of a value, at any depth, that none of these schemas has."""
        if isinstance(value, list):
            items = [part["items"] for part in self._parts(schemas) if "items" in part]
            return [field for one in value for field in self._unknown(one, items, path)]
        if not isinstance(value, dict):
            return []
        parts, known = self._parts(schemas), {}
        for part in parts:
            for name, schema in part.get("properties", {}).items():
                # Scaleway's description writes a map as one property, called `<volumeKey>` and the like.
                known.setdefault("*" if name.startswith("<") else name, []).append(schema)
        anything = [part["additionalProperties"] for part in parts if part.get("additionalProperties")]
        if anything and "*" not in known:
            known["*"] = [schema for schema in anything if schema is not True]
        if "*" in known:
            known = {key: known.get(key, known["*"]) for key in value}
        if not known and path:
            # An object within the body of which the description says no more than that.
            return []
        missing = [path + key for key in value if key not in known]
        return missing + [
            field for key, one in value.items() for field in self._unknown(one, known.get(key, []), f"{path}{key}.")
        ]

    def _parts(self, schemas):
        """Schemas with all that they are put together of, or may be one of."""
        parts = []
        for schema in map(self._follow, schemas):
            parts.append(schema)
            for word in ("allOf", "anyOf", "oneOf"):
                parts += self._parts(schema.get(word, []))
        return parts

    def examples(self, operation):
        """What can be asked for by Prism's `Prefer` header: `(status, example name or None)`, each answer once."""
        responses = self._document["paths"][operation.path][operation.method.lower()]["responses"]
        for status, response in responses.items():
            if not status.isdigit():
                continue
            content = self._follow(response).get("content", {})
            named = [name for media in content.values() for name in self._follow(media).get("examples", {})]
            for name in named or [None]:
                yield int(status), name
