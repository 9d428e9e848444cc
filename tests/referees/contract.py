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
