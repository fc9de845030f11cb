"""`make sentiment`: how often the scorer is right about headlines, beside VADER alone.

`data/headlines.csv` was written for this project. Its development part may be looked at while the
lexicon is extended; its held-out part is only counted, so nothing is fitted to it. Other files of
labelled headlines can be named as arguments.
"""

import csv
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from tapewire_services.insights.domain.items import classify_sentiment
from tapewire_services.insights.scoring import MarketScorer, VaderScorer

HEADLINES = Path(__file__).parents[1] / "data" / "headlines.csv"
SENTIMENTS = ("positive", "neutral", "negative")
HELD_OUT = "held-out"


class Headline(msgspec.Struct, frozen=True):
    """A headline with the sentiment that a reader gives it."""

    part: str
    sentiment: str
    title: str


class Accuracy(msgspec.Struct, frozen=True):
    """How a scorer classifies headlines: the counts by label and answer, and the wrong answers."""

    counts: dict[tuple[str, str], int]
    wrong: list[tuple[Headline, str]]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def share(self) -> float:
        """The share of right answers, from 0 to 1."""
        return 1 - len(self.wrong) / self.total


def read_headlines(path: Path = HEADLINES) -> list[Headline]:
    """Read a CSV file with the columns sentiment, title and, if it has parts, part."""
    with path.open(newline="") as file:
        return [
            Headline(row.get("part") or path.stem, row["sentiment"], row["title"])
            for row in csv.DictReader(file)
        ]


def measure(headlines: list[Headline], score_text: Callable[[str], object]) -> Accuracy:
    """Classify `headlines` by their scores."""
    counts: Counter[tuple[str, str]] = Counter()
    wrong = []
    for headline in headlines:
        answer = classify_sentiment(score_text(headline.title)).value  # type: ignore[arg-type]
        counts[headline.sentiment, answer] += 1
        if answer != headline.sentiment:
            wrong.append((headline, answer))
    return Accuracy(dict(counts), wrong)


def report(name: str, headlines: list[Headline], *, shows_wrong: bool) -> None:
    """Print the accuracy before and after, the table of answers, and what is still wrong."""
    before = measure(headlines, VaderScorer().score_text)
    after = measure(headlines, MarketScorer().score_text)
    print(f"\n{name}: {len(headlines)} headlines")  # noqa: T201
    for title, accuracy in (("VADER alone", before), ("Tapewire", after)):
        right = accuracy.total - len(accuracy.wrong)
        print(f"  {title:12} {right}/{accuracy.total} right, {accuracy.share:.1%}")  # noqa: T201
    print(f"  {'label':10}{''.join(f'{answer:>10}' for answer in SENTIMENTS)}")  # noqa: T201
    for label in SENTIMENTS:
        cells = (f"{after.counts.get((label, answer), 0):>10}" for answer in SENTIMENTS)
        print(f"  {label:10}{''.join(cells)}")  # noqa: T201
    if shows_wrong:
        for headline, answer in after.wrong:
            print(f"  {headline.sentiment} taken for {answer}: {headline.title}")  # noqa: T201


def main(paths: list[str]) -> None:
    """Report on each part of the project's headlines, and on each file of `paths`."""
    headlines = read_headlines()
    for part in sorted({headline.part for headline in headlines}):
        chosen = [headline for headline in headlines if headline.part == part]
        report(part, chosen, shows_wrong=part != HELD_OUT or "--wrong" in paths)
    for path in map(Path, (path for path in paths if not path.startswith("--"))):
        if path.exists():
            report(path.name, read_headlines(path), shows_wrong=True)
        else:
            print(f"\n{path}: not here; skipped")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
