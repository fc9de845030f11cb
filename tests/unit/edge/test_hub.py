"""The hub: delivery of events, slow connections, keepalives, and how connections are closed."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tapewire.events import CATALOGUE, CODEC, AgentState, AgentStatusChanged, Event
from tapewire.log import EVERYBODY, EventMetadata, RecordedEvent
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.connection_info import ConnectionInfo, StreamContent
from tapewire_services.edge.delivery.frames import render_frame
from tapewire_services.edge.delivery.hub import CLOSE_TIMEOUT_SECONDS, Hub
from tapewire_services.edge.delivery.outbox import FlushClock, Outbox
from tapewire_services.edge.delivery.stream_routes import STREAM_ROUTES, StreamRoute
from tests.harness.publishers import hidden_event, order_placed

KEEPALIVE_SECONDS = 30.0
WRITE_SECONDS = 10.0
WALL = datetime(2026, 3, 2, tzinfo=UTC)
_BY_NAME = {route.name: route for route in STREAM_ROUTES}
ORDERS, PRICES, TRADING = (_BY_NAME[name] for name in ("orders", "prices", "trading"))


class HubConnection:
    """A connection with its outbox and the number of its aborts."""

    def __init__(
        self,
        hub: Hub,
        owner: str | None,
        route: StreamRoute,
        frames: int,
        expires_at: datetime | None,
    ) -> None:
        self.aborted = 0
        info = ConnectionInfo(
            client_id="c",
            route=route,
            content=StreamContent(topics=route.topics, values=ValueSubscription(None, 10.0)),
            owner=owner,
            correlation="x",
            expires_at=expires_at,
        )
        box = Outbox(FlushClock(0.02), frames, 1 << 20)
        self.connection = Connection(info, box, 0.0, self.abort)
        self.connection.go_live()
        self.hub = hub
        hub.add(self.connection)

    def abort(self) -> None:
        self.aborted += 1

    async def read_pending(self) -> bytes:
        """Return the pending bytes of the outbox."""
        box = self.connection.outbox
        box.interrupt()
        return await box.next_chunk()


OpenHubConnection = Callable[..., HubConnection]


@pytest.fixture
async def hub() -> Hub:
    made = Hub(keepalive_seconds=KEEPALIVE_SECONDS, write_seconds=WRITE_SECONDS)
    made.on_log_recreated("e5")
    return made


@pytest.fixture
async def open_(hub: Hub) -> OpenHubConnection:
    def opened(
        owner: str | None = "alice",
        route: StreamRoute = ORDERS,
        *,
        frames: int = 100,
        expires_at: datetime | None = None,
    ) -> HubConnection:
        return HubConnection(hub, owner, route, frames, expires_at)

    return opened


def recorded(
    sequence: int, owner: str = "alice", domain: str = "orders", event: Event | None = None
) -> RecordedEvent:
    event = event or order_placed(f"o-{sequence}")
    return RecordedEvent(
        sequence=sequence,
        subject=f"ev.{owner}.{domain}.o",
        tag=CATALOGUE.tag_of(type(event)),
        data=CODEC.encode(event),
        metadata=EventMetadata(id="i", correlation="c"),
        time=WALL,
    )


def status(service: str) -> AgentStatusChanged:
    return AgentStatusChanged(
        service=service, instance="i", state=AgentState.RUNNING, detail=None, timestamp=WALL
    )


class TestDelivery:
    async def test_an_event_is_sent_to_all_connections_of_its_owner_only(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        mine, too, other, prices = open_(), open_(route=TRADING), open_("bob"), open_(route=PRICES)
        hub.publish(recorded(7))
        first, second = await mine.read_pending(), await too.read_pending()
        assert b"\nid: e5-7\n" in first
        assert first == second
        assert await other.read_pending() == b""
        assert await prices.read_pending() == b""

    async def test_events_are_sent_once_and_in_order(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        side.connection.advance(5)
        for sequence in (4, 5, 6, 6, 8, 7):
            hub.publish(recorded(sequence))
        assert [line for line in (await side.read_pending()).split(b"\n") if line[:2] == b"id"] == [
            b"id: e5-6",
            b"id: e5-8",
        ]
        assert side.connection.position == 8

    async def test_events_are_sent_to_live_connections_only(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        side.connection.leave_live()
        hub.publish(recorded(7))
        assert await side.read_pending() == b""
        assert side.connection.position == 0

    async def test_an_event_that_the_route_omits_only_advances_the_position(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        hub.publish(recorded(7, domain="notes", event=hidden_event()))
        assert await side.read_pending() == b""
        assert (side.connection.position, side.connection.last_sent_sequence) == (7, 0)

    async def test_a_removed_connection_receives_nothing(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        hub.remove(side.connection)
        hub.publish(recorded(7))
        assert await side.read_pending() == b""
        assert (len(hub), hub.owner_count()) == (0, 0)

    async def test_a_connection_with_a_full_outbox_leaves_live_delivery_at_its_position(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side, other = open_(frames=2), open_()
        for sequence in range(1, 6):
            hub.publish(recorded(sequence))
        assert not side.connection.is_live
        assert (side.connection.position, side.connection.last_sent_sequence) == (2, 2)
        assert (await side.read_pending()).count(b"\nid: ") == 2
        assert (await other.read_pending()).count(b"\nid: ") == 5

    async def test_public_status_messages_are_sent_to_connected_clients_without_ids(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        anonymous, signed_in = open_(None, PRICES), open_(route=PRICES)
        hub.publish(recorded(7, EVERYBODY, "agents", status("orders")))
        frame = await anonymous.read_pending()
        assert frame.startswith(b"event: agent:status\n")
        assert b"\nid: " not in frame
        assert await signed_in.read_pending() == frame
        assert anonymous.connection.position == 0
        hub.publish(recorded(8, EVERYBODY, "reports", status("orders")))
        assert await anonymous.read_pending() == b""
        hub.remove(anonymous.connection)
        hub.publish(recorded(9, EVERYBODY, "agents", status("orders")))
        assert await anonymous.read_pending() == b""

    async def test_a_connection_without_room_for_a_status_message_is_closed_as_slow(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side, other = open_(None, PRICES, frames=1), open_(None, PRICES)
        for sequence in (7, 8):
            hub.publish(recorded(sequence, EVERYBODY, "agents", status("orders")))
        assert side.aborted == 1
        assert side.connection.close_reason is CloseReason.SLOW
        assert (await other.read_pending()).count(b"agent:status") == 2

    async def test_a_recreated_log_ends_live_delivery_of_all_connections(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        hub.on_log_recreated("e6")
        assert not side.connection.is_live
        side.connection.go_live()
        hub.publish(recorded(7))
        assert b"\nid: e6-7\n" in await side.read_pending()

    async def test_connections_owners_and_close_reasons_are_counted(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        sides = [open_("alice"), open_("alice"), open_("bob"), open_(None, PRICES)]
        assert (len(hub), hub.owner_count()) == (4, 2)
        sides[0].connection.close(CloseReason.REVOKED, 0.0)
        for side in sides:
            hub.remove(side.connection)
        assert (len(hub), hub.owner_count()) == (0, 0)
        assert (hub.close_counts[CloseReason.REVOKED], hub.close_counts[CloseReason.GONE]) == (1, 3)


class TestIdleConnections:
    async def test_a_keepalive_comment_is_sent_after_the_interval(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        hub.tick(KEEPALIVE_SECONDS - 0.1, WALL)
        assert await side.read_pending() == b""
        hub.tick(KEEPALIVE_SECONDS, WALL)
        assert await side.read_pending() == b": keepalive\n\n"

    async def test_no_keepalive_is_sent_during_a_write(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        side.connection.write_started(KEEPALIVE_SECONDS - 1)
        hub.tick(KEEPALIVE_SECONDS, WALL)
        assert await side.read_pending() == b""

    async def test_a_checkpoint_is_sent_when_the_position_has_advanced(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        side.connection.sent(5)
        side.connection.advance(9)
        hub.tick(KEEPALIVE_SECONDS, WALL)
        assert (
            await side.read_pending() == b"event: checkpoint\ndata: {}\nid: e5-9\nretry: 5000\n\n"
        )
        hub.tick(KEEPALIVE_SECONDS, WALL)
        assert await side.read_pending() == b": keepalive\n\n"

    async def test_no_checkpoint_is_sent_during_catch_up(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        """Events before its position may not have been written yet."""
        side = open_()
        side.connection.sent(5)
        side.connection.advance(9)
        side.connection.leave_live()
        hub.tick(KEEPALIVE_SECONDS, WALL)
        assert await side.read_pending() == b": keepalive\n\n"

    async def test_a_checkpoint_is_sent_on_a_stream_that_is_busy_with_values(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_(route=TRADING)
        sent_by_second = []
        for second in range(100):
            side.connection.write_finished(float(second))
            if second == 10:
                hub.publish(recorded(7))
            elif second > 20:
                hub.publish(recorded(second, domain="notes", event=hidden_event()))
            hub.tick(float(second), WALL)
            sent_by_second += [(second, sent)] if (sent := await side.read_pending()) else []
        (_, first_frame), *checkpoints = sent_by_second
        assert b"\nid: e5-7\n" in first_frame
        assert [
            (second, sent.split(b"\n")[0], sent.split(b"\n")[2]) for second, sent in checkpoints
        ] == [
            (50, b"event: checkpoint", b"id: e5-50"),
            (81, b"event: checkpoint", b"id: e5-81"),
        ]

    async def test_no_checkpoint_is_sent_on_a_stream_without_ids(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_(route=PRICES)
        side.connection.advance(9)
        hub.tick(KEEPALIVE_SECONDS, WALL)
        assert await side.read_pending() == b": keepalive\n\n"


class TestClosing:
    async def test_a_slow_write_aborts_the_connection(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        side.connection.write_finished(100.0)
        side.connection.write_started(100.0)
        hub.tick(100.0 + WRITE_SECONDS, WALL)
        assert side.aborted == 0
        hub.tick(100.1 + WRITE_SECONDS, WALL)
        assert (side.aborted, side.connection.close_reason) == (1, CloseReason.SLOW)

    async def test_minutes_without_a_write_abort_the_connection(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        hub.tick(300.1, WALL)
        assert (side.aborted, side.connection.close_reason) == (1, CloseReason.QUIET)

    async def test_an_expired_session_closes_the_connection(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_(expires_at=WALL + timedelta(seconds=5))
        reasons = []
        for seconds in (4.9, 5.0):
            hub.tick(1.0, WALL + timedelta(seconds=seconds))
            reasons.append(side.connection.close_reason)
        assert reasons == [None, CloseReason.EXPIRED]
        assert await side.read_pending() == render_frame("auth:expired", {"reason": "expired"})
        assert side.aborted == 0

    async def test_a_connection_is_aborted_if_the_final_frame_is_not_written(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        side.connection.close(CloseReason.DRAIN, 10.0, b"bye")
        hub.tick(10.0 + CLOSE_TIMEOUT_SECONDS, WALL)
        assert side.aborted == 0
        hub.tick(10.1 + CLOSE_TIMEOUT_SECONDS, WALL)
        assert side.aborted == 1

    async def test_the_first_close_reason_is_kept(self, open_: OpenHubConnection) -> None:
        side = open_()
        side.connection.close(CloseReason.REVOKED, 0.0, b"one")
        side.connection.close(CloseReason.DRAIN, 0.0, b"two")
        side.connection.abort(CloseReason.SLOW)
        assert side.connection.close_reason is CloseReason.REVOKED
        assert await side.read_pending() == b"one"
        assert side.aborted == 1

    async def test_an_event_after_the_close_is_ignored(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_()
        side.connection.close(CloseReason.DRAIN, 0.0, b"bye")
        hub.publish(recorded(7))
        assert await side.read_pending() == b"bye"

    async def test_every_close_reason_has_a_name_for_logs(self) -> None:
        assert {reason.value for reason in CloseReason} == {
            "gone", "slow", "expired", "revoked", "limit", "drain", "done", "polled",
            "quiet", "failed",
        }  # fmt: skip


async def test_closing_wakes_a_waiting_reader(open_: OpenHubConnection) -> None:
    side = open_()
    taking = asyncio.create_task(side.connection.outbox.next_chunk())
    await asyncio.sleep(0)
    side.connection.close(CloseReason.DRAIN, 0.0, b"bye")
    assert await asyncio.wait_for(taking, 60) == b"bye"


class TestDrainAnnouncements:
    @pytest.mark.parametrize(
        ("stream", "name", "field"),
        [
            ("orders", "stream:draining", "closesInMs"),
            ("all-strategies", "stream:draining", "closes_in_ms"),
            ("dashboard", "stream:draining", "closes_in_ms"),
            ("notifications", "stream:draining", "closes_in_ms"),
        ],
    )
    async def test_the_announcement_uses_the_names_of_the_api_family(
        self, hub: Hub, open_: OpenHubConnection, stream: str, name: str, field: str
    ) -> None:
        side = open_(route=_BY_NAME[stream])
        hub.announce_draining(side.connection, 4.9994, WALL)
        announcement = (await side.read_pending()).decode()
        assert announcement.startswith(f"event: {name}\ndata: {{")
        data = CODEC.decode(announcement.split("\n")[1].removeprefix("data: ").encode(), dict)
        assert data[field] == 4999
        assert data.get("type", name) == name
        assert "\nid: " not in announcement
        assert side.connection.close_reason is None

    async def test_a_full_outbox_drops_the_announcement(
        self, hub: Hub, open_: OpenHubConnection
    ) -> None:
        side = open_(frames=1)
        hub.publish(recorded(7))
        hub.announce_draining(side.connection, 5.0, WALL)
        assert side.connection.is_live
        assert b"draining" not in await side.read_pending()
