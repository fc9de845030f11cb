"""Notifications are sent, listed and marked as read, on the log in memory."""

from typing import Any

import pytest

from tapewire.runtime.contracts.notifications import (
    ListNotifications,
    ReadNotifications,
    SendNotification,
)
from tests.harness.memory_process import await_rejection, make_context
from tests.unit.alerts.harness import AlertsEnvironment, AlertsProcess
from tests.unit.alerts.spec import USER

pytestmark = pytest.mark.virtual_time


async def list_notifications(
    process: AlertsProcess, limit: int = 50, user: str = USER
) -> tuple[list[str], int]:
    request = ListNotifications(user_id=user, limit=limit)
    reply = await process.notifications_service.list(request, make_context())
    return [one.title for one in reply.notifications], reply.unread


def send_request(*users: str, title: str = "Hello", **more: Any) -> SendNotification:
    return SendNotification(user_ids=users, title=title, **more)


async def test_sent_notifications_are_listed_newest_first_and_marked_as_read(
    process: AlertsProcess,
) -> None:
    ids = []
    for number in range(5):
        request = send_request(USER, "bob", "bob", title=f"number {number}", payload={"n": number})
        sent = await process.notifications_service.send(request, make_context())
        assert len(set(sent.ids)) == 2
        ids.append(sent.ids[0])
    assert await list_notifications(process, limit=2) == (["number 4", "number 3"], 5)
    reading = ReadNotifications(user_id=USER, ids=(ids[0], ids[1], "of nobody", ids[0]))
    reply = await process.notifications_service.read(reading, make_context())
    assert (reply.read, reply.unread) == (2, 3)
    reply = await process.notifications_service.read(reading, make_context())
    assert (reply.read, reply.unread) == (0, 3)
    reply = await process.notifications_service.read(
        ReadNotifications(user_id=USER, ids=None), make_context()
    )
    assert (reply.read, reply.unread) == (3, 0)
    assert (await list_notifications(process))[1] == 0
    assert (await list_notifications(process, user="bob"))[1] == 5


async def test_a_repeated_send_notifies_nobody_twice(
    process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    request = send_request("bob", "carol")
    first = await process.notifications_service.send(request, make_context("command"))
    assert await process.notifications_service.send(request, make_context("command")) == first
    assert len((await environment.read_log_summary()).notifications) == 2


async def test_a_read_without_effect_appends_nothing(
    process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    await process.notifications_service.send(send_request(USER), make_context())
    everything = ReadNotifications(user_id=USER, ids=None)
    for _ in range(3):
        await process.notifications_service.read(everything, make_context())
    tags = [one.tag for one in (await environment.read_log_summary()).events]
    assert tags.count("notification.read.v1") == 1


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (send_request(), "userIds"),
        (send_request(*[f"user {number}" for number in range(101)]), "userIds"),
        (send_request("bob", ""), "userIds[1]"),
        (send_request("_all"), "userIds[0]"),
        (send_request("x" * 129), "userIds[0]"),
        (send_request("bob", title=" "), "title"),
        (send_request("bob", title="x" * 121), "title"),
        (send_request("bob", title="\N{SNOWMAN}" * 41), "title"),
        (send_request("bob", message="x" * 501), "message"),
        (send_request("bob", type="Order Filled"), "type"),
        (send_request("bob", type=""), "type"),
        (send_request("bob", payload={"x": "y" * 1024}), "payload"),
    ],
)
async def test_an_invalid_send_is_rejected_with_the_path(
    request_: SendNotification, path: str, process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    assert await await_rejection(process.notifications_service.send(request_, make_context())) == (
        "invalid",
        path,
    )
    assert (await environment.read_log_summary()).notifications == []


async def test_lists_and_reads_are_bounded(process: AlertsProcess) -> None:
    for limit in (0, 201, -1):
        assert await await_rejection(list_notifications(process, limit)) == ("invalid", "limit")
    for ids, path in [((), "ids"), (("x",) * 201, "ids"), (("x", "y" * 65), "ids[1]")]:
        reading = ReadNotifications(user_id=USER, ids=ids)
        assert await await_rejection(
            process.notifications_service.read(reading, make_context())
        ) == ("invalid", path)


async def test_a_deeply_nested_payload_is_rejected(
    process: AlertsProcess, environment: AlertsEnvironment
) -> None:
    """Five hundred brackets fit into a payload, and a recursive reader might fail on them."""
    deep: object = 1
    for _ in range(16):
        deep = [deep]
    assert (
        await await_rejection(
            process.notifications_service.send(
                send_request(USER, payload={"deep": deep}), make_context()
            )
        )
    ) == ("invalid", "payload")
    assert (await environment.read_log_summary()).notifications == []


async def test_all_notifications_are_listed_with_what_was_read(process: AlertsProcess) -> None:
    """Also those beyond the 500 that the view retains."""
    service = process.notifications_service
    ids = [
        (await service.send(send_request(USER, title=f"n {number}"), make_context())).ids[0]
        for number in range(620)
    ]
    read = {ids[0], ids[50], ids[600]}
    await service.read(ReadNotifications(user_id=USER, ids=tuple(read)), make_context())
    seen, cursor = dict[str, bool](), None
    while cursor is not None or not seen:
        request = ListNotifications(user_id=USER, limit=200, cursor=cursor)
        reply = await service.list(request, make_context())
        assert reply.unread == 617
        seen |= {one.id: one.is_read for one in reply.notifications}
        cursor = reply.next
    assert list(seen) == ids[::-1]
    assert {id_ for id_, is_read in seen.items() if is_read} == read
