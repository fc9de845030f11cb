"""The proxy in front of the edge: docs/nginx.conf, and the equivalent Kubernetes ingress.

These tests check that both configurations know every stream and agree with each other.
tests/balancer runs a real nginx with its configuration.
"""

import re
from typing import Any

import pytest

from tapewire.runtime import Settings
from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES
from tapewire_services.edge.http.pages import TERMINAL_PATHS
from tests.deploy.manifests import BASE_FOLDER, ROOT, base_settings, yaml_documents

NGINX_CONFIG = (ROOT / "docs" / "nginx.conf").read_text()
STREAM_PATHS = [re.sub(r"\{[a-z_]+\}", "one", route.path) for route in STREAM_ROUTES]
REQUEST_PATHS = [
    *TERMINAL_PATHS,
    "/worker.js",
    "/icon.svg",
    "/assets/page-1a2b.js",
    "/api/orders",
    "/api/session",
    "/api/notifications",
    "/api/v2/items",
    "/api/sse/status",
    "/static/docs.css",
    "/client/tapewire.js",
]
OPERATOR_PATHS = ["/metrics", "/metrics/", "/docs", "/docs/openapi.json", "/health", "/health/sse"]
ANNOTATION_PREFIX = "nginx.ingress.kubernetes.io/"


def stream_location_pattern() -> Any:
    """Return the pattern of the location of the streams."""
    [found] = re.findall(r"location ~ (\S+) \{\s+proxy_pass", NGINX_CONFIG)
    return re.compile(found)


def directive_values(name: str) -> list[Any]:
    """Return all values of a directive in order; those of the requests' location come first."""
    return re.findall(rf"^ +{name} ([^;]+);", NGINX_CONFIG, re.MULTILINE)


def load_ingress(name: str) -> Any:
    [found] = [
        d
        for d in yaml_documents(BASE_FOLDER / "ingress.example.yaml")
        if d["metadata"]["name"] == name
    ]
    return found


def ingress_annotations(name: str) -> dict[Any, Any]:
    return {
        key.removeprefix(ANNOTATION_PREFIX): value
        for key, value in load_ingress(name)["metadata"]["annotations"].items()
    }


def is_routed(name: str, path: str) -> bool:
    """Whether a rule of the ingress matches `path`, by the rules of Kubernetes."""
    [rule] = load_ingress(name)["spec"]["rules"]
    for one in rule["http"]["paths"]:
        under = path.startswith(one["path"].rstrip("/") + "/") and one["pathType"] == "Prefix"
        if path == one["path"] or under:
            return True
    return False


@pytest.mark.parametrize("path", STREAM_PATHS)
def test_stream_paths_are_routed_as_streams(path: str) -> None:
    assert stream_location_pattern().search(path)
    assert is_routed("edge-streams", path)


@pytest.mark.parametrize("path", REQUEST_PATHS)
def test_request_paths_are_not_routed_as_streams(path: str) -> None:
    assert not stream_location_pattern().search(path)
    assert not is_routed("edge-streams", path)
    assert is_routed("edge", path)


@pytest.mark.parametrize("path", OPERATOR_PATHS)
def test_paths_of_operators_are_not_published(path: str) -> None:
    [pattern] = re.findall(r"location ~ (\S+) \{\s+return 404;", NGINX_CONFIG)
    assert re.search(pattern, path)
    assert not stream_location_pattern().search(path)
    assert not is_routed("edge", path)
    assert not is_routed("edge-streams", path)


@pytest.mark.parametrize("path", [*STREAM_PATHS, *REQUEST_PATHS])
def test_paths_of_browsers_are_published(path: str) -> None:
    [pattern] = re.findall(r"location ~ (\S+) \{\s+return 404;", NGINX_CONFIG)
    assert not re.search(pattern, path)


def test_no_proxy_is_trusted_unless_an_operator_lists_it() -> None:
    assert base_settings()["TAPEWIRE_TRUSTED_PROXIES"] == ""
    assert Settings().trusted_proxies == ()
    [compose] = yaml_documents(ROOT / "compose.yaml")
    assert compose["services"]["edge"]["environment"]["TAPEWIRE_TRUSTED_PROXIES"] == ""


def test_nginx_replaces_the_headers_that_the_edge_believes_from_it() -> None:
    replaced = dict(re.findall(r"proxy_set_header (\S+) ([^;]+);", NGINX_CONFIG))
    assert replaced["X-Forwarded-Host"] == "$http_host"
    assert replaced["X-Forwarded-Proto"] == "$scheme"
    assert replaced["Host"] == "$http_host"


def test_nginx_and_the_ingress_have_the_same_settings() -> None:
    requests, streams = ingress_annotations("edge"), ingress_annotations("edge-streams")
    next_ones = [requests["proxy-next-upstream"], streams["proxy-next-upstream"]]
    assert directive_values("proxy_next_upstream") == next_ones
    for both in (requests, streams):
        assert directive_values("proxy_connect_timeout") == [f"{both['proxy-connect-timeout']}s"]
        assert directive_values("proxy_http_version") == [both["proxy-http-version"]]
    assert directive_values("proxy_read_timeout") == [f"{streams['proxy-read-timeout']}s"]
    keepalive_seconds = re.search(
        r'upstream-keepalive-timeout: "(\d+)"', (BASE_FOLDER / "ingress.example.yaml").read_text()
    )
    assert keepalive_seconds is not None
    assert directive_values("keepalive_timeout") == [f"{keepalive_seconds[1]}s"]


def test_the_read_timeout_exceeds_the_keepalive_interval() -> None:
    silent = float(base_settings()["SSE_KEEPALIVE_INTERVAL"])
    assert float(ingress_annotations("edge-streams")["proxy-read-timeout"]) > 2 * silent
