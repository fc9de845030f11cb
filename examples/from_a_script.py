"""The client without asyncio, for scripts and notebooks: calls return when they are done."""

import os

import tapewire


def main() -> None:
    url = os.environ.get("TAPEWIRE_NATS_URL", "nats://127.0.0.1:4222")
    with tapewire.sync.connect(url, "nightly-check") as client:
        # All calls in the block share a correlation id in logs and events.
        with tapewire.correlated("nightly-2026-03-02"):
            client.error(
                user="alice", error_code="late_data", error_message="closing prices came at 18:40"
            )
            client.notify("alice", "bob", title="The nightly check", message="1 error, 0 warnings")
        try:
            client.price("ACME", float("nan"))
        except tapewire.InvalidArgument as wrong:
            print(f"refused: {wrong}")
        print("checked")


if __name__ == "__main__":
    main()
