"""Which broker a process of the orders service has, by `TAPEWIRE_BROKER`."""

import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from tapewire.brokers import BadSetting, OpenOrder
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime import Settings
from tapewire_services.orders.broker_choice import BrokerChoice
from tapewire_services.orders.broker_health import BrokerHealth
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.orders.paper_broker import PaperBroker
from tests.harness.distributions import install_distribution
from tests.harness.order_builders import open_order

MODULE = """
from tapewire.brokers import BadSetting, Broker

class Acme(Broker):
    def __init__(self, context):
        super().__init__(context)
        if "ACME_KEY" not in context.environment:
            raise BadSetting("ACME_KEY is not set")
        context.set_problem("not connected yet")
    def add_order(self, order): pass
    def update_order(self, order): pass
    async def run(self, reports): pass

class Simulation(Acme):
    confirms_at_once = True

class UnfinishedBroker(Broker):
    def add_order(self, order): pass
    def update_order(self, order): pass

class Lookalike:
    def __init__(self, context): pass
    add_order = update_order = symbol_split = run = __init__

def make_acme(context):
    return Acme(context)
"""


@pytest.fixture(autouse=True)
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "acme_brokers.py").write_text(MODULE)
    names = {
        "acme": "Acme",
        "simulation": "Simulation",
        "unfinished": "UnfinishedBroker",
        "lookalike": "Lookalike",
        "factory": "make_acme",
        "missing": "Nothing",
    }
    objects = {name: f"acme_brokers:{value}" for name, value in names.items()}
    objects["broken"] = "a_module_that_nobody_has:Acme"
    install_distribution(tmp_path, "acme-trading", {"tapewire.brokers": objects})
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("acme_brokers", None)


def choose(
    name: str | None = None,
    environment: Mapping[str, str] = {"ACME_KEY": "k"},
    health: BrokerHealth | None = None,
) -> BrokerChoice:
    server = MemoryServer()
    store = MemoryLatestValueStore(server)
    settings = Settings() if name is None else Settings(broker=name)
    return BrokerChoice(
        settings,
        QuoteCache(store),
        store,
        health or BrokerHealth(),
        lambda: True,
        environment,
    )


async def test_the_default_is_the_paper_broker_which_takes_over_what_earlier_ones_left() -> None:
    choice = choose()
    assert choice.confirms_at_once
    broker = choice.make_broker(OpenOrders([open_order()]))
    assert isinstance(broker, PaperBroker)


@pytest.mark.parametrize(
    ("name", "confirms_at_once"), [("acme", False), ("factory", False), ("simulation", True)]
)
async def test_a_broker_of_another_package_says_whether_it_confirms_at_once(
    name: str, confirms_at_once: bool
) -> None:
    health = BrokerHealth()
    choice = choose(name, health=health)
    assert choice.confirms_at_once is confirms_at_once
    assert health.find_problem() is None, "a broker that was only made to be checked"
    first, second = (choice.make_broker(OpenOrders()) for _ in range(2))
    assert type(first).__name__ in ("Acme", "Simulation")
    assert first is not second
    assert health.find_problem() == "the broker: not connected yet"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("acne", "the names are: acme, broken, factory, lookalike, missing, paper, simulation"),
        ("broken", "distribution acme-trading cannot be imported: ModuleNotFoundError"),
        ("missing", "distribution acme-trading cannot be imported: AttributeError"),
        ("unfinished", "distribution acme-trading cannot start: TypeError: Can't instantiate"),
        ("lookalike", "acme_brokers.Lookalike is not derived from tapewire.brokers.Broker"),
    ],
)
async def test_a_broker_that_cannot_be_used_is_a_bad_setting(name: str, fault: str) -> None:
    with pytest.raises(BadSetting) as raised:
        choose(name)
    assert str(raised.value).startswith(f"TAPEWIRE_BROKER={name!r}: ")
    assert fault in str(raised.value)


async def test_the_settings_of_a_broker_are_checked_before_any_lease() -> None:
    with pytest.raises(BadSetting, match=r"^ACME_KEY is not set$"):
        choose("acme", environment={})


def test_an_open_order_says_what_is_left_to_fill() -> None:
    order: OpenOrder = open_order("10", filled_qty="4")
    assert order.remaining_qty == Decimal(6)
