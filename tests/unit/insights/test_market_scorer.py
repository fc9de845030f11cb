"""The sentiment of market language: what moves and where to, events, negation and contrast."""

import time
from pathlib import Path

import pytest

from tapewire_services.insights.domain.items import classify_sentiment
from tapewire_services.insights.market_language.scorer import score_market_text
from tapewire_services.insights.scoring import MarketScorer
from tests.harness.sentiment_accuracy import HELD_OUT, measure, read_headlines

SCORER = MarketScorer()
SHARED = Path(__file__).parents[4] / "shared" / "data" / "headlines.csv"
MIN_ACCURACY = 0.85


def classify(text: str) -> str:
    return classify_sentiment(SCORER.score_text(text)).value


@pytest.mark.parametrize(
    "quantity", ["Profit", "Quarterly sales", "Shares", "New orders", "Demand"]
)
@pytest.mark.parametrize(
    ("up", "down"),
    [("rises", "falls"), ("jumps 20%", "slumps 20%"), ("surges", "plunges"), ("climbs", "tumbles")],
)
def test_good_quantities_are_good_when_they_rise(quantity: str, up: str, down: str) -> None:
    assert classify(f"{quantity} {up} at toolmaker") == "positive"
    assert classify(f"{quantity} {down} at toolmaker") == "negative"


@pytest.mark.parametrize(
    "quantity",
    ["Unemployment", "Costs", "Net loss", "Inflation", "Jobless claims", "Loan defaults"],
)
def test_bad_quantities_are_good_when_they_fall(quantity: str) -> None:
    assert classify(f"{quantity} falls sharply") == "positive"
    assert classify(f"{quantity} rises sharply") == "negative"
    assert classify(f"Sharp rise in {quantity.lower()}") == "negative"


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("Shares plunge on earnings miss", "negative"),
        ("Loss narrows at carmaker", "positive"),
        ("Narrower loss at ride-hailing group", "positive"),
        ("Quarterly loss widens", "negative"),
        ("Damage less than feared, insurer says", "positive"),
        ("Writedowns smaller than analysts feared", "positive"),
        ("Revenue falls short of forecasts", "negative"),
        ("Group raises guidance", "positive"),
        ("Group cuts guidance", "negative"),
        ("Maker of trucks issues profit warning", "negative"),
        ("Company announces buyback", "positive"),
        ("Dividend hike at pipeline operator", "positive"),
        ("Board cuts dividend", "negative"),
        ("Company cuts costs", "positive"),
        ("Group reduces debt", "positive"),
        ("Higher costs weigh on brewer", "negative"),
        ("Bank cuts 2,000 jobs", "negative"),
        ("Regulator opens probe into broker", "negative"),
        ("Regulator closes probe into broker", "positive"),
        ("Short sellers circle struggling lender", "negative"),
        ("Retailer upgraded to buy", "positive"),
        ("Retailer downgraded to sell", "negative"),
        ("Yen at record low", "negative"),
        ("Copper at three-year high", "positive"),
        ("Mortgage rates at two-decade high", "negative"),
        ("Sales grow less than expected", "negative"),
        ("Consumer prices rise less than expected", "positive"),
    ],
)
def test_phrases_have_the_sentiment_of_what_they_say(text: str, sentiment: str) -> None:
    assert classify(text) == sentiment


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("Airline avoids bankruptcy", "positive"),
        ("No layoffs planned after merger", "positive"),
        ("Miner averts strike", "positive"),
        ("Utility escapes fine", "positive"),
        ("Drug fails to win approval", "negative"),
        ("Profit not growing", "negative"),
        ("Sales rise, but profit plunges", "negative"),
        ("Revenue slips, but margins expand strongly", "positive"),
        ("Shares rise despite profit warning", "positive"),
        ("Despite record orders, shares slump", "negative"),
    ],
)
def test_negation_and_contrast_change_what_words_say(text: str, sentiment: str) -> None:
    assert classify(text) == sentiment


@pytest.mark.parametrize(
    "text",
    [
        "Group to report first-quarter earnings on Tuesday",
        "Brewer names marketing chief",
        "Bank appoints Maria Silva to supervisory board",
        "What to watch: three chip stocks",
        "Shareholder meeting set for June",
        "Rates unchanged, as forecast",
        "Earnings in line with expectations",
        "Markets closed for holiday",
        "",
        "財報發布",
    ],
)
def test_dates_appointments_and_questions_are_neutral(text: str) -> None:
    assert classify(text) == "neutral"


def test_texts_without_market_language_keep_the_score_of_vader() -> None:
    assert classify("Great, great news") == "positive"
    assert classify("A horrible, sad day") == "negative"


def test_the_title_counts_more_than_the_text_below_it() -> None:
    assert classify("Shares surge\nAnalysts had feared a small loss of orders.") == "positive"
    assert (
        classify("Statement\nProfit fell 40% and the dividend was cut. Sales slumped.")
        == "negative"
    )
    title, whole = "Profit rises", "Profit rises\nProfit rises. Sales rise."
    assert score_market_text(title).score < score_market_text(whole).score


@pytest.mark.parametrize("part", ["development", HELD_OUT])
def test_most_headlines_of_the_project_are_scored_right(part: str) -> None:
    headlines = [one for one in read_headlines() if one.part == part]
    assert len(headlines) >= 75
    accuracy = measure(headlines, SCORER.score_text)
    assert accuracy.share >= MIN_ACCURACY, accuracy.counts


def test_most_of_the_shared_headlines_are_scored_right() -> None:
    if not SHARED.exists():
        pytest.skip("../shared/data/headlines.csv is not here")
    accuracy = measure(read_headlines(SHARED), SCORER.score_text)
    assert accuracy.share >= MIN_ACCURACY, accuracy.counts


@pytest.mark.parametrize(
    "text",
    ["profit ", "cuts the ", "to a ", "a ", "despite ", "1.", "not as ", "x\n", "than ", "-"],
)
def test_any_long_text_is_scored_in_linear_time(text: str) -> None:
    def cost(characters: int) -> float:
        began = time.process_time()
        score_market_text((text * characters)[:characters])
        return time.process_time() - began

    cost(500)
    assert cost(6_000) < 0.1 + 40 * cost(500)
