"""Rules for names: retired words stay retired, and a public class name means one thing.

Retired words are compared with whole identifiers (classes, functions, parameters, attributes,
variables and import aliases), not with parts of longer ones. Tests have a longer list, and in tests
the rule also reads assertion messages and the descriptions of waits. Class names that several
modules share are listed in docs/glossary.md, in the table below the heading `SHARED_HEADING`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.architecture.sources import RuleFindings, RuleViolation, SourceFile, module_name, nodes

SHARED_HEADING = "## Class names with several definitions"

_RETIRED_CLASSES = """
Alarms Along Beginnings Board Came Comings Crew Desk Dialect Ear Entities Entrance Eyes Family
Feed Flag Floor Hand Happening Heard Kept Known Lane Line Made Marks Opening Patience Place
Reaction Reason Recorded Refusal Refused Rollcall Roster Rulebook Scene Seat Shown Stretch
SyncTape Taken Tally Tape Told Trouble Unanswered Values Voice Wants Watch Way Wire
"""
_RETIRED_WORDS = """
along beginnings chance comings crew desk dialect ear entrance eyes happening hear hearsay
in_passing know lane look mind opening patience react reaction rollcall roster rulebook say scene
seat stretch take tally tape tell told trouble voice wire
"""
_RETIRED_IN_TESTS = """
anybody asked board died happened happens heard house kept knows said says shown somebody story
taken troubles
"""
_RETIRED_IN_MESSAGES = """
anybody hear heard hears house knows nobody said say says somebody story tape tell tells told wire
"""
RETIRED = frozenset(_RETIRED_CLASSES.split()) | frozenset(_RETIRED_WORDS.split())
RETIRED_IN_TESTS = RETIRED | frozenset(_RETIRED_IN_TESTS.split())
RETIRED_IN_MESSAGES = frozenset(_RETIRED_IN_MESSAGES.split())

_WAIT_FUNCTION = re.compile(r"wait_\w+|fail")


def check_retired_words(source: SourceFile, retired: frozenset[str] = RETIRED) -> RuleFindings:
    """Identifiers that a glossary term has replaced."""
    for line, name in identifiers(source.tree):
        word = name.strip("_")
        if word in retired or (word.isupper() and word.lower() in retired):
            yield line, f"the name {name} is retired: use the term of docs/glossary.md"


def find_retired_words_in_tests(root: Path) -> list[RuleViolation]:
    """Retired identifiers and messages in the Python files below ``tests``, sorted by file."""
    found: list[RuleViolation] = []
    for path in sorted((root / "tests").rglob("*.py")):
        file = path.relative_to(root).as_posix()
        source = SourceFile(file, module_name(path, root), ast.parse(path.read_text()))
        findings = [
            *check_retired_words(source, RETIRED_IN_TESTS),
            *_check_messages(source),
        ]
        found += [RuleViolation(file, *finding) for finding in sorted(findings)]
    return found


def _check_messages(source: SourceFile) -> RuleFindings:
    """Retired words in assertion messages, failures and descriptions of waits."""
    for text in _messages(source.tree):
        for node in ast.walk(text):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for word in re.findall(r"\w+", node.value):
                    if word.lower() in RETIRED_IN_MESSAGES:
                        yield text.lineno, f"the word {word} in a message: say what happens"


def _messages(tree: ast.Module) -> Iterator[ast.expr]:
    for node in nodes(tree):
        match node:
            case ast.Assert(msg=ast.Constant() | ast.JoinedStr() as text):
                yield text
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name),
                args=[ast.Constant() | ast.JoinedStr() as text, *_],
            ) if _WAIT_FUNCTION.fullmatch(name):
                yield text
            case _:
                pass


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that the file defines, assigns or gives to an import."""
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
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
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
    for name, found in definitions.items():
        if len(found) > 1 and name not in allowed:
            modules = " and ".join(source.module for source, _ in found)
            for source, line in found:
                yield RuleViolation(source.file, line, f"class {name} is defined in {modules}")


def read_shared_names(glossary: str) -> frozenset[str]:
    """The class names in the first column of the glossary's table of shared names."""
    section = glossary.partition(f"\n{SHARED_HEADING}\n")[2].partition("\n## ")[0]
    return frozenset(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
