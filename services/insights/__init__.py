"""The insights service: analysed items, their counts, and users' configurations.

Items are news, posts and notes with a sentiment. Each is validated, scored if its source gives no
sentiment, and appended to the log once. A configuration selects the items that a user sees.

`domain` validates items and decides on configurations. `service` and `configurations_service` are
the request handlers, `item_queries` lists items, `item_writer` appends them, and `scoring` is the
port for sentiment scorers. Nothing runs under a lease, so every process answers. Start at
`__main__`, then `service`.
"""
