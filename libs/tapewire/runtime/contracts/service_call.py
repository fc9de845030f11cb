"""A request to a service, with the types of the request and the reply."""

from typing import Generic, TypeVar

import msgspec

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)


class ServiceCall(msgspec.Struct, Generic[Q, R], frozen=True):
    """``svc.{service}.{verb}`` accepts a `request` and answers with a `reply`."""

    service: str
    verb: str
    request: type[Q]
    reply: type[R]

    @property
    def subject(self) -> str:
        return f"svc.{self.service}.{self.verb}"
