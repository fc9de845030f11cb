"""The OpenAPI document, as a judge of answers."""

import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

WHERE = "/docs/openapi.json"
_HERE = "urn:document"


class Document:
    """Which answers to which calls there are. `answered` are calls and statuses of answers that it
    was asked about."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = _strict(told)
        self.answered: set[tuple[str, str, int]] = set()
        self.calls = {
            (verb.upper(), path): operation
            for path, operations in self.told["paths"].items()
            for verb, operation in operations.items()
        }
        resource = DRAFT202012.create_resource(self.told)
        self._registry: Registry[Any] = Registry().with_resource(_HERE, resource)
        self._paths = {
            (verb, path): re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path))
            for verb, path in self.calls
        }

    def fits(self, answer: httpx.Response) -> None:
        """Fail when it says nothing of such an answer, or something else. 405 says that there is no
        such call."""
        verb, path = answer.request.method, answer.request.url.path
        found = [call for call, form in self._paths.items()
                 if call[0] == verb and form.fullmatch(path)]  # fmt: skip
        if answer.status_code == 405 or not found:
            return
        call = next((one for one in found if one[1] == path), found[0])
        said = self._resolved(self.calls[call]["responses"]).get(str(answer.status_code))
        assert said is not None, (call, answer.status_code, "is not in the document")
        self.answered.add((*call, answer.status_code))
        said = self._resolved(said)
        assert bool(said.get("content")) == bool(answer.content), (call, answer.status_code)
        for header in said.get("headers", {}):
            assert header in answer.headers, (call, answer.status_code, header)
        if not answer.content:
            return
        [(kind, content)] = said["content"].items()
        assert answer.headers["content-type"].partition(";")[0] == kind
        self._judge(content["schema"], answer.json(), (*call, answer.status_code))

    def takes(self, call: tuple[str, str], body: Any) -> bool:
        """Whether the call takes such a body, as far as the document says."""
        schema = self.calls[call]["requestBody"]["content"]["application/json"]["schema"]
        return not list(Draft202012Validator(schema).iter_errors(body))

    def _judge(self, schema: Any, value: Any, of: object) -> None:
        rooted = json.loads(json.dumps(schema).replace('"#/', f'"{_HERE}#/'))
        errors = [
            f"{error.json_path}: {error.message[:300]}"
            for error in Draft202012Validator(rooted, registry=self._registry).iter_errors(value)
        ]
        assert not errors, (of, errors)

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            target: Any = self.told
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node


def _strict(node: Any) -> Any:
    """With objects closed that name their properties: an answer has no others."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    told = {name: _strict(value) for name, value in node.items()}
    if isinstance(told.get("properties"), dict) and told.get("type") == "object":
        told.setdefault("additionalProperties", False)
    return told
