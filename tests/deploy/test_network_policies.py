"""Which pods may connect to which: the policies of the base, evaluated as kubernetes does.

A connection needs a policy of the source that allows it (egress) and one of the target (ingress).
A pod that no policy of a direction selects may do everything in that direction.
"""

from typing import Any

import pytest

from tests.deploy.manifests import BASE_FOLDER, POD_KINDS, kubernetes_objects, yaml_documents

POLICIES = yaml_documents(BASE_FOLDER / "network.yaml")
PART_OF = {"app.kubernetes.io/part-of": "tapewire"}
PODS = {
    document["metadata"]["name"]: PART_OF | document["spec"]["template"]["metadata"]["labels"]
    for _, document in kubernetes_objects(BASE_FOLDER)
    if document["kind"] in POD_KINDS
}
NAMESPACES = {"kube-dns": "kube-system", "collector": "observability"}
LABELS = {
    **PODS,
    "kube-dns": {"k8s-app": "kube-dns"},
    "collector": {"app.kubernetes.io/name": "opentelemetry-collector"},
    "ingress controller": {"app.kubernetes.io/name": "ingress-nginx"},
    "another pod": {"app.kubernetes.io/name": "another"},
}
SERVICES = ("prices", "orders", "positions", "alerts", "insights", "strategies", "edge")

ALLOWED = [
    *((name, "nats", 4222) for name in (*SERVICES, "provision")),
    *((name, "kube-dns", 53) for name in PODS),
    *((name, "collector", 4318) for name in SERVICES),
    ("nats", "nats", 6222),
    ("ingress controller", "edge", 8000),
]
REFUSED = [
    # Beyond the cluster.
    *((name, "the internet", port) for name in PODS for port in (53, 80, 443, 4222, 4318, 6222)),
    # To other pods on the ports that are open to some.
    *((name, "another pod", port) for name in PODS for port in (53, 443, 4222, 4318, 8000)),
    # Services do not talk to each other but over NATS.
    *(("orders", name, port) for name in SERVICES for port in (4222, 8000, 8080) if name != "edge"),
    ("orders", "edge", 8000),
    # The message server's other ports, and its clients.
    *((name, "nats", port) for name in SERVICES for port in (6222, 8222)),
    ("another pod", "nats", 4222),
    ("another pod", "nats", 6222),
    ("ingress controller", "nats", 4222),
    ("ingress controller", "orders", 8080),
    ("nats", "nats", 4222),
    ("nats", "edge", 8000),
    ("nats", "collector", 4318),
    ("provision", "collector", 443),
    ("orders", "kube-dns", 443),
]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    return wanted.items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] and each["operator"] == "In"
        for each in selector.get("matchExpressions", [])
    )


def is_peer(peer: dict[str, Any], name: str) -> bool:
    """Whether a peer of a rule is the pod `name`."""
    if name not in LABELS:
        return False  # an address beyond the cluster: no rule of the base has one
    if "ipBlock" in peer:
        return False
    namespace = NAMESPACES.get(name, "tapewire")
    if "namespaceSelector" in peer:
        labels = {"kubernetes.io/metadata.name": namespace}
        if not selects(peer["namespaceSelector"], labels):
            return False
    elif name not in PODS:
        return False  # without a namespace selector, a rule means the policy's own namespace
    return selects(peer.get("podSelector", {}), LABELS[name])


def permits(direction: str, pod: str, other: str, port: int) -> bool:
    """Whether the policies of `pod` allow the connection in `direction`."""
    if pod not in PODS:
        return True
    applying = [
        policy["spec"]
        for policy in POLICIES
        if direction in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], PODS[pod])
    ]
    key, side = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return not applying or any(
        any(each["port"] == port for each in rule["ports"])
        and (side not in rule or any(is_peer(peer, other) for peer in rule[side]))
        for policy in applying
        for rule in policy.get(key, [])
    )


def is_allowed(source: str, target: str, port: int) -> bool:
    return permits("Egress", source, target, port) and permits("Ingress", target, source, port)


@pytest.mark.parametrize(("source", "target", "port"), ALLOWED)
def test_what_the_platform_needs_is_allowed(source: str, target: str, port: int) -> None:
    assert is_allowed(source, target, port)


@pytest.mark.parametrize(("source", "target", "port"), REFUSED)
def test_everything_else_is_refused(source: str, target: str, port: int) -> None:
    assert not is_allowed(source, target, port)


def test_every_pod_is_closed_in_both_directions() -> None:
    """A new pod may do nothing until a policy says so."""
    (closed,) = [each for each in POLICIES if each["metadata"]["name"] == "tapewire-closed"]
    assert set(closed["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert all(selects(closed["spec"]["podSelector"], labels) for labels in PODS.values())


def test_no_rule_is_open_to_every_address() -> None:
    for policy in POLICIES:
        for rule in policy["spec"].get("egress", []):
            assert rule.get("to"), policy["metadata"]["name"]
