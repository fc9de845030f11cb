"""Requests to the insights service about configurations.

The verbs are `svc.insights.create`, `change`, `delete`, `get` and `list`. The service rejects
requests with the codes ``invalid`` (with the path of the field in JSON: ``name``, ``tickers[3]``,
``tags``), ``not_found`` (unknown, or another user's) and ``conflict``.
"""

import msgspec

from tapewire.events import Configuration
from tapewire.runtime.contracts.request import (
    PageReply,
    PageRequest,
    RequestStruct,
    ServiceCall,
    UserId,
)

SERVICE = "insights"
CREATE, CHANGE, DELETE, GET, LIST = "create", "change", "delete", "get", "list"


class CreateConfiguration(RequestStruct, frozen=True, kw_only=True):
    """Create a configuration of `user_id`; answered by `ConfigurationReply`. Repeating the command
    returns the existing configuration. ``conflict`` if the user has 50.

    `name` has 1 to 80 characters; there are 1 to 50 `tickers`, names of symbols, and at
    most 10 `tags` of 1 to 40. They are trimmed, tickers become upper case and tags lower case, and
    duplicates are removed.
    """

    user_id: UserId
    name: str
    tickers: tuple[str, ...]
    tags: tuple[str, ...] = ()


class ChangeConfiguration(RequestStruct, frozen=True, kw_only=True):
    """Change the given fields; answered by `ConfigurationReply`."""

    user_id: UserId
    configuration_id: str
    name: str | None = None
    tickers: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


class DeleteConfiguration(RequestStruct, frozen=True, kw_only=True):
    """Delete a configuration; answered by `ConfigurationReply` with its last state."""

    user_id: UserId
    configuration_id: str


class GetConfiguration(RequestStruct, frozen=True, kw_only=True):
    """Get the current state of one configuration; answered by `ConfigurationReply`."""

    user_id: UserId
    configuration_id: str


class ListConfigurations(PageRequest, frozen=True, kw_only=True):
    """List a user's configurations; answered by `ConfigurationsReply`."""

    user_id: UserId


class ConfigurationReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The configuration after the request."""

    configuration: Configuration


class ConfigurationsReply(PageReply, frozen=True, kw_only=True):
    """Configurations, the oldest first."""

    configurations: list[Configuration]


CREATE_CONFIGURATION = ServiceCall(SERVICE, CREATE, CreateConfiguration, ConfigurationReply)
CHANGE_CONFIGURATION = ServiceCall(SERVICE, CHANGE, ChangeConfiguration, ConfigurationReply)
DELETE_CONFIGURATION = ServiceCall(SERVICE, DELETE, DeleteConfiguration, ConfigurationReply)
GET_CONFIGURATION = ServiceCall(SERVICE, GET, GetConfiguration, ConfigurationReply)
LIST_CONFIGURATIONS = ServiceCall(SERVICE, LIST, ListConfigurations, ConfigurationsReply)
CALLS = (
    CREATE_CONFIGURATION,
    CHANGE_CONFIGURATION,
    DELETE_CONFIGURATION,
    GET_CONFIGURATION,
    LIST_CONFIGURATIONS,
)
