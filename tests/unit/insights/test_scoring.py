"""The VADER scorer works without a network, and scores any text in bounded time."""

import socket
import sys
import time
from decimal import Decimal

import pytest

from tapewire.events import Sentiment
from tapewire_services.insights.domain.items import classify_sentiment
from tapewire_services.insights.scoring import VaderScorer


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("IBM beats estimates, shares soar on strong quarter", Sentiment.POSITIVE),
        ("Fraud and a terrible loss: shares crash", Sentiment.NEGATIVE),
        ("The company will report on Tuesday", Sentiment.NEUTRAL),
        ("Not good at all", Sentiment.NEGATIVE),
        ("", Sentiment.NEUTRAL),
        ("財報發布", Sentiment.NEUTRAL),
    ],
)
async def test_typical_texts_have_the_expected_sentiment(text: str, sentiment: Sentiment) -> None:
    (score,) = await VaderScorer().score_texts([text])
    assert classify_sentiment(score) is sentiment


async def test_scores_are_exact_and_in_the_order_of_the_texts() -> None:
    assert list(await VaderScorer().score_texts(["good", "bad", "good"])) == [
        Decimal("0.4404"), Decimal("-0.5423"), Decimal("0.4404"),
    ]  # fmt: skip


async def test_scoring_opens_no_network_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it wants a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in [name for name in sys.modules if name.startswith("vaderSentiment")]:
        monkeypatch.delitem(sys.modules, name)
    assert await VaderScorer().score_texts(["good"])


async def test_a_text_of_emoji_is_scored_as_fast_as_words() -> None:
    """VADER alone takes most of a second for each of these texts, hundreds of times longer."""

    async def cost(text: str) -> float:
        began = time.process_time()
        await VaderScorer().score_texts([text] * 20)
        return time.process_time() - began

    words = await cost("good day " * 222)
    assert await cost("\U0001f600" * 2000) < 20 * words
