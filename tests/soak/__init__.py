"""Opens and closes hundreds of thousands of connections and checks that nothing of them remains.

The tests run one real edge on a real NATS server. A separate load process (`load_generator`)
connects and disconnects in every way that a client can, while events flow (`event_producer`). After
each round all clients have left, and the idle edge is measured (`tests.harness.resource_monitor`).
Growth is expressed as a slope (`slopes`). Start reading at `test_soak`.
"""
