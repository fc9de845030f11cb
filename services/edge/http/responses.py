"""JSON responses in the encoding of the log and the streams."""

from collections.abc import Callable
from typing import Any, TypeVar

from litestar import Response
from litestar.enums import MediaType

from tapewire.events import CODEC

T = TypeVar("T")


class JsonResponse(Response[T]):
    """A response encoded by `CODEC`, which writes decimals with all their digits."""

    def render(self, content: Any, media_type: str, enc_hook: Callable[[Any], Any] = str) -> bytes:
        if isinstance(content, bytes) or media_type != MediaType.JSON:
            return super().render(content, media_type, enc_hook)
        return CODEC.encode(content)
