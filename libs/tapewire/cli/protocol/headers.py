"""The headers of events and requests, and what they say."""

EVENT_HEADERS = {
    "Nats-Msg-Id": "the event's id; the same id again within two minutes is not stored again",
    "Tw-Type": "its tag: the type, with the version that it was written as",
    "Tw-Correlation": "what it belongs to, from the first request to the last event",
    "Tw-Causation": "the id of the command or event that caused it, if one did",
    "traceparent": "the trace it is part of (W3C Trace Context), where there is one",
}
REQUEST_HEADERS = {
    "Tw-Correlation": "what the request belongs to",
    "Tw-Command": "the command's id: repeat it when you ask again, and it is done once",
    "Tw-Deadline": "when you stop waiting, in milliseconds since 1970: later, nothing is done",
    "Tw-Idempotency-Key": "the user's key that the command's id was made from, if there is one",
    "Tw-Ack": "any value, if you want an empty reply with this header at once",
    "traceparent": "the trace it is part of, where there is one",
}
REPLY_HEADERS = {
    "Tw-Instance": "the process that answers",
    "Tw-Time": "its clock, in milliseconds since 1970",
}
