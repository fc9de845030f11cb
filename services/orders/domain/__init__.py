"""The pure part of the orders service: the decider of orders, the open orders, the order book."""
