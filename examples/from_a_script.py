"""Without asyncio: the same calls, which return when they are done. For scripts and notebooks."""

import os

import tapewire


def main() -> None:
    url = os.environ.get("TAPEWIRE_NATS_URL", "nats://127.0.0.1:4222")
    with tapewire.sync.connect(url, "nightly-check") as tape:
        # Everything within belongs together in logs, traces and events.
        with tapewire.correlated("nightly-2026-03-02"):
            tape.error(
                user="alice", error_code="late_data", error_message="closing prices came at 18:40"
            )
            tape.notify("alice", "bob", title="The nightly check", message="1 error, 0 warnings")
        try:
            tape.price("ACME", -1)
        except tapewire.InvalidArgument as wrong:
            print(f"refused: {wrong}")
        print("checked")


if __name__ == "__main__":
    main()
