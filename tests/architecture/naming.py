"""Rules for names: retired words stay retired, and a public class name means one thing.

Retired words are compared with whole identifiers (classes, functions, parameters, attributes and
variables), not with parts of longer ones. Class names that several modules share are listed in
docs/glossary.md, in the table below the heading `SHARED_HEADING`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.architecture.sources import RuleFindings, RuleViolation, SourceFile, nodes

SHARED_HEADING = "## Class names with several definitions"

_RETIRED_CLASSES = """
Alarms Along Beginnings Board Came Comings Crew Desk Dialect Ear Entities Entrance Eyes Family
Feed Flag Floor Hand Happening Heard Kept Known Lane Line Made Marks Opening Patience Place
Reaction Reason Recorded Refusal Refused Rollcall Roster Rulebook Scene Seat Shown Stretch
SyncTape Taken Tally Tape Told Trouble Unanswered Values Voice Wants Watch Way Wire
"""
_RETIRED_WORDS = """
along beginnings chance comings crew desk dialect ear entrance eyes happening hear hearsay
in_passing know lane look mind opening patience react rollcall roster rulebook say scene seat
stretch take tally tape tell told trouble voice wire
"""
RETIRED = frozenset(_RETIRED_CLASSES.split()) | frozenset(_RETIRED_WORDS.split())


def check_retired_words(source: SourceFile) -> RuleFindings:
    """Identifiers that a glossary term has replaced."""
    for line, name in identifiers(source.tree):
        word = name.strip("_")
        if word in RETIRED or (word.isupper() and word.lower() in RETIRED):
            yield line, f"the name {name} is retired: use the term of docs/glossary.md"


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that the file defines or assigns."""
    for node in nodes(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield node.lineno, name
            case ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case _:
                pass


def find_shared_class_names(
    sources: Sequence[SourceFile], allowed: frozenset[str]
) -> Iterator[RuleViolation]:
    """Public top-level classes that have the name of another one, unless `allowed` has the name."""
    definitions: dict[str, list[tuple[SourceFile, int]]] = defaultdict(list)
    for source in sources:
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                definitions[node.name].append((source, node.lineno))
    for name, places in definitions.items():
        if len(places) > 1 and name not in allowed:
            modules = " and ".join(source.module for source, _ in places)
            for source, line in places:
                yield RuleViolation(source.file, line, f"class {name} is defined in {modules}")


def read_shared_names(glossary: str) -> frozenset[str]:
    """The class names in the first column of the glossary's table of shared names."""
    section = glossary.partition(f"\n{SHARED_HEADING}\n")[2].partition("\n## ")[0]
    return frozenset(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
