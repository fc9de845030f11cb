"""The strategies service: runs rules that trade on live prices, and their stop-losses.

Start at `domain` (what a strategy is), then `runner` (how active strategies follow prices).
"""
