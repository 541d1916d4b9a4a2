"""What is to be done when watched files have changed. Behaviour as docker compose's `watch`; deviations on purpose:

- .dockerignore, `ignore` and `include` hold in the first synchronisation as they do later, with whole paths;
- `.git` is left out wherever it is, and `*` in a .dockerignore means everything, as for a build.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from composer.model.life import Hook, WatchAction, WatchRule
from composer.plan.patterns import Patterns

COPYING = frozenset({"sync", "sync+restart", "sync+exec"})
"""Actions that bring files into containers."""

ALWAYS_IGNORED = (
    "**/.git",
    *("**/*___jb_old___", "**/*___jb_tmp___", "**/.idea/**"),  # JetBrains
    *("**/.#*", "**/#*#"),  # Emacs
    *("**/4913", "**/*~", "**/.*.swp", "**/.*.swx", "**/.*.swo", "**/.*.swn"),  # Vim
    "**/.*.kate-swp",
    "**/*-go-tmp-umask",
)
"""What editors and tools leave for a moment; nobody means these. As docker compose has them."""

_EDITORS = Patterns(ALWAYS_IGNORED)


class Rule(NamedTuple):
    """One rule of one service, ready to be asked. `path` is absolute and real: no part of it is a link.

    `context` is the directory that `context_ignores` (.dockerignore) are relative to, "" without a build. `copies`: its
    changes are brought into the containers; not where a bind mount does that already.
    """

    service: str
    path: str
    action: WatchAction
    target: str
    include: Patterns | None
    ignore: Patterns
    context: str
    context_ignores: Patterns
    hook: Hook | None = None
    initial_sync: bool = False
    copies: bool = False

    @classmethod
    def of(
        cls,
        service: str,
        rule: WatchRule,
        *,
        path: str,
        context: str = "",
        context_ignores: Iterable[str] = (),
        is_mounted: bool = False,
    ) -> Rule:
        """The rule of the file; `path` is its path without links, `is_mounted`: the container sees it anyway."""
        return cls(
            service,
            path,
            rule.action,
            rule.target,
            Patterns(rule.include) if rule.include else None,
            Patterns(rule.ignore),
            context,
            Patterns(context_ignores),
            rule.hook,
            rule.initial_sync,
            rule.action in COPYING and not is_mounted,
        )

    def concerns(self, path: str) -> bool:
        """Whether a change of this absolute path is one for the rule."""
        below = below_of(self.path, path)
        if below is None:
            return False
        # A file that is watched itself goes by its name; the watched directory itself is meant by no pattern.
        named = below or path.rpartition("/")[2]
        if self.include is not None and not self.include.match(named):
            return False
        return not self.ignores(path)

    def ignores(self, path: str) -> bool:
        """Whether a path below the rule's own is left out, whatever `include` says."""
        below = below_of(self.path, path)
        in_context = below_of(self.context, path) if self.context else None
        return (
            bool(below and self.ignore.match(below))
            or bool(in_context and self.context_ignores.match(in_context))
            or _EDITORS.match(below or path.rpartition("/")[2])
        )

    def target_of(self, path: str) -> str:
        """Where in the container a path below the rule's own belongs."""
        below = below_of(self.path, path)
        if below:
            return f"{self.target.rstrip('/')}/{below}"
        return (
            f"{self.target}{path.rpartition('/')[2]}"
            if self.target.endswith("/") and self.target != "/"
            else self.target
        )


def below_of(directory: str, path: str) -> str | None:
    """`path` relative to `directory`: "" if it is that, None if it lies elsewhere."""
    if path == directory:
        return ""
    start = directory.rstrip("/") + "/"
    return path[len(start) :] if path.startswith(start) else None


class Change(NamedTuple):
    """A path of the machine that is to be in the containers as it is there now, or gone; and the rule that says so."""

    path: str
    rule: Rule


class Actions(NamedTuple):
    """What one batch of changes asks for, in the order in which it is done. Services in order of their rules."""

    rebuild: tuple[str, ...]
    sync: Mapping[str, tuple[Change, ...]]
    restart: tuple[str, ...]
    hooks: tuple[tuple[str, Hook], ...]

    def __bool__(self) -> bool:
        return bool(self.rebuild or self.sync or self.restart or self.hooks)


def decide(changed: Iterable[str], rules: Iterable[Rule]) -> Actions:
    """The actions for these absolute paths. A service that is rebuilt gets its files that way, and the rest as well: it
    may not have what is synchronised in its image. Hooks run once a batch.
    """
    paths = sorted(set(changed))
    rebuild: dict[str, None] = {}
    restart: dict[str, None] = {}
    sync: dict[str, list[Change]] = {}
    hooks: list[tuple[str, Hook]] = []
    for rule in rules:
        mine = [path for path in paths if rule.concerns(path)]
        if not mine:
            continue
        if rule.copies:
            sync.setdefault(rule.service, []).extend(Change(path, rule) for path in mine)
        if rule.action == "rebuild":
            rebuild[rule.service] = None
        if rule.action in {"restart", "sync+restart"}:
            restart[rule.service] = None
        if rule.action == "sync+exec" and rule.hook is not None:
            hooks.append((rule.service, rule.hook))
    return Actions(tuple(rebuild), {name: tuple(found) for name, found in sync.items()}, tuple(restart), tuple(hooks))
