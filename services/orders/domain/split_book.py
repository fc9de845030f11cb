"""The paper broker's order book, with what a split needs of it. Pure."""

from tapewire_services.orders.domain.order_book import OrderBook


class SplitBook(OrderBook):
    """An order book whose orders of one symbol can be withdrawn while their terms change."""

    def has_in_flight(self, symbol: str) -> bool:
        """Whether a proposal about an order of `symbol` is to be settled."""
        orders = (self._orders.get(order_id) for order_id in self._in_flight)
        return any(one is not None and one.order.symbol == symbol for one in orders)

    def withdraw_orders(self, symbol: str) -> set[str]:
        """Remove the orders of `symbol`, and what is known of its market. Returns their ids."""
        found = {key for key, one in self._orders.items() if one.order.symbol == symbol}
        for order_id in found:
            self._remove_from_queue(self._orders.pop(order_id))
        self._markets.pop(symbol, None)
        return found
