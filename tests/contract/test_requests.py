"""Requests between services: typed replies and rejections, concurrency, and draining."""

import asyncio
import time
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tapewire.events import CODEC
from tapewire.log import CommandRejected, Unavailable, new_id
from tapewire.runtime.requests import (
    Endpoint,
    ErrorReply,
    Outcome,
    RequestClient,
    RequestContext,
    RequestServer,
    RequestTimeout,
    serve_requests,
)
from tests.contract.backends import JetStreamBackend
from tests.harness.waiting import wait_until


class BuyRequest(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    symbol: str
    limit_price: Decimal


class BuyReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    symbol: str
    limit_price: Decimal
    by: str = ""


class UnrelatedRequest(msgspec.Struct, frozen=True):
    symbol: int


IBM = BuyRequest(symbol="IBM", limit_price=Decimal("231.10"))


class ShopService:
    """A service with the endpoint `buy`. The symbol selects the behavior of the handler."""

    def __init__(self, name: str = "shop") -> None:
        self.name = name
        self.contexts: list[RequestContext] = []
        self.started = 0
        self.open = asyncio.Event()

    async def buy(self, request: BuyRequest, context: RequestContext) -> BuyReply:
        self.contexts.append(context)
        self.started += 1
        if request.symbol == "REFUSED":
            raise CommandRejected("conflict", "bought already:\nlook", "symbol")
        if request.symbol == "BROKEN":
            raise RuntimeError("a secret of the shop")
        if request.symbol == "AWAY":
            raise Unavailable("the log is away")
        if request.symbol == "SLOW":
            await self.open.wait()
        return BuyReply(symbol=request.symbol, limit_price=request.limit_price, by=self.name)

    async def serve(self, jetstream: JetStreamBackend) -> RequestServer:
        connection = await jetstream.connect("shop")
        return await serve_requests(connection, "shop", {"buy": Endpoint(BuyRequest, self.buy)})


@pytest.fixture
async def requests(jetstream: JetStreamBackend) -> RequestClient:
    return RequestClient(await jetstream.connect("client"))


async def buy(requests: RequestClient, symbol: str = "IBM", **options: Any) -> BuyReply:
    request = BuyRequest(symbol=symbol, limit_price=Decimal("231.10"))
    return await requests.request("shop", "buy", request, BuyReply, correlation="c-1", **options)


async def test_a_reply_is_typed_and_has_exact_decimals(
    jetstream: JetStreamBackend, requests: RequestClient
) -> None:
    shop = ShopService()
    await shop.serve(jetstream)
    bought = await buy(requests)
    assert bought == BuyReply(symbol="IBM", limit_price=Decimal("231.10"), by="shop")
    assert str(bought.limit_price) == "231.10"


async def test_the_handler_receives_the_correlation_id_and_the_command_id(
    jetstream: JetStreamBackend, requests: RequestClient
) -> None:
    shop = ShopService()
    await shop.serve(jetstream)
    command = new_id()
    await buy(requests, command_id=command)
    await buy(requests)
    assert [context.correlation for context in shop.contexts] == ["c-1", "c-1"]
    assert shop.contexts[0].command_id == command
    assert shop.contexts[1].command_id not in ("", command)


async def test_a_rejection_is_raised_unchanged_in_the_client(
    jetstream: JetStreamBackend, requests: RequestClient
) -> None:
    await ShopService().serve(jetstream)
    with pytest.raises(CommandRejected) as caught:
        await buy(requests, "REFUSED")
    refusal = caught.value
    assert (refusal.code, refusal.message, refusal.path) == (
        "conflict",
        "bought already:\nlook",
        "symbol",
    )


async def test_an_invalid_request_is_rejected_with_the_path(
    jetstream: JetStreamBackend, requests: RequestClient
) -> None:
    shop = ShopService()
    await shop.serve(jetstream)
    with pytest.raises(CommandRejected) as caught:
        await requests.request("shop", "buy", UnrelatedRequest(7), BuyReply, correlation="c")
    assert (caught.value.code, caught.value.path) == ("invalid", "symbol")
    assert caught.value.message == "symbol does not fit: Expected `str`, got `int`, not 7"
    assert shop.started == 0


@pytest.mark.parametrize(
    ("data", "path", "saying"),
    [
        (b"", None, "not JSON"),
        (b"\xff\xfe", None, "not JSON"),
        (b"[]", None, "Expected `object`, got `array`"),
        (b'{"symbol":"IBM"}', "limitPrice", "missing required field"),
        (b'{"symbol":"IBM","limitPrice":1,"limitprice":5}', "limitprice", "unknown field"),
        (b'{"symbol":"IBM","limitPrice":[1]}', "limitPrice", "not [1]"),
        (b'{"symbol":"IBM","limitPrice":"NaNa"}', "limitPrice", "not 'NaNa'"),
        (b'{"symbol":' + b"9" * 9000 + b',"limitPrice":1}', "symbol", "9999…"),
        (b'{"symbol":"IBM","limitPrice":' + b"[" * 9000, "limitPrice", "got `array`"),
        (b'{"symbol":"\\ud800","limitPrice":1}', None, "not JSON"),
    ],
)
async def test_malformed_requests_are_rejected_with_the_path(
    jetstream: JetStreamBackend, data: bytes, path: str | None, saying: str
) -> None:
    shop = ShopService()
    await shop.serve(jetstream)
    connection = await jetstream.connect("vandal")
    error = CODEC.decode((await connection.request("svc.shop.buy", data)).data, ErrorReply)
    assert (error.code, error.path) == ("invalid", path)
    assert saying in error.message
    assert len(error.message) < 250
    assert shop.started == 0


@pytest.mark.parametrize("command", ["x" * 129, "a b", "caf\u00e9"])
async def test_an_invalid_command_id_is_rejected(
    jetstream: JetStreamBackend, requests: RequestClient, command: str
) -> None:
    await ShopService().serve(jetstream)
    with pytest.raises(
        CommandRejected, match="must be 1 to 128 printable ASCII characters"
    ) as caught:
        await buy(requests, command_id=command)
    assert (caught.value.code, caught.value.path) == ("invalid", "Tw-Command")


async def test_an_unexpected_error_does_not_reveal_its_text(
    jetstream: JetStreamBackend, requests: RequestClient
) -> None:
    await ShopService().serve(jetstream)
    with pytest.raises(RequestTimeout) as caught:
        await buy(requests, "BROKEN")
    assert "secret" not in str(caught.value)
    assert (await buy(requests)).symbol == "IBM"


@pytest.mark.parametrize("opened", [True, False])
async def test_a_missing_or_unavailable_service_raises_a_timeout(
    jetstream: JetStreamBackend, requests: RequestClient, opened: bool
) -> None:
    if opened:
        await ShopService().serve(jetstream)
    with pytest.raises(RequestTimeout):
        await buy(requests, "AWAY")


async def test_a_slow_service_raises_a_timeout(
    jetstream: JetStreamBackend, requests: RequestClient
) -> None:
    await ShopService().serve(jetstream)
    with pytest.raises(RequestTimeout):
        await requests.request(
            "shop",
            "buy",
            BuyRequest(symbol="SLOW", limit_price=Decimal(1)),
            BuyReply,
            correlation="c",
            timeout_seconds=0.2,
        )


async def test_requests_are_handled_concurrently(
    jetstream: JetStreamBackend, requests: RequestClient
) -> None:
    shop = ShopService()
    await shop.serve(jetstream)
    slow = [asyncio.create_task(buy(requests, "SLOW")) for _ in range(20)]
    await wait_until(
        "the slow requests are in progress",
        lambda: shop.started == 20,
        describe_last=lambda: shop.started,
    )

    assert (await buy(requests)).symbol == "IBM"

    shop.open.set()
    assert [bought.symbol for bought in await asyncio.gather(*slow)] == ["SLOW"] * 20


async def test_processes_of_a_service_share_its_requests(
    jetstream: JetStreamBackend, requests: RequestClient
) -> None:
    for name in ("one", "two"):
        await ShopService(name).serve(jetstream)
    answers = [await buy(requests) for _ in range(60)]
    assert {bought.by for bought in answers} == {"one", "two"}


async def test_close_completes_pending_requests_and_accepts_no_new_ones(
    jetstream: JetStreamBackend, requests: RequestClient
) -> None:
    shop = ShopService()
    answering = await shop.serve(jetstream)
    slow = asyncio.create_task(buy(requests, "SLOW"))
    await wait_until("the request is in progress", lambda: shop.started == 1)

    closing = asyncio.create_task(answering.close())
    await wait_until_unanswered(requests)
    shop.open.set()

    assert (await slow).symbol == "SLOW"
    await closing


async def wait_until_unanswered(requests: RequestClient) -> None:
    for _ in range(1000):
        try:
            await buy(requests)
        except RequestTimeout:
            return
    raise AssertionError("a closing service still takes requests")


async def test_operators_discover_the_service(
    jetstream: JetStreamBackend,
) -> None:
    await ShopService().serve(jetstream)
    connection = await jetstream.connect()
    info = msgspec.json.decode((await connection.request("$SRV.INFO.shop")).data)
    assert [endpoint["subject"] for endpoint in info["endpoints"]] == ["svc.shop.buy"]


SLOW_BODY = CODEC.encode(BuyRequest(symbol="SLOW", limit_price=Decimal(1)))
IBM_BODY = CODEC.encode(IBM)


def milliseconds(seconds_ahead: float) -> str:
    return str(int((time.time() + seconds_ahead) * 1000))


async def test_a_request_after_its_deadline_is_not_handled(jetstream: JetStreamBackend) -> None:
    shop = ShopService()
    await shop.serve(jetstream)
    connection = await jetstream.connect("late")
    headers = {"Tw-Deadline": milliseconds(-1)}
    reply = await connection.request("svc.shop.buy", IBM_BODY, headers)
    error = CODEC.decode(reply.data, ErrorReply)
    assert (error.code, error.outcome, shop.started) == ("expired", Outcome.NOT_DONE, 0)
    assert abs(int((reply.headers or {})["Tw-Time"]) / 1000 - time.time()) < 60
    headers = {"Tw-Deadline": milliseconds(60)}
    reply = await connection.request("svc.shop.buy", IBM_BODY, headers)
    assert CODEC.decode(reply.data, BuyReply).symbol == "IBM"


@pytest.mark.parametrize("deadline", ["", "soon", "-1", "1.5", "9" * 17, "\u0661"])
async def test_a_malformed_deadline_is_rejected(jetstream: JetStreamBackend, deadline: str) -> None:
    shop = ShopService()
    await shop.serve(jetstream)
    connection = await jetstream.connect("vandal")
    reply = await connection.request("svc.shop.buy", IBM_BODY, {"Tw-Deadline": deadline})
    error = CODEC.decode(reply.data, ErrorReply)
    assert (error.code, error.path, shop.started) == ("invalid", "Tw-Deadline", 0)


async def test_a_request_that_is_sent_again_while_it_is_handled_is_handled_once(
    jetstream: JetStreamBackend,
) -> None:
    shop = ShopService()
    server = await shop.serve(jetstream)
    connection = await jetstream.connect("hedging")
    subjects = ["svc.shop.buy", "svc.shop.buy", f"svc.shop.buy.{server.instance}"]
    sent = [
        asyncio.create_task(connection.request(subject, SLOW_BODY, {"Tw-Command": "c-1"}))
        for subject in subjects
    ]
    other = connection.request("svc.shop.buy", SLOW_BODY, {"Tw-Command": "c-2"})
    sent.append(asyncio.create_task(other))
    await wait_until("both commands are in progress", lambda: shop.started == 2)
    assert (await connection.request("svc.shop.buy.live")).headers is not None
    shop.open.set()
    replies = await asyncio.gather(*sent)
    assert {CODEC.decode(reply.data, BuyReply).symbol for reply in replies} == {"SLOW"}
    assert shop.started == 2


async def test_only_requests_that_ask_for_it_are_acknowledged(jetstream: JetStreamBackend) -> None:
    server = await ShopService().serve(jetstream)
    connection = await jetstream.connect("caller")
    first = await connection.request("svc.shop.buy", IBM_BODY, {"Tw-Ack": "1"})
    assert (first.headers or {}).get("Tw-Ack") == server.instance
    assert first.data == b""
    only = await connection.request("svc.shop.buy", IBM_BODY)
    assert CODEC.decode(only.data, BuyReply).symbol == "IBM"
