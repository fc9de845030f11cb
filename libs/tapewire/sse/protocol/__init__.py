"""What a reader of the edge's event streams decides, as pure functions and small state machines.

`parser` turns bytes into the fields of the event stream format, and `position` compares event ids.
`outcomes` classifies responses and final events, `delays` says when to try again, `addresses`
builds the URLs of requests, and `greeting` reads the first event. `quote_order`, `price_silence`
and `stale_symbols` watch over prices, and `token_expiry` reads when a token ends. The browser
client (libs/client) has the same tables.
"""
