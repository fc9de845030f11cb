"""The private part of nats.micro that `requests` touches, and the reason.

nats.micro is a module of nats-py; `tapewire.log.jetstream.compat` bounds its version.
"""

import asyncio

from nats.micro.service import Service


async def stop_gracefully(service: Service) -> None:
    """Stop `service` after it was handed every request that the server has sent.

    `Service.stop` only unsubscribes, which drops requests that arrived but have not begun. This
    drains the endpoints' subscriptions first; nats.micro has no public access to them.
    """
    endpoints, service._endpoints = service._endpoints, []  # noqa: SLF001
    subscriptions = [endpoint._subscription for endpoint in endpoints]  # noqa: SLF001
    await asyncio.gather(*[one.drain() for one in subscriptions if one is not None])
    await service.stop()
