"""What stands before the edge: docs/nginx.conf, and the ingress that says the same in kubernetes.

That nginx does what its file says is tested with a real one (tests/balancer); here, that both know
every stream there is, and agree.
"""

import re

import pytest

from services.edge.feeds import FEEDS
from tests.deploy.manifests import BASE, ROOT, documents, settings

NGINX = (ROOT / "docs" / "nginx.conf").read_text()
STREAMS = [re.sub(r"\{[a-z_]+\}", "one", feed.path) for feed in FEEDS]
REQUESTS = [
    "/",
    "/api/orders",
    "/api/session",
    "/api/notifications",
    "/api/v2/items",
    "/api/sse/status",
]
PREFIX = "nginx.ingress.kubernetes.io/"


def location():
    """The pattern of the streams' location."""
    [found] = re.findall(r"location ~ (\S+) \{", NGINX)
    return re.compile(found)


def directives(name: str):
    """All values of a directive, in order: first those of the requests' location."""
    return re.findall(rf"^ +{name} ([^;]+);", NGINX, re.MULTILINE)


def ingress(name: str):
    [found] = [d for d in documents(BASE / "ingress.example.yaml") if d["metadata"]["name"] == name]
    return found


def annotations(name: str):
    return {
        key.removeprefix(PREFIX): value
        for key, value in ingress(name)["metadata"]["annotations"].items()
    }


def leads(name: str, path: str):
    """Whether a rule of the ingress takes `path`, as kubernetes matches it."""
    [rule] = ingress(name)["spec"]["rules"]
    for one in rule["http"]["paths"]:
        under = path.startswith(one["path"].rstrip("/") + "/") and one["pathType"] == "Prefix"
        if path == one["path"] or under:
            return True
    return False


@pytest.mark.parametrize("path", STREAMS)
def test_every_stream_is_taken_for_one(path: str) -> None:
    assert location().search(path)
    assert leads("edge-streams", path)


@pytest.mark.parametrize("path", REQUESTS)
def test_what_is_no_stream_is_not(path: str) -> None:
    assert not location().search(path)
    assert not leads("edge-streams", path)
    assert leads("edge", path)


def test_both_say_the_same() -> None:
    requests, streams = annotations("edge"), annotations("edge-streams")
    next_ones = [requests["proxy-next-upstream"], streams["proxy-next-upstream"]]
    assert directives("proxy_next_upstream") == next_ones
    for both in (requests, streams):
        assert directives("proxy_connect_timeout") == [f"{both['proxy-connect-timeout']}s"]
        assert directives("proxy_http_version") == [both["proxy-http-version"]]
    assert directives("proxy_read_timeout") == [f"{streams['proxy-read-timeout']}s"]
    kept = re.search(
        r'upstream-keepalive-timeout: "(\d+)"', (BASE / "ingress.example.yaml").read_text()
    )
    assert kept is not None
    assert directives("keepalive_timeout") == [f"{kept[1]}s"]


def test_an_idle_stream_is_not_cut() -> None:
    silent = float(settings()["SSE_KEEPALIVE_INTERVAL"])
    assert float(annotations("edge-streams")["proxy-read-timeout"]) > 2 * silent
