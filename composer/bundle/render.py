"""From a desired container to the text of its config.json: variables into templates, the result checked.

One Jinja environment per process. It is sandboxed: a template of a stack file can say what stands in config.json
and nothing more, so that `config`, `plan` and `render` are safe on a file one has not read yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

from composer.bundle import checks
from composer.bundle.context import (
    OWN_NAMESPACES,
    MachineFacts,
    Namespaces,
    ProcessUser,
    build_context,
)
from composer.bundle.resources import NOTHING_FOUND, Found
from composer.bundle.seccomp import Resolved
from composer.desired.state import DesiredContainer
from composer.errors import Complaint, ContainerError, Place, StackFileError
from composer.paths import templates_dir

if TYPE_CHECKING:
    from jinja2 import Environment, Template

BASE_TEMPLATE = "config.json.j2"

# A string, or a run of commas with the bracket before or after it.
_COMMAS = re.compile(r'("(?:[^"\\\n]|\\.)*")|([\[{]?)(\s*,(?:\s*,)*)(\s*)(?=([\]}])?)')
# What an expression of a template can raise besides Jinja's own errors.
_MISTAKES = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)

_TAGS = re.compile(r"\{[{%#].*?[}%#]\}")
_WORD = re.compile(r"\w")
_KEY = re.compile(r'\s*"(\w+)":')
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n)+")


def render_config(
    container: DesiredContainer,
    *,
    container_id: str,
    rootfs: str,
    cgroup_path: str,
    user: ProcessUser,
    facts: MachineFacts,
    files: Mapping[str, str],
    volumes: Mapping[str, str],
    namespaces: Namespaces = OWN_NAMESPACES,
    given_files: Sequence[str] = (),
    console_size: tuple[int, int] | None = None,
    found: Found = NOTHING_FOUND,
) -> str:
    """The text of a container's config.json, checked; the same arguments give the same text.

    `rootfs` is where its root will be mounted, `files` maps container paths to host files to bind there
    (`/etc/hosts`…), `volumes` the targets of anonymous volumes to their directories, `namespaces` are those it does
    not make for itself, `given_files` the host files of its secrets and configs, `console_size` is rows and columns,
    `found` what the machine has of the devices and limits it asks for.
    Raises `StackFileError` for what is wrong with the service's own template, else `ContainerError`.
    """
    spec = container.spec
    context = build_context(
        container,
        container_id=container_id,
        rootfs=rootfs,
        cgroup_path=cgroup_path,
        user=user,
        facts=facts,
        files=files,
        volumes=volumes,
        namespaces=namespaces,
        given_files=given_files,
        console_size=console_size,
        found=found,
    )
    mine = checks.Mine(rootfs=rootfs, cgroup_path=cgroup_path, terminal=spec.tty, capabilities=facts.capabilities)
    if spec.template:
        return _render_own(container, context, mine)
    text = tidy(_base_template().render(context))
    try:
        faults = checks.check(checks.parse(text), mine)
    except checks.NotJson as error:
        raise ContainerError(f'service "{container.service}": {error}') from None
    if faults:
        raise ContainerError(f'service "{container.service}": {"; ".join(map(str, faults))}')
    return text


def render_hosts(
    container: DesiredContainer,
    *,
    machine: str = "",
    gateway: str = "",
    addresses: tuple[tuple[str, tuple[str, ...]], ...] = (),
) -> str:
    """The text of a container's /etc/hosts. `addresses`: (address, names) of its own, one line each.

    On the machine's network it begins with the `machine`'s own names: what they lead to is there, too.
    `host-gateway` of `extra_hosts` is the machine: `gateway`, the address it has for the container; 127.0.0.1 where
    the network is the machine's. Where there is no way to the machine, it is a `ContainerError`.
    """
    spec = container.spec
    to_machine = "127.0.0.1" if spec.network_mode == "host" else gateway
    extra = []
    for name, address in spec.extra_hosts:
        if address == "host-gateway" and not to_machine:
            raise ContainerError(
                f'service "{container.service}": extra_hosts.{name}: host-gateway needs a network that leads out',
                hint="one that is not `internal`, or `network_mode: host`",
            )
        extra.append((to_machine if address == "host-gateway" else address, name))
    own = machine.rstrip() if spec.network_mode == "host" else ""
    return _environment().get_template("hosts.j2").render(machine=own, extra=extra, addresses=addresses)


def render_resolv_conf(
    nameservers: tuple[str, ...], *, search: tuple[str, ...] = (), options: tuple[str, ...] = ()
) -> str:
    """The text of a container's /etc/resolv.conf."""
    template = _environment().get_template("resolv.conf.j2")
    return template.render(nameservers=nameservers, search=search, options=options)


