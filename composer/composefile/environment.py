"""`env_file` and `environment` to the variables of a service; the files are read through a function passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from composer.composefile.hostpaths import display_path
from composer.composefile.tree import Findings, Mark, Node, Path, Source, shown

Reader = Callable[[str], str]
"""An absolute path to the file's text; raises OSError or ValueError (not UTF-8, too long)."""


def resolved(service: Node, path: Path, known: Mapping[str, str], read: Reader, cwd: str, findings: Findings) -> Node:
    """The service with all its variables under `environment` and without `env_file`.

    `known` is what interpolation sees: a key without a value takes its value from there, else it stays null, which
    removes the variable. Later files win over earlier ones, `environment` over all files.
    """
    written = service.at("environment")
    files = service.at("env_file")
    if written is None and files is None:
        return service
    own: dict[str, Node] = {}
    for key, node in written.items.items() if written else ():
        own[key] = node if node.value is not None else node.with_value(known.get(key))
    from_files: dict[str, Node] = {}
    for index, file in enumerate(files.elements if files else ()):
        values = _file_values(file, (*path, "env_file", index), from_files, own, known, read, cwd, findings)
        from_files.update({key: Node(value, file.mark) for key, value in values.items()})
    for key, node in {**from_files, **own}.items():
        if "\0" in node.text:
            findings.complain("a variable's value cannot contain a NUL", node.mark, (*path, "environment", key))
    entries = {key: node for key, node in service.items.items() if key != "env_file"}
    origin = written or files or service
    entries["environment"] = Node({**from_files, **own}, origin.mark, origin.key)
    return service.with_value(entries)


def labelled(service: Node, path: Path, read: Reader, cwd: str, findings: Findings) -> Node:
    """The service with all its labels under `labels` and without `label_file`.

    Later files win over earlier ones, `labels` over all files. A variable in a file is a label above it.
    """
    files = service.at("label_file")
    if files is None:
        return service
    from composer.composefile.consistency import read_or_complain
    from composer.composefile.dotenv import BadLine, parse_dotenv

    found: dict[str, Node] = {}
    for index, file in enumerate(files.elements):
        here = (*path, "label_file", index)
        text = read_or_complain(file.text, "label file", file.mark, here, read, cwd, findings)
        if text is None:
            continue
        above = {key: node.text for key, node in found.items()}
        try:
            values = parse_dotenv(text, above.get, above)
        except BadLine as error:
            source = Source(display_path(file.text, cwd), tuple(text.split("\n")), file.mark.source.via)
            findings.complain(error.message, Mark(source, error.line, 1), here)
            continue
        found.update({key: Node(value, file.mark) for key, value in values.items()})
    written = service.at("labels")
    entries = {key: node for key, node in service.items.items() if key != "label_file"}
    origin = written or files
    entries["labels"] = Node({**found, **(written.items if written else {})}, origin.mark, origin.key)
    return service.with_value(entries)


def _file_values(
    file: Node,
    path: Path,
    earlier: Mapping[str, Node],
    own: Mapping[str, Node],
    known: Mapping[str, str],
    read: Reader,
    cwd: str,
    findings: Findings,
) -> dict[str, str]:
    from composer.composefile.dotenv import BadLine, parse_dotenv, parse_raw

    def lookup(name: str) -> str | None:
        if name in known:
            return known[name]
        node = own.get(name)
        return node.text if node is not None and node.value is not None else None

    location, required, form = file.at("path"), file.at("required"), file.at("format")
    if location is None:
        return {}
    name = display_path(location.text, cwd)
    try:
        text = read(location.text)
    except FileNotFoundError:
        if required is None or required.value:
            hint = "make it, or write {path: …, required: false}"
            findings.complain(f"the env file {shown(name)} does not exist", location.mark, path, hint)
        return {}
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        findings.complain(f"the env file {shown(name)} cannot be read: {why}", location.mark, path)
        return {}
    try:
        if form is not None and form.text == "raw":
            return parse_raw(text, lookup)
        return parse_dotenv(text, lookup, {key: node.text for key, node in earlier.items()})
    except BadLine as error:
        mark = Mark(Source(name, tuple(text.split("\n"))), error.line, 1)
        findings.complain(error.message, mark, path)
        return {}
