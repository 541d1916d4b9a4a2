"""Files to one tree, with what they extend and include; files are read through a function passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Final, NamedTuple

from composer.composefile.canonical import canonical
from composer.composefile.checks import checked
from composer.composefile.environment import Reader
from composer.composefile.hostpaths import Base, display_path
from composer.composefile.interpolate import interpolated
from composer.composefile.merge import merged_onto
from composer.composefile.tree import Findings, Mark, Node, Path, Source, shown
from composer.composefile.yaml import MAX_NODES, parse_yaml

if TYPE_CHECKING:
    from composer.composefile.raw import Variable

_MAX_FILES: Final = 500


class Context(NamedTuple):
    """What a pass may look at besides the document: what interpolation sees, what relative paths start from.

    With `variables` nothing is expanded: they are collected there.
    """

    environment: Mapping[str, str]
    base: Base
    findings: Findings
    variables: dict[str, Variable] | None = None


Pass = Callable[[Node, Context], Node]


def expanded(document: Node, context: Context) -> Node:
    """With every variable replaced."""
    if context.variables is not None:
        from composer.composefile.raw import collect

        collect(document, context.variables)
        return document
    return interpolated(document, (), context.environment, context.findings)


def _checked(document: Node, context: Context) -> Node:
    return checked(document, context.findings, expanded=context.variables is None)


def _canonical(document: Node, context: Context) -> Node:
    if context.variables is not None:
        from composer.composefile.raw import canonical_where_possible

        return canonical_where_possible(document, context.base, context.findings)
    return canonical(document, context.base, context.findings)


def _without_version(document: Node, context: Context) -> Node:
    version = document.at("version")
    if version is None:
        return document
    context.findings.warn("obsolete, ignored: remove it", version.key or version.mark, ("version",))
    return document.with_value({key: node for key, node in document.items.items() if key != "version"})


READING_PASSES: Final[tuple[Pass, ...]] = (_checked, _without_version, _canonical)
DOCUMENT_PASSES: Final[tuple[Pass, ...]] = (expanded, *READING_PASSES)


def prepared(document: Node, context: Context, passes: tuple[Pass, ...] = DOCUMENT_PASSES) -> Node:
    """The document checked and in long form. What is wrong in it is complained about and left out."""
    return reduce(lambda node, step: step(node, context), passes, document)


class Parsed(NamedTuple):
    """One stack file: its absolute path (`-` for stdin) and its documents, empty ones left out."""

    path: str
    documents: tuple[Node, ...]


class Loading:
    """What all files of one project have in common: how they are read, and how much of them there may be."""

    def __init__(self, read: Reader, cwd: str, findings: Findings) -> None:
        self.read = read
        self.cwd = cwd
        self.findings = findings
        self._files = 0
        self._values = 0

    def model(self, files: Sequence[Parsed], context: Context, trail: tuple[str, ...] = ()) -> Node:
        """All documents of `files` as one tree, in long form and without tags.

        `trail` are the files that include these, outermost first.
        """
        whole: Node | None = None
        for file in files:
            for document in file.documents:
                node = self.document(document, file.path, context, (*trail, file.path))
                whole = merged_onto(whole, node, self.findings)
        return whole or Node({}, Mark(Source(files[0].path if files else "")))

    def document(self, document: Node, file: str, context: Context, trail: tuple[str, ...]) -> Node:
        """One document, checked, with what it extends and includes. `trail` ends with the file itself."""
        node = prepared(document, context)
        services = node.at("services")
        if services is not None and any("extends" in service.items for service in services.items.values()):
            from composer.composefile.extends import extended

            node = node.with_value({**node.items, "services": extended(services, file, context, self)})
        if "include" in node.items:
            from composer.composefile.include import included

            node = included(node, context, trail, self)
        return node

    def open(self, file: str, named: Node, path: Path, how: str, *, optional: bool = False) -> Parsed | None:
        """The file that `named` at `path` names, or None after a complaint. `how` is as in "included from".

        `file` is absolute. With `optional` a file that is not there is no reason to complain.
        """
        name = display_path(file, self.cwd)
        text = self.text(file, named, path, "file", optional=optional)
        if text is None:
            return None
        documents = parse_yaml(text, name, self.findings, via(named.mark, how))
        return Parsed(file, tuple(node for node in documents if node.value is not None and node.value != {}))

    def text(self, file: str, named: Node, path: Path, what: str, *, optional: bool = False) -> str | None:
        """The text of a file that another one names; None after a complaint that calls it `what`."""
        complain = self.findings.complain
        self._files += 1
        if self._files > _MAX_FILES:
            complain(f"more than {_MAX_FILES} files, one from another", named.mark, path)
            return None
        name = shown(display_path(file, self.cwd))
        try:
            return self.read(file)
        except FileNotFoundError:
            if not optional:
                complain(f"the {what} {name} does not exist", named.mark, path)
        except IsADirectoryError:
            if not optional:
                complain(f"{name} is a directory, not a file", named.mark, path)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            complain(f"the {what} {name} cannot be read: {why}", named.mark, path)
        return None

    def count(self, node: Node, mark: Mark, path: Path) -> None:
        """Counts what a node adds that stood elsewhere. Raises `StackFileError` once that is more than one file may
        hold.
        """
        self._values += size_of(node)
        if self._values > MAX_NODES:
            self.findings.fail(f"more than {MAX_NODES} values once all is extended", mark, path)


def via(mark: Mark, how: str) -> tuple[str, ...]:
    """How a file came to be read that is named at `mark`; `how` is as in "included from"."""
    return (f"{how} {shown(mark.source.name)}:{mark.line}:{mark.column}", *mark.source.via)


def size_of(node: Node) -> int:
    """How many values a tree has."""
    count = 0
    todo = [node]
    while todo:
        value = todo.pop().value
        count += 1
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return count
