"""REST beyond orders: positions, strategies, alert rules and notifications (R2, R3, R4, N3, R6).

The tests run against a whole system whose prices follow a random walk. They check every response
against the OpenAPI document.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.harness.fork_server import run_cli
from tests.harness.stack import Stack
from tests.integration.edge.openapi_document import OPENAPI_PATH, OpenApiDocument
from tests.integration.edge.valid_input import ABOVE, BODIES, CROSSOVER, QUERIES, STRATEGY


@pytest.fixture(scope="session")
def document(stack: Stack) -> OpenApiDocument:
    return OpenApiDocument(httpx.get(stack.url + OPENAPI_PATH, timeout=60).json())


def client(stack: Stack, document: OpenApiDocument, user: str, *roles: str) -> httpx.Client:
    """Return a signed-in client that checks each response against the document."""

    def judged(answer: httpx.Response) -> None:
        answer.read()
        document.assert_documented(answer)

    return httpx.Client(
        base_url=stack.url,
        timeout=60,
        cookies=stack.sign_in(user, roles),
        event_hooks={"response": [judged]},
    )


@pytest.fixture
def http(
    stack: Stack, document: OpenApiDocument, fresh: Callable[[str], str]
) -> Iterator[httpx.Client]:
    """Return a signed-in client."""
    with client(stack, document, fresh("rest")) as opened:
        yield opened


@pytest.fixture
def stranger(
    stack: Stack, document: OpenApiDocument, fresh: Callable[[str], str]
) -> Iterator[httpx.Client]:
    """Return the signed-in client of another user."""
    with client(stack, document, fresh("other")) as opened:
        yield opened


def refused(answer: httpx.Response, status: int, path: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["statusCode"] == status
    assert body["error"]
    assert body["message"]
    assert body.get("path") == path, body


class TestPositions:
    def test_a_bought_position_is_listed_with_its_value(
        self, stack: Stack, http: httpx.Client
    ) -> None:
        order = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 7}
        assert http.post("/api/orders", json=order).status_code == 201

        def held() -> dict[str, Any]:
            found: dict[str, Any] = http.get("/api/positions").json()
            return found

        stack.wait_for(
            "the position is seven shares",
            lambda: [p["quantity"] for p in held()["positions"]] == [7],
            describe_last=held,
        )
        found = held()
        [position] = found["positions"]
        assert position["symbol"] == "IBM"
        assert found["totalValue"] == pytest.approx(7 * position["currentPrice"])
        gain = 7 * (position["currentPrice"] - position["entryPrice"])
        assert position["unrealizedPnL"] == pytest.approx(gain, abs=1e-4)
        assert position["realizedPnL"] == 0
        assert found["asOf"]

    def test_positions_require_a_session(self, stack: Stack) -> None:
        refused(httpx.get(f"{stack.url}/api/positions", timeout=60), 401)


class TestStrategies:
    def test_a_strategy_is_created_started_updated_and_stopped(self, http: httpx.Client) -> None:
        made = http.post("/api/strategies", json=STRATEGY)
        assert made.status_code == 201, made.text
        id_ = made.json()["strategyId"]
        assert made.json()["status"] == "created"

        assert http.post(f"/api/strategies/{id_}/start").json()["status"] == "started"
        change = {"quantity": 20, "stopLoss": {"kind": "trailing", "percent": 1.5}}
        changed = http.patch(f"/api/strategies/{id_}", json=change).json()
        assert (changed["quantity"], changed["stopLoss"]["percent"]) == (20, 1.5)
        assert http.patch(f"/api/strategies/{id_}", json={"stopLoss": None}).json()[
            "stopLoss"
        ] is None  # fmt: skip
        assert http.post(f"/api/strategies/{id_}/stop").json()["status"] == "stopped"

        assert http.get(f"/api/strategies/{id_}").json()["status"] == "stopped"
        listed = http.get("/api/strategies").json()
        assert [one["strategyId"] for one in listed["strategies"]] == [id_]

    @pytest.mark.parametrize(
        "rule",
        [
            CROSSOVER,
            {"kind": "breakout", "window": 20, "marginPercent": 0.25},
            {"kind": "mean_reversion", "window": 20, "deviations": 2.5},
        ],
        ids=lambda rule: rule["kind"],
    )
    def test_a_strategy_keeps_all_requested_fields(
        self, http: httpx.Client, rule: dict[str, Any]
    ) -> None:
        stop = {"kind": "fixed", "percent": 2.5}
        body = {**STRATEGY, "rule": rule, "stopLoss": stop, "maxTrades": 7, "name": "mine"}
        id_ = http.post("/api/strategies", json=body).json()["strategyId"]
        assert body.items() <= http.get(f"/api/strategies/{id_}").json().items()
        change = {"rule": CROSSOVER, "maxTrades": None, "name": "ours", "quantity": 0.5}
        assert http.patch(f"/api/strategies/{id_}", json=change).is_success
        now = http.get(f"/api/strategies/{id_}").json()
        assert {**body, **change}.items() <= now.items()

    def test_the_same_idempotency_key_creates_one_strategy(
        self, http: httpx.Client, stranger: httpx.Client
    ) -> None:
        key = {"Idempotency-Key": "mine-1"}
        first, again = (http.post("/api/strategies", json=STRATEGY, headers=key) for _ in range(2))
        assert first.json()["strategyId"] == again.json()["strategyId"]
        other = stranger.post("/api/strategies", json=STRATEGY, headers=key)
        assert other.json()["strategyId"] != first.json()["strategyId"]
        assert len(http.get("/api/strategies").json()["strategies"]) == 1
        refused(
            http.post("/api/strategies", json=STRATEGY, headers={"Idempotency-Key": "x" * 129}),
            422,
            "Idempotency-Key",
        )

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"symbol": "NOPE"}, "symbol"),
            ({"symbol": 7}, "symbol"),
            ({"quantity": 0}, "quantity"),
            ({"quantity": "NaN"}, "quantity"),
            ({"quantity": 1e300}, "quantity"),
            ({"rule": {**CROSSOVER, "slow": 2}}, "rule.slow"),
            ({"rule": {**CROSSOVER, "fast": 1.5}}, "rule.fast"),
            ({"rule": {"kind": "astrology"}}, "rule.kind"),
            ({"stopLoss": {"kind": "fixed", "percent": 100}}, "stopLoss.percent"),
            ({"maxTrades": 0}, "maxTrades"),
            ({"color": "red"}, "color"),
            ({"rule": {**CROSSOVER, "speed": 3}}, "rule.speed"),
            ({"stopLoss": {"kind": "fixed", "percent": 1, "price": 9}}, "stopLoss.price"),
        ],
    )
    def test_the_error_names_the_invalid_field(
        self, http: httpx.Client, change: dict[str, Any], path: str
    ) -> None:
        refused(http.post("/api/strategies", json={**STRATEGY, **change}), 422, path)

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"symbol": "SPY"}, "symbol"),
            ({"status": "started"}, "status"),
            ({"quantity": None}, "quantity"),
            ({"quantity": "NaN"}, "quantity"),
            ({"name": ""}, "name"),
            ({"rule": None}, "rule"),
            ({"rule": {"kind": "breakout", "window": 1}}, "rule.window"),
            (
                {"rule": {"kind": "mean_reversion", "window": 5, "deviations": "x"}},
                "rule.deviations",
            ),
            ({"stopLoss": {"kind": "fixed"}}, "stopLoss.percent"),
            ({"stopLoss": {"kind": "loose", "percent": 1}}, "stopLoss.kind"),
            ({"maxTrades": 1.5}, "maxTrades"),
        ],
    )
    def test_an_invalid_update_changes_nothing(
        self, http: httpx.Client, change: dict[str, Any], path: str
    ) -> None:
        made = http.post("/api/strategies", json=STRATEGY).json()
        where = f"/api/strategies/{made['strategyId']}"
        refused(http.patch(where, json={"quantity": 20, **change}), 422, path)
        assert http.get(where).json() == made

    def test_only_a_started_strategy_can_be_stopped(self, http: httpx.Client) -> None:
        id_ = http.post("/api/strategies", json=STRATEGY).json()["strategyId"]
        refused(http.post(f"/api/strategies/{id_}/stop"), 409)

    def test_strategies_of_other_users_are_not_found(
        self, http: httpx.Client, stranger: httpx.Client
    ) -> None:
        id_ = http.post("/api/strategies", json=STRATEGY).json()["strategyId"]
        refused(stranger.get(f"/api/strategies/{id_}"), 404)
        refused(stranger.post(f"/api/strategies/{id_}/start"), 404)
        refused(stranger.post(f"/api/strategies/{id_}/stop"), 404)
        refused(stranger.patch(f"/api/strategies/{id_}", json={"name": "mine"}), 404)
        assert stranger.get("/api/strategies").json()["strategies"] == []
        refused(http.get("/api/strategies/none-such"), 404)


class TestAlerts:
    def test_a_rule_raises_its_alert_once_until_it_is_armed_again(
        self, stack: Stack, http: httpx.Client
    ) -> None:
        made = http.post("/api/alerts/rules", json=ABOVE)
        assert made.status_code == 201, made.text
        rule = made.json()["ruleId"]

        def alerts() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = http.get("/api/alerts").json()["alerts"]
            return found

        stack.wait_for("the alert is raised", lambda: len(alerts()) == 1, describe_last=alerts)
        [listed] = http.get("/api/alerts/rules").json()["rules"]
        assert (listed["ruleId"], listed["armed"]) == (rule, False)

        assert http.post(f"/api/alerts/rules/{rule}/arm").json()["armed"] is True
        stack.wait_for(
            "the alert is raised again", lambda: len(alerts()) == 2, describe_last=alerts
        )

        assert http.delete(f"/api/alerts/rules/{rule}").status_code == 200
        assert http.get("/api/alerts/rules").json()["rules"] == []
        refused(http.delete(f"/api/alerts/rules/{rule}"), 404)

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ({"kind": "price_below", "symbol": "IBM", "price": 999_999}, "below 999999"),
            (
                {"kind": "percent_move", "symbol": "IBM", "percent": 0.001, "windowSeconds": 9},
                "IBM moved ",
            ),
        ],
    )
    def test_price_below_and_percent_move_rules_raise_alerts(
        self, stack: Stack, http: httpx.Client, rule: dict[str, Any], expected: str
    ) -> None:
        made = http.post("/api/alerts/rules", json={**rule, "level": "warning"})
        assert made.status_code == 201, made.text
        assert rule.items() <= made.json().items()

        def alerts() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = http.get("/api/alerts").json()["alerts"]
            return found

        stack.wait_for("the alert is raised", alerts, describe_last=alerts)
        [alert] = alerts()
        assert (alert["ruleId"], alert["level"]) == (made.json()["ruleId"], "warning")
        assert expected in alert["message"]

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"kind": "percent_move", "price": None}, "percent"),
            ({"kind": "percent_move", "price": None, "percent": 1}, "windowSeconds"),
            ({"windowSeconds": 1.5}, "windowSeconds"),
            ({"symbol": None}, "symbol"),
            ({"kind": "full_moon"}, "kind"),
            ({"symbol": "NOPE"}, "symbol"),
            ({"price": 1e12}, "price"),
            ({"price": "Infinity"}, "price"),
            ({"percent": 3}, "percent"),
            ({"level": "loud"}, "level"),
            ({"mood": 1}, "mood"),
        ],
    )
    def test_the_error_names_the_invalid_field(
        self, http: httpx.Client, change: dict[str, Any], path: str
    ) -> None:
        refused(http.post("/api/alerts/rules", json={**ABOVE, **change}), 422, path)

    def test_rules_of_other_users_are_not_found(
        self, http: httpx.Client, stranger: httpx.Client
    ) -> None:
        rule = http.post("/api/alerts/rules", json={**ABOVE, "price": 999_999}).json()["ruleId"]
        refused(stranger.delete(f"/api/alerts/rules/{rule}"), 404)
        refused(stranger.post(f"/api/alerts/rules/{rule}/arm"), 404)
        assert stranger.get("/api/alerts/rules").json()["rules"] == []
        assert len(http.get("/api/alerts/rules").json()["rules"]) == 1


class TestNotifications:
    def test_notifications_are_listed_and_marked_as_read(
        self, stack: Stack, http: httpx.Client
    ) -> None:
        order = {"symbol": "IBM", "side": "buy", "type": "market", "qty": 3}
        assert http.post("/api/orders", json=order).status_code == 201
        assert http.post("/api/alerts/rules", json=ABOVE).status_code == 201

        def list_notifications() -> dict[str, Any]:
            found: dict[str, Any] = http.get("/api/notifications").json()
            return found

        stack.wait_for(
            "two notifications",
            lambda: list_notifications()["unread"] == 2,
            describe_last=list_notifications,
        )
        newest, older = list_notifications()["notifications"]
        assert set(newest) == {
            "id", "type", "title", "message", "payload", "is_read", "created_at",
        }  # fmt: skip
        assert {newest["type"], older["type"]} == {"order_filled", "alert"}
        assert len(http.get("/api/notifications?limit=1").json()["notifications"]) == 1

        marked = http.post("/api/notifications/read", json={"ids": [older["id"], "none-such"]})
        assert marked.json() == {"read": 1, "unread": 1}
        assert [one["is_read"] for one in list_notifications()["notifications"]] == [False, True]
        assert http.post("/api/notifications/read-all").json() == {"read": 1, "unread": 0}
        assert list_notifications()["unread"] == 0

    @pytest.mark.parametrize("limit", ["0", "201", "many", "1.5", "-1", "99999999999999999999"])
    def test_a_limit_out_of_range_is_rejected(self, http: httpx.Client, limit: str) -> None:
        refused(http.get(f"/api/notifications?limit={limit}"), 422, "limit")

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"ids": []}, "ids"),
            ({"ids": ["x"] * 201}, "ids"),
            ({"ids": "all"}, "ids"),
            ({}, "ids"),
            ({"ids": ["x" * 65]}, "ids[0]"),
            ({"ids": ["x"], "mood": 1}, "mood"),
        ],
    )
    def test_the_error_names_the_invalid_field(
        self, http: httpx.Client, body: dict[str, Any], path: str
    ) -> None:
        refused(http.post("/api/notifications/read", json=body), 422, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/strategies"),
        ("POST", "/api/strategies"),
        ("PATCH", "/api/strategies/1"),
        ("GET", "/api/alerts"),
        ("GET", "/api/alerts/rules"),
        ("POST", "/api/alerts/rules"),
        ("GET", "/api/notifications"),
        ("POST", "/api/notifications/read"),
        ("POST", "/api/notifications/read-all"),
    ],
)
def test_calls_require_a_session(stack: Stack, method: str, path: str) -> None:
    refused(httpx.request(method, f"{stack.url}{path}", json={}, timeout=60), 401)


class TestInsights:
    """The metrics of D1, and D3 and D6."""

    def test_a_configuration_is_created_updated_and_deleted(
        self, http: httpx.Client, stranger: httpx.Client
    ) -> None:
        wanted = {"name": "chips", "tickers": ["amd", "NVDA"]}
        made = http.post("/api/v2/configurations", json=wanted)
        assert made.status_code == 201, made.text
        path = f"/api/v2/configurations/{made.json()['id']}"
        assert made.json()["tickers"] == ["AMD", "NVDA"]
        assert http.patch(path, json={"tags": ["Earnings"]}).json()["tags"] == ["earnings"]
        assert http.get(path).json()["name"] == "chips"
        assert len(http.get("/api/v2/configurations").json()["configurations"]) == 1
        changed = http.patch(path, json={"name": "banks", "tickers": ["jpm"]}).json()
        assert (changed["name"], changed["tickers"], changed["tags"]) == (
            "banks", ["JPM"], ["earnings"],
        )  # fmt: skip
        assert http.get(path).json() == changed
        refused(stranger.get(path), 404)
        refused(stranger.patch(path, json={"name": "mine"}), 404)
        refused(stranger.delete(path), 404)
        assert stranger.get("/api/v2/configurations").json()["configurations"] == []
        assert http.get("/api/v2/configurations").json()["configurations"] == [changed]
        assert http.delete(path).status_code == 200
        refused(http.get(path), 404)

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"name": " "}, "name"),
            ({"name": "x" * 81}, "name"),
            ({"name": 7}, "name"),
            ({"tickers": []}, "tickers"),
            ({"tickers": "AMD"}, "tickers"),
            ({"tickers": ["AMD", ""]}, "tickers[1]"),
            ({"tickers": ["A" * 65]}, "tickers[0]"),
            ({"tickers": [f"T{n}" for n in range(51)]}, "tickers"),
            ({"tags": ["x" * 41]}, "tags[0]"),
            ({"tags": [f"t{n}" for n in range(11)]}, "tags"),
            ({"tags": [None]}, "tags[0]"),
            ({"mood": 1}, "mood"),
        ],
    )
    def test_the_error_names_the_invalid_field(
        self, http: httpx.Client, change: dict[str, Any], path: str
    ) -> None:
        wanted = {"name": "chips", "tickers": ["AMD"], "tags": ["x"]}
        refused(http.post("/api/v2/configurations", json={**wanted, **change}), 422, path)
        made = http.post("/api/v2/configurations", json=wanted).json()
        where = f"/api/v2/configurations/{made['id']}"
        refused(http.patch(where, json=change), 422, path)
        assert http.get(where).json() == made

    def test_items_of_a_configuration_are_returned_over_get(
        self, stack: Stack, http: httpx.Client, stranger: httpx.Client, fresh: Callable[[str], str]
    ) -> None:
        mine, other = fresh("T")[:14].upper(), fresh("U")[:14].upper()
        created = http.post("/api/v2/configurations", json={"name": "mine", "tickers": [mine]})
        path = f"/api/v2/items?configuration={created.json()['id']}"
        since = http.get(path).json()["as_of"]
        for ticker in (mine, other):
            command = ["items", "add", "--title", ticker, "--source", "wire"]
            command += ["--ticker", ticker, "--nats", stack.nats_url]
            run_cli(*command, timeout=60).check_returncode()
        for url in (path, f"{path}&since={since}"):
            assert [item["title"] for item in http.get(url).json()["items"]] == [mine]
        refused(stranger.get(path), 404)
        refused(http.get("/api/v2/items?configuration=none"), 404)
        refused(httpx.get(stack.url + path), 401)

    def test_items_and_metrics_are_returned_over_get(
        self, stack: Stack, fresh: Callable[[str], str]
    ) -> None:
        with httpx.Client(base_url=stack.url, timeout=60) as http:
            before = http.get("/api/v2/metrics").json()
            since = http.get("/api/v2/items?limit=1").json()["as_of"]
            title = fresh("Great results, a wonderful quarter ")
            command = ["items", "add", "--title", title, "--source", "wire"]
            command += ["--ticker", "IBM", "--nats", stack.nats_url]
            run_cli(*command, timeout=60).check_returncode()
            found = http.get(f"/api/v2/items?since={since}").json()
            assert title in [item["title"] for item in found["items"]]
            [item] = [item for item in found["items"] if item["title"] == title]
            assert (item["sentiment"], item["tickers"]) == ("positive", ["IBM"])
            after = http.get("/api/v2/metrics").json()
            assert after["total"] > before["total"]
            assert {"positive", "neutral", "negative", "tags", "rates"} <= set(after)
            refused(http.get("/api/v2/items?since=yesterday"), 422, "since")
            refused(http.get("/api/v2/items?limit=0"), 422, "limit")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/orders", {"symbol": "IBM", "side": "buy", "type": "market", "qty": 1}),
        ("/api/alerts/rules", {**ABOVE, "price": 999_999}),
        ("/api/v2/configurations", {"name": "mine", "tickers": ["IBM"]}),
    ],
)
def test_the_same_idempotency_key_creates_one_resource(
    http: httpx.Client, stranger: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    key = {"Idempotency-Key": "mine-1"}

    def made(by: httpx.Client) -> str:
        answer = by.post(path, json=body, headers=key).json()
        [id_] = {answer[name] for name in _ID_OF if answer.get(name)}
        return str(id_)

    assert made(http) == made(http)
    assert made(stranger) != made(http)
    [listed] = http.get(path, headers=key).json().keys() - {"asOf", "as_of", "next"}
    assert len(http.get(path).json()[listed]) == 1
    bad = {"Idempotency-Key": "x" * 129}
    refused(http.post(path, json=body, headers=bad), 422, "Idempotency-Key")
    assert http.get(path, headers=bad).is_success  # a read ignores the key


KEY = {"Idempotency-Key": "mine-2"}
RESTING = {"symbol": "IBM", "side": "buy", "type": "limit", "limitPrice": 0.01, "qty": 1}


def made_path(http: httpx.Client, path: str, body: dict[str, Any]) -> str:
    """Create a resource; return its path."""
    answer = http.post(path, json=body).json()
    [id_] = {answer[name] for name in _ID_OF if answer.get(name)}
    return f"{path}/{id_}"


def order_path(http: httpx.Client) -> str:
    return made_path(http, "/api/orders", RESTING)


def strategy_path(http: httpx.Client) -> str:
    return made_path(http, "/api/strategies", STRATEGY)


def rule_path(http: httpx.Client) -> str:
    return made_path(http, "/api/alerts/rules", {**ABOVE, "price": 999_999})


def configuration_path(http: httpx.Client) -> str:
    return made_path(http, "/api/v2/configurations", {"name": "mine", "tickers": ["IBM"]})


TwoRequests = tuple[tuple[str, str, Any], tuple[str, str, Any]]
"""Two requests of one kind and other content: method, path and body of each."""


def bodies(path: str, first: Any, second: Any) -> Callable[[httpx.Client], TwoRequests]:
    return lambda _: (("POST", path, first), ("POST", path, second))


def paths(
    make: Callable[[httpx.Client], str], method: str, suffix: str = "", body: Any = None
) -> Callable[[httpx.Client], TwoRequests]:
    return lambda http: (
        (method, make(http) + suffix, body),
        (method, make(http) + suffix, body),
    )


def changes(
    make: Callable[[httpx.Client], str], first: Any, second: Any
) -> Callable[[httpx.Client], TwoRequests]:
    def requests(http: httpx.Client) -> TwoRequests:
        path = make(http)
        return ("PATCH", path, first), ("PATCH", path, second)

    return requests


@pytest.mark.parametrize(
    "requests",
    [
        bodies("/api/orders", RESTING, {**RESTING, "qty": 500}),
        bodies(
            "/api/orders",
            {**RESTING, "clientOrderId": "case-a"},
            {**RESTING, "clientOrderId": "case-b"},
        ),
        bodies("/api/orders", {**RESTING, "clientOrderId": "case-c"}, RESTING),
        bodies("/api/strategies", STRATEGY, {**STRATEGY, "quantity": 500}),
        bodies("/api/strategies", STRATEGY, {**STRATEGY, "name": "another"}),
        bodies("/api/alerts/rules", {**ABOVE, "price": 999_999}, {**ABOVE, "price": 999_998}),
        bodies(
            "/api/v2/configurations",
            {"name": "mine", "tickers": ["IBM"]},
            {"name": "mine", "tickers": ["IBM", "SPY"]},
        ),
        paths(order_path, "DELETE"),
        paths(strategy_path, "POST", "/start"),
        paths(rule_path, "DELETE"),
        paths(configuration_path, "DELETE"),
        changes(strategy_path, {"quantity": 5}, {"quantity": 6}),
        changes(configuration_path, {"name": "x"}, {"name": "y"}),
    ],
    ids=[
        "order", "client order id", "no client order id", "strategy", "strategy name", "rule",
        "configuration", "cancel", "start", "delete rule", "delete configuration",
        "change strategy", "change configuration",
    ],
)  # fmt: skip
def test_an_idempotency_key_with_another_content_is_refused(
    http: httpx.Client, requests: Callable[[httpx.Client], TwoRequests]
) -> None:
    """The regression: strategies and rules were answered with the old one, an order with 503, and
    after two minutes it was placed."""
    first, second = requests(http)

    def send(method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        return http.request(method, path, json=body, headers=KEY)

    done = send(*first)
    assert done.is_success, done.text
    for _ in range(2):
        answer = send(*second)
        refused(answer, 422, "Idempotency-Key")
        assert answer.json()["value"] == "mine-2"
        again = send(*first)
        assert again.status_code == done.status_code
        ids = [name for name in _ID_OF if done.json().get(name)]
        assert [again.json()[name] for name in ids] == [done.json()[name] for name in ids]


def test_a_refused_request_leaves_its_idempotency_key_unused(http: httpx.Client) -> None:
    refused(http.post("/api/orders", json={**RESTING, "qty": 0}, headers=KEY), 422, "qty")
    assert http.post("/api/orders", json=RESTING, headers=KEY).status_code == 201


def test_every_documented_call_succeeds_as_documented(
    stack: Stack, document: OpenApiDocument, fresh: Any
) -> None:
    """Make every documented call with valid input; each success status is as documented."""
    document, user = OpenApiDocument(document.document), fresh("all")
    items, session = ("POST", "/api/v2/items"), ("POST", "/api/session")
    bodies = BODIES | {
        items: {**BODIES[items], "id": f"item-of-{user}"},
        session: {"userId": user, "roles": ["admin"]},
    }
    ids: dict[str, str] = {}
    order = sorted(document.operations, key=_call_order)
    with (
        client(stack, document, user, "admin") as http,
        httpx.stream(
            "GET", f"{stack.url}/api/stream?topics=orders", cookies=http.cookies, timeout=60
        ) as opened,
    ):
        lines = opened.iter_lines()
        first = next(line for line in lines if line.startswith("data: "))
        ids["client_id"] = json.loads(first.removeprefix("data: "))["clientId"]
        twice = [("POST", "/api/orders"), items]
        for verb, path in [*twice, *order]:
            body = bodies.get((verb, path))
            assert body is None or document.accepts_body((verb, path), body)
            query = QUERIES.get((verb, path))
            answer = http.request(verb, path.format_map(ids), json=body, params=query)
            assert answer.is_success, (verb, path, answer.text)
            if verb == "POST" and body is not None:
                names = _ID_OF | ({"id": "item_id"} if path == "/api/v2/items" else {})
                ids |= {
                    names[name]: quote(str(value), safe="")
                    for name, value in answer.json().items()
                    if name in names
                }
    documented = {
        (verb, path, int(status))
        for (verb, path), operation in document.operations.items()
        for status in operation["responses"]
        if status < "300"
    }
    assert document.covered_responses == documented


def _call_order(operation: tuple[str, str]) -> tuple[int, bool, int]:
    """Resources are created first and deleted last; the session ends after all other calls."""
    verb, path = operation
    return ["POST", "GET", "PATCH", "DELETE"].index(verb), path == "/api/session", path.count("{")


_ID_OF = {
    "strategyId": "strategy_id", "ruleId": "rule_id", "orderId": "order_id",
    "id": "configuration_id",
}  # fmt: skip
"""Names of resource ids in responses, and their names in paths."""
