"""Subjects: any text is encoded as a token without wildcards, and filters match as in NATS."""

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
def test_a_token_has_plain_characters_and_decodes_to_its_text(any_text: str) -> None:
    made = encode_token(any_text)
    assert re.fullmatch(r"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+", made)
    assert decode_token(made) == any_text


@given(TEXTS, TEXTS)
def test_different_texts_have_different_tokens(one: str, two: str) -> None:
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
def test_tokens_have_the_stored_form(plain: str, made: str) -> None:
    """Tokens are stored for ever: a change would make stored events unreachable."""
    assert encode_token(plain) == made


def test_an_empty_text_is_rejected() -> None:
    with pytest.raises(BadSubject, match="empty"):
        encode_token("")


@given(TEXTS, TEXTS, TEXTS)
def test_a_subject_parses_to_its_parts(owner: str, domain: str, entity: str) -> None:
    subject = EventSubject(owner, domain, entity)
    assert str(subject).count(".") == 3
    assert EventSubject.parse(str(subject)) == subject


@pytest.mark.parametrize("wrong", ["", "ev", "ev.a.orders", "ev.a.orders.1.2", "px.a.orders.1"])
def test_a_subject_without_four_parts_is_rejected(wrong: str) -> None:
    with pytest.raises(BadSubject, match=re.escape(repr(wrong))):
        EventSubject.parse(wrong)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_patterns_match_their_own_subjects_only(
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
def test_filters_match_as_in_nats(wanted: list[str], rest: bool, given_: list[str]) -> None:
    """``*`` matches one token and ``>`` one or more at the end, as a regular expression shows."""
    parts = [r"[^.]+" if part == "*" else part for part in wanted]
    expression = r"\.".join([*parts, r"[^.]+(\.[^.]+)*"] if rest else parts)
    filter_ = ".".join([*wanted, ">"] if rest else wanted)

    subject = ".".join(given_)

    assert matches(filter_, subject) == bool(re.fullmatch(expression, subject))


@pytest.mark.parametrize("long", ["x" * 1537, "ż" * 257, "x" * 1_000_000])
def test_a_text_that_is_too_long_for_a_subject_is_rejected(long: str) -> None:
    """NATS closes the connection of a client that sends a control line above 4,096 bytes. A request
    with a user id of 5,000 characters once made the orders service unavailable."""
    with pytest.raises(BadSubject, match="too many for a token"):
        encode_token(long)


def test_two_ids_of_maximum_length_fit_into_a_control_line() -> None:
    longest = "\U0010ffff" * 128
    assert len(str(EventSubject(longest, "notifications", longest))) + len("live. ") < 4_000


def test_a_lone_surrogate_is_rejected() -> None:
    with pytest.raises(BadSubject, match="cannot be a subject token"):
        encode_token("\ud800")
