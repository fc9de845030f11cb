"""Subjects: any text is a token, no token holds a wildcard, and filters take what NATS would."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.log import BadSubject, EventSubject, encode_token, matches, pattern
from tapewire.log.subjects import decode_token

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
TOKENS = st.sampled_from(["a", "b", "orders"])
FILTERS = st.lists(st.sampled_from(["a", "b", "orders", "*"]), min_size=1, max_size=4)


@given(TEXTS)
def test_a_token_is_plain_and_gives_its_text_back(any_text: str) -> None:
    made = encode_token(any_text)
    assert re.fullmatch(r"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+", made)
    assert decode_token(made) == any_text


@given(TEXTS, TEXTS)
def test_different_texts_are_different_tokens(one: str, two: str) -> None:
    assert (encode_token(one) == encode_token(two)) == (one == two)


@pytest.mark.parametrize(
    ("plain", "made"),
    [
        ("IBM", "IBM"),
        ("BRK.B", "BRK%2EB"),
        ("_all", "_all"),
        ("50%", "50%25"),
        ("%2E", "%252E"),
        ("*", "%2A"),
        (">", "%3E"),
        ("a b", "a%20b"),
        ("ż", "%C5%BC"),
        ("a\n", "a%0A"),
    ],
)
def test_tokens_as_they_are_stored(plain: str, made: str) -> None:
    """Stored for ever: a change here loses what was written."""
    assert encode_token(plain) == made


def test_an_empty_text_is_no_token() -> None:
    with pytest.raises(BadSubject, match="empty"):
        encode_token("")


@given(TEXTS, TEXTS, TEXTS)
def test_a_subject_reads_back(owner: str, domain: str, entity: str) -> None:
    subject = EventSubject(owner, domain, entity)
    assert str(subject).count(".") == 3
    assert EventSubject.parse(str(subject)) == subject


@pytest.mark.parametrize("wrong", ["", "ev", "ev.a.orders", "ev.a.orders.1.2", "px.a.orders.1"])
def test_what_has_not_four_parts_is_no_subject(wrong: str) -> None:
    with pytest.raises(BadSubject, match=re.escape(repr(wrong))):
        EventSubject.parse(wrong)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_patterns_take_their_own_and_no_others(
    owner: str, domain: str, entity: str, other: str
) -> None:
    mine = str(EventSubject(owner, domain, entity))
    foreign = str(EventSubject(other, domain, entity))
    assert matches(pattern(), mine)
    assert matches(pattern(owner=owner), mine)
    assert matches(pattern(owner=owner, domain=domain), mine)
    assert matches(pattern(domain=domain), foreign)
    assert matches(pattern(owner=owner), foreign) == (other == owner)
    assert matches(pattern(domain=other), mine) == (other == domain)


@given(FILTERS, st.booleans(), st.lists(TOKENS, min_size=1, max_size=5))
def test_matching_is_that_of_nats(wanted: list[str], rest: bool, given_: list[str]) -> None:
    """``*`` is one token, ``>`` is one or more at the end: the same as a regular expression."""
    parts = [r"[^.]+" if part == "*" else part for part in wanted]
    expression = r"\.".join([*parts, r"[^.]+(\.[^.]+)*"] if rest else parts)
    filter_ = ".".join([*wanted, ">"] if rest else wanted)

    subject = ".".join(given_)

    assert matches(filter_, subject) == bool(re.fullmatch(expression, subject))


@pytest.mark.parametrize("long", ["x" * 1537, "ż" * 257, "x" * 1_000_000])
def test_what_would_not_fit_into_a_subject_is_no_token(long: str) -> None:
    """NATS ends the connection of whoever sends a control line above 4,096 bytes: one request that
    named a user of 5,000 characters took the orders service down."""
    with pytest.raises(BadSubject, match="too many for a token"):
        encode_token(long)


def test_the_longest_ids_fit_twice_into_a_control_line() -> None:
    longest = "\U0010ffff" * 128
    assert len(str(EventSubject(longest, "notifications", longest))) + len("live. ") < 4_000


def test_half_a_character_is_no_token() -> None:
    with pytest.raises(BadSubject, match="cannot be a subject token"):
        encode_token("\ud800")
