"""A request that a service answers, with the types of question and answer."""

from typing import Generic, TypeVar

import msgspec

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)


class ServiceCall(msgspec.Struct, Generic[Q, R], frozen=True):
    """``svc.{service}.{verb}`` takes a `request` and answers a `reply`."""

    service: str
    verb: str
    request: type[Q]
    reply: type[R]

    @property
    def subject(self) -> str:
        return f"svc.{self.service}.{self.verb}"