def container_resolv_conf(container: DesiredContainer, machine: str, *, resolver: str = "") -> str:
    """The text of a container's /etc/resolv.conf, given the `machine`'s own. `resolver` is the name server it has where
    it is on networks: that one alone, and names of one word are asked for as they are. Else the machine's servers,
    without those on its loopback unless the network is the machine's. What the service says goes before all of it.
    """
    spec = container.spec
    is_plain = not (spec.dns or spec.dns_search or spec.dns_opt)
    if spec.network_mode == "host" and is_plain:
        return machine
    lines = [line.split() for line in machine.splitlines() if not line.startswith(("#", ";"))]
    found: dict[str, tuple[str, ...]] = {words[0]: tuple(words[1:]) for words in lines if len(words) > 1}
    servers = tuple(words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1)
    if spec.network_mode != "host":
        servers = tuple(server for server in servers if not server.startswith("127.") and server != "::1")
    options = spec.dns_opt or found.get("options", ())
    if resolver and not any(option.startswith("ndots:") for option in spec.dns_opt):
        options = (*(option for option in options if not option.startswith("ndots:")), "ndots:0")
    search = spec.dns_search if spec.dns_search != (".",) else ()
    return render_resolv_conf(
        (resolver,) if resolver else spec.dns or servers,
        search=search or (found.get("search", ()) if not spec.dns_search else ()),
        options=options,
    )


def tidy(text: str) -> str:
    """Rendered text without empty lines and without commas that JSON has no use for (doubled, before a closing or
    after an opening bracket): a template need not count them, and `{{ super() }}, {…}` works on an empty block."""
    return _EMPTY_LINES.sub("\n", _COMMAS.sub(_comma, text)).strip() + "\n"


def _comma(found: re.Match[str]) -> str:
    text, opening, _, space, closing = found.groups()
    if text is not None:
        return text
    return opening + ("" if opening or closing else ",") + space


def _render_own(container: DesiredContainer, context: dict[str, Any], mine: checks.Mine) -> str:
    """With the service's own template. Everything that can be wrong with it becomes a complaint with a line."""
    from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

    source = container.spec.template
    name = f"services.{container.service}.x-jocker.template"

    def refuse(message: str, line: int, hint: str = "") -> StackFileError:
        return StackFileError((_complaint(container, message, line, hint),))

    try:
        template = _own_template(source, name)
        if lost := tuple(_without_effect(source)):
            raise StackFileError(tuple(_complaint(container, *one) for one in lost))
        text = tidy(template.render(context))
    except TemplateNotFound as error:
        message = f"there is no template {error.name!r}"
        raise refuse(message, _line_with(source, str(error.name)), f'jocker\'s own is "{BASE_TEMPLATE}"') from None
    except TemplateSyntaxError as error:
        raise refuse(str(error.message), error.lineno) from None
    except (TemplateError, *_MISTAKES) as error:
        raise refuse(f"{error}", _line_in_traceback(error.__traceback__, name)) from None
    try:
        parsed = checks.parse(text)
    except checks.NotJson as error:
        line = _line_of_result(source, text, error.line) if error.line else _line_with(source, error.word)
        hint = _excerpt(text, error.line) if error.line else ""
        raise refuse(f"the rendered template is not JSON: {error}", line, hint) from None
    faults = checks.check(parsed, mine)
    if faults:
        raise StackFileError(
            tuple(_complaint(container, str(fault), _line_with(source, *fault.keys)) for fault in faults)
        )
    return text


