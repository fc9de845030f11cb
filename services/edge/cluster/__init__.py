"""What the processes of the edge tell each other: who is connected, and how often who tried."""
