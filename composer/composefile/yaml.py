"""YAML text to trees, one per document, with a place for every value.

Built from the C parser's events and not from its node graph: composing nodes recurses in C, and a file of
brackets only would crash the process. Events keep their own stack, so depth and size can be bounded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from composer.composefile.scalars import plain_scalar
from composer.composefile.tree import Findings, Mark, Node, Path, Scalar, Source, shown

MAX_CHARACTERS = 8 << 20
_MAX_SLOW = 64 << 10
"""Characters of a file that may be read by the Python parser, which takes a second for some hundred thousand."""
MAX_DEPTH = 100
MAX_NODES = 100_000
"""Nodes of one file with every alias counted each time it is used: nine lines of YAML can mean a billion values."""

_TAGS = {"!reset": "reset", "!override": "override"}
_CORE = "tag:yaml.org,2002:"


class _Open:
    """A collection whose end has not been read yet."""

    __slots__ = ("anchor", "elements", "entries", "is_map", "key", "mark", "merged_at", "merges", "size", "tag")

    def __init__(self, mark: Mark, tag: str, anchor: str | None, *, is_map: bool) -> None:
        self.mark = mark
        self.tag = tag
        self.anchor = anchor
        self.is_map = is_map
        self.entries: dict[str, Node] = {}
        self.merges: list[Node] = []
        self.merged_at: Mark | None = None
        self.elements: list[Node] = []
        self.key: tuple[str, Mark, bool] | None = None
        self.size = 1


class _Anchored(NamedTuple):
    node: Node
    size: int


def parse_yaml(text: str, name: str, findings: Findings, via: tuple[str, ...] = ()) -> list[Node]:
    """The documents of `text`, each a `Node`; complaints about the YAML itself go to `findings`.

    `name` is the file as the user would write it, `via` how it came to be read (see `Source`). After a syntax error
    the documents before it are returned.
    """
    source = source_of(text, name, via)
    if len(text) > MAX_CHARACTERS:
        findings.complain(f"the file is longer than {MAX_CHARACTERS >> 20} MiB", Mark(source, 1, 1), ())
        return []
    from ruamel.yaml.error import YAMLError

    text = text.removeprefix("\ufeff")
    # the C parser stops at `[./a:/b]` (a colon inside a plain word of a flow list), which YAML 1.2 and Compose allow:
    # only then is the file read again by the Python parser, which is fifteen times slower
    for events in (_c_events, _python_events):
        own = Findings()
        builder = _Builder(source, own)
        try:
            builder.build(events(text))
        except YAMLError as error:
            if events is _c_events and "found unexpected ':'" in str(error) and len(text) <= _MAX_SLOW:
                continue
            builder.syntax_error(error)
        for complaint in own.complaints:
            findings.complaints.append(complaint)
        break
    return builder.documents


def source_of(text: str, name: str, via: tuple[str, ...] = ()) -> Source:
    """The text's lines as YAML counts them."""
    return Source(name, tuple(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")), via)


def _c_events(text: str) -> Iterator[Any]:
    from _ruamel_yaml import CParser  # type: ignore[import-not-found]

    parser = CParser(text)
    while parser.check_event():
        yield parser.get_event()


def _python_events(text: str) -> Iterator[Any]:
    from ruamel.yaml import YAML

    return iter(YAML(typ="safe", pure=True).parse(text))


class _Refused(Exception):
    """The rest of the file is not worth reading; the complaint has been made."""


class _Builder:
    """Turns events into nodes with a stack of its own."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self.source = source
        self.findings = findings
        self.stack: list[_Open] = []
        self.anchors: dict[str, _Anchored] = {}
        self.total = 0
        self.documents: list[Node] = []

    def build(self, events: Iterator[Any]) -> None:
        """Reads all events; raises what the parser raises."""
        try:
            for event in events:
                self._take(event)
        except _Refused:
            pass

    def _take(self, event: Any) -> None:
        kind = type(event).__name__
        if kind == "ScalarEvent":
            self._scalar(event)
        elif kind == "AliasEvent":
            self._alias(event)
        elif kind in {"MappingStartEvent", "SequenceStartEvent"}:
            self._open(event, is_map=kind == "MappingStartEvent")
        elif kind in {"MappingEndEvent", "SequenceEndEvent"}:
            self._close()
        elif kind == "DocumentStartEvent":
            self.anchors = {}

    # events -------------------------------------------------------------------------------------------
    def _scalar(self, event: Any) -> None:
        mark = self._mark(event)
        tag = _tag(event)
        plain = event.style is None or event.style == ""
        container = self.stack[-1] if self.stack else None
        if container is not None and container.is_map and container.key is None:
            is_merge = plain and event.value == "<<" and not tag
            self._key(container, event.value, plain_scalar(event.value) if plain and not tag else "", mark, is_merge)
            return
        value, kept = self._typed(event.value, tag, plain=plain, mark=mark)
        node = Node(value, mark, None, kept)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(node, 1)
        self._put(node, 1)

    def _typed(self, text: str, tag: str, *, plain: bool, mark: Mark) -> tuple[Scalar, str]:
        if not tag or tag in _TAGS:
            value = plain_scalar(text) if plain else text
            # to Go's YAML a value with a tag it does not know is a text; null stays what everybody means by it
            return (text if tag == "!override" and value is not None else value), _TAGS.get(tag, "")
        if tag in {"!", f"{_CORE}str"}:
            return text, ""
        if tag in {f"{_CORE}int", f"{_CORE}float", f"{_CORE}bool", f"{_CORE}null"}:
            value = plain_scalar(text)
            if not isinstance(value, str):
                return (float(value) if tag.endswith("float") and isinstance(value, int) else value), ""
            self.findings.complain(f"{shown(text)!r} is not {tag.removeprefix(_CORE)}", mark, self._path())
            return None, ""
        self._unknown_tag(tag, mark)
        return text, ""

    def _alias(self, event: Any) -> None:
        mark = self._mark(event)
        if any(opened.anchor == event.anchor for opened in self.stack):
            self.findings.complain(f"the alias *{shown(event.anchor)} stands inside its own anchor", mark, self._path())
            raise _Refused
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            self.findings.complain(f"no anchor &{shown(event.anchor)} before this alias", mark, self._path())
            anchored = _Anchored(Node(None, mark), 1)
        container = self.stack[-1] if self.stack else None
        if container is not None and container.is_map and container.key is None:
            self._key(container, anchored.node.text, anchored.node.value, mark, is_merge=False)
            return
        self._put(anchored.node, anchored.size)

    def _open(self, event: Any, *, is_map: bool) -> None:
        mark = self._mark(event)
        if len(self.stack) >= MAX_DEPTH:
            self.findings.complain(f"nested more than {MAX_DEPTH} levels deep", mark, self._path()[:5])
            raise _Refused
        container = self.stack[-1] if self.stack else None
        if container is not None and container.is_map and container.key is None:
            self.findings.complain("a key must be a plain word, not a list or mapping", mark, self._path())
            raise _Refused
        tag = _tag(event)
        if tag and tag not in _TAGS and tag not in {f"{_CORE}map", f"{_CORE}seq", "!"}:
            self._unknown_tag(tag, mark)
        self.stack.append(_Open(mark, _TAGS.get(tag, ""), event.anchor, is_map=is_map))

    def _close(self) -> None:
        done = self.stack.pop()
        if done.is_map:
            node = Node(self._merged(done), done.mark, None, done.tag)
        else:
            node = Node(done.elements, done.mark, None, done.tag)
        if done.anchor:
            self.anchors[done.anchor] = _Anchored(node, done.size)
        self.total -= done.size - 1  # its parts were counted when they were put into it
        self._put(node, done.size)

    # building -----------------------------------------------------------------------------------------
    def _key(self, container: _Open, text: str, value: object, mark: Mark, is_merge: bool) -> None:
        if not isinstance(value, str) and not is_merge:
            message = f"the key {shown(text) or 'null'} is not a string"
            self.findings.complain(message, mark, self._path(), 'put it in quotes: "' + shown(text) + '"')
        container.key = (text, mark, is_merge)

    def _put(self, node: Node, size: int) -> None:
        self.total += size
        if self.total > MAX_NODES:
            message = f"more than {MAX_NODES} values once every alias is followed"
            self.findings.complain(message, node.mark, self._path()[:5])
            raise _Refused
        if not self.stack:
            self.documents.append(node)
            return
        container = self.stack[-1]
        container.size += size
        if not container.is_map:
            container.elements.append(node)
            return
        key, mark, is_merge = container.key or ("", node.mark, False)
        if is_merge and container.merged_at is not None:
            hint = f"it is already there in line {container.merged_at.line}; a list takes several"
            self.findings.complain("this key is written twice", mark, self._path(), hint)
        elif is_merge:
            container.merged_at = mark
            self._merge(container, node)
        elif key in container.entries:
            first = container.entries[key].key
            hint = f"it is already there in line {first.line}" if first else ""
            self.findings.complain("this key is written twice", mark, self._path(), hint)
        else:
            container.entries[key] = Node(node.value, node.mark, mark, node.tag)
        container.key = None

    def _merge(self, container: _Open, node: Node) -> None:
        parts = node.elements if isinstance(node.value, list) else [node]
        if not all(isinstance(part.value, dict) for part in parts):
            self.findings.complain("`<<` takes a mapping, or a list of mappings", node.mark, self._path())
            return
        container.merges.extend(parts)

    def _merged(self, done: _Open) -> dict[str, Node]:
        """Explicit keys win over merged ones, earlier merged mappings over later ones."""
        if not done.merges:
            return done.entries
        entries = dict(done.entries)
        for part in done.merges:
            for key, node in part.items.items():
                entries.setdefault(key, node)
        return entries

    # places -------------------------------------------------------------------------------------------
    def _mark(self, event: Any) -> Mark:
        start, end = event.start_mark, event.end_mark
        width = end.column - start.column if end.line == start.line else 1
        return Mark(self.source, start.line + 1, start.column + 1, max(width, 1))

    def _path(self) -> Path:
        """The path of what is being read."""
        path: list[str | int] = []
        for opened in self.stack:
            if not opened.is_map:
                path.append(len(opened.elements))
            elif opened.key is not None:
                path.append(opened.key[0])
        return tuple(path)

    def _unknown_tag(self, tag: str, mark: Mark) -> None:
        hint = "a stack file may use `!reset` and `!override`"
        self.findings.complain(f"unknown YAML tag {shown(tag)}", mark, self._path(), hint)

    def syntax_error(self, error: Any) -> None:
        """Complains about what stopped the parser."""
        at = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        mark = Mark(self.source, at.line + 1, at.column + 1) if at else Mark(self.source, 1, 1)
        if mark.line > len(self.source.lines) > 0:  # the end of the file: show its last line
            mark = Mark(self.source, len(self.source.lines), len(self.source.lines[-1]) + 1)
        said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).splitlines()[0]
        context = getattr(error, "context", None)
        message = f"not valid YAML: {context + ': ' if context else ''}{said}"
        hint = "put the word in quotes" if said.startswith("found unexpected ':'") else ""
        if "cannot start any token" in said and "\\t" in repr(self._line(mark)):
            message = "not valid YAML: a tab where spaces are needed"
        self.findings.complain(shown(message), mark, self._path(), hint)

    def _line(self, mark: Mark) -> str:
        return self.source.lines[mark.line - 1] if 0 < mark.line <= len(self.source.lines) else ""


def _tag(event: Any) -> str:
    """The tag as written, or ""."""
    tag = event.ctag if hasattr(event, "ctag") else event.tag
    return str(tag) if tag else ""