def _without_effect(source: str) -> Iterator[tuple[str, int, str]]:
    """What a template that extends jocker's says and Jinja drops without a word: message, line, hint."""
    from difflib import get_close_matches

    from jinja2 import nodes

    body = _environment().parse(source).body
    if not any(isinstance(node, nodes.Extends) and node.template == nodes.Const(BASE_TEMPLATE) for node in body):
        return
    known = _base_template().blocks
    for node in body:
        if isinstance(node, nodes.Block) and node.name not in known:
            near = get_close_matches(node.name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(known)}"
            yield f'{BASE_TEMPLATE} has no block "{node.name}"', node.lineno, hint
        elif isinstance(node, nodes.Output):
            text = next(
                (one for one in node.nodes if not isinstance(one, nodes.TemplateData) or one.data.strip()), None
            )
            if text is not None:
                skipped = text.data[: len(text.data) - len(text.data.lstrip())] if hasattr(text, "data") else ""
                yield "text outside of the blocks is left out", text.lineno + skipped.count("\n"), "put it into a block"


def _complaint(container: DesiredContainer, message: str, line: int, hint: str = "") -> Complaint:
    lines = container.spec.template.splitlines()
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    column = len(shown) - len(shown.lstrip()) + 1
    path = f"services.{container.service}.x-jocker.template"
    place = Place(f"template of {container.service}", line, column, path, shown, max(1, len(shown.strip())))
    return Complaint(message, place, hint)


def _line_with(source: str, *words: str) -> int:
    """The last line of `source` that has one of `words`, the earlier word preferred; 1 if none has."""
    lines = source.splitlines()
    for word in words:
        for number in range(len(lines), 0, -1):
            if word and word in lines[number - 1]:
                return number
    return 1


def _line_of_result(source: str, text: str, number: int) -> int:
    """The line of `source` that most likely made line `number` of the result, or what stands above it.

    Jinja keeps no map from result to template: lines are known by the plain text in them, else by the key they
    stand under, whose name is also the block's.
    """
    plain = [
        (line, piece.strip())
        for line, shown in enumerate(source.splitlines(), 1)
        for piece in _TAGS.split(shown)
        if _WORD.search(piece)
    ]
    for shown in reversed(text.splitlines()[:number]):
        made = [line for line, piece in plain if piece in shown]
        if made:
            return made[-1]
        key = _KEY.match(shown)
        if key and f"block {key[1]} " in source:
            return _line_with(source, f"block {key[1]} ")
    return 1


def _line_in_traceback(traceback: TracebackType | None, filename: str) -> int:
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == filename:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _excerpt(text: str, line: int) -> str:
    """The lines of the result round a fault: people cannot see the result otherwise."""
    lines = text.splitlines()
    first = max(0, line - 3)
    return "the result there: " + " ⏎ ".join(shown.strip() for shown in lines[first : line + 1])


def load_templates() -> None:
    """Loads Jinja and compiles our own templates, as the first rendering would."""
    for name in (BASE_TEMPLATE, "hosts.j2", "resolv.conf.j2"):
        _environment().get_template(name)


# Jinja ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(templates_dir()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        autoescape=False,  # JSON, not HTML: `tojson` does the quoting
    )
    environment.filters["tojson"] = to_json
    return environment


@lru_cache(maxsize=1)
def _base_template() -> Template:
    return _environment().get_template(BASE_TEMPLATE)


@lru_cache(maxsize=64)
def _own_template(source: str, name: str) -> Template:
    environment = _environment()
    code = environment.compile(source, name, name)
    return environment.template_class.from_code(environment, code, environment.make_globals(None))


def to_json(value: Any) -> str:
    """The `tojson` of our templates: plain JSON on one line (Jinja's own escapes for HTML)."""
    if isinstance(value, Resolved):
        return value.text
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        return str(value)  # raises, with the name of what is missing
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
