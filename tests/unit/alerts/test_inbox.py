"""Notifications as they are sent, listed and read, on the log in memory."""

import pytest

from tapewire.runtime.contracts.notifications import (
    ListNotifications,
    ReadNotifications,
    SendNotification,
)
from tests.unit.alerts.house import Process, World, context, play, refused
from tests.unit.alerts.spec import USER


async def listed(process: Process, limit: int = 50, user: str = USER) -> tuple[list[str], int]:
    request = ListNotifications(user_id=user, limit=limit)
    reply = await process.inbox.list(request, context())
    return [one.title for one in reply.notifications], reply.unread


def sending(*users: str, title: str = "Hello", **more: object) -> SendNotification:
    return SendNotification(user_ids=users, title=title, **more)  # type: ignore[arg-type]


def test_others_send_notifications_which_are_listed_newest_first_and_read() -> None:
    async def story(process: Process, _: World) -> None:
        ids = []
        for number in range(5):
            request = sending(USER, "bob", "bob", title=f"number {number}", payload={"n": number})
            sent = await process.inbox.send(request, context())
            assert len(set(sent.ids)) == 2
            ids.append(sent.ids[0])
        assert await listed(process, limit=2) == (["number 4", "number 3"], 5)
        reading = ReadNotifications(user_id=USER, ids=(ids[0], ids[1], "of nobody", ids[0]))
        reply = await process.inbox.read(reading, context())
        assert (reply.read, reply.unread) == (2, 3)
        reply = await process.inbox.read(reading, context())
        assert (reply.read, reply.unread) == (0, 3)
        reply = await process.inbox.read(ReadNotifications(user_id=USER, ids=None), context())
        assert (reply.read, reply.unread) == (3, 0)
        assert (await listed(process))[1] == 0
        assert (await listed(process, user="bob"))[1] == 5

    play(story)


def test_the_same_sending_again_notifies_nobody_twice() -> None:
    async def story(process: Process, world: World) -> None:
        request = sending("bob", "carol")
        first = await process.inbox.send(request, context("command"))
        assert await process.inbox.send(request, context("command")) == first
        assert len((await world.tally()).notifications) == 2

    play(story)


def test_a_reading_that_changes_nothing_appends_nothing() -> None:
    async def story(process: Process, world: World) -> None:
        await process.inbox.send(sending(USER), context())
        everything = ReadNotifications(user_id=USER, ids=None)
        for _ in range(3):
            await process.inbox.read(everything, context())
        tags = [one.tag for one in (await world.tally()).stored]
        assert tags.count("notification.read.v1") == 1

    play(story)


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (sending(), "userIds"),
        (sending(*[f"user {number}" for number in range(101)]), "userIds"),
        (sending("bob", ""), "userIds[1]"),
        (sending("_all"), "userIds[0]"),
        (sending("x" * 129), "userIds[0]"),
        (sending("bob", title=" "), "title"),
        (sending("bob", title="x" * 121), "title"),
        (sending("bob", title="\N{SNOWMAN}" * 41), "title"),
        (sending("bob", message="x" * 501), "message"),
        (sending("bob", type="Order Filled"), "type"),
        (sending("bob", type=""), "type"),
        (sending("bob", payload={"x": "y" * 1024}), "payload"),
    ],
)
def test_a_sending_is_refused_with_the_path(request_: SendNotification, path: str) -> None:
    async def story(process: Process, world: World) -> None:
        assert await refused(process.inbox.send(request_, context())) == ("invalid", path)
        assert (await world.tally()).notifications == []

    play(story)


def test_lists_and_readings_are_bounded() -> None:
    async def story(process: Process, _: World) -> None:
        for limit in (0, 201, -1):
            assert await refused(listed(process, limit)) == ("invalid", "limit")
        for ids, path in [((), "ids"), (("x",) * 201, "ids"), (("x", "y" * 65), "ids[1]")]:
            reading = ReadNotifications(user_id=USER, ids=ids)
            assert await refused(process.inbox.read(reading, context())) == ("invalid", path)

    play(story)


def test_a_deep_payload_is_refused() -> None:
    """Five hundred brackets fit into a payload; a reader that recurses might not survive them."""

    async def story(process: Process, world: World) -> None:
        deep: object = 1
        for _ in range(16):
            deep = [deep]
        assert (
            await refused(process.inbox.send(sending(USER, payload={"deep": deep}), context()))
        ) == ("invalid", "payload")
        assert (await world.tally()).notifications == []

    play(story)
