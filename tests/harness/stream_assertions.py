"""What tests of streams with ids have in common."""


async def read_through(stream, sequence: int):
    """Read on to `sequence`; the sequences of what came with an id, and what came as events."""
    before = len(stream.frames)
    await stream.read_until(
        f"sequence {sequence}", lambda frame: frame.id is not None and frame.sequence >= sequence
    )
    return [frame.sequence for frame in stream.frames[before:] if frame.id is not None]


async def assert_reset(stream, reason, requested):
    """The reset, after which the snapshot is what comes next."""
    reset, snapshot = await stream.read(), await stream.read()
    assert reset.event == "stream:reset"
    assert reset.id is None
    assert (reset.data["reason"], reset.data["requestedId"]) == (reason, requested)
    assert snapshot.data["snapshot"] is True
    assert snapshot.id is not None
    return reset, snapshot


def sequences(recorded):
    return [event.sequence for event in recorded]
