"""Who may import whom, and that pure parts stay pure: read from the source, not from a running program."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "composer"

EFFECTS = {"actual/observe", "composefile/read"}
"""Files of pure packages that touch the machine, by name. `image` is mixed: its pure files are listed below."""

PURE_IMAGE = {"image/config", "image/layout", "image/reference", "image/tar", "image/whiteouts"}

PURE = {"actual", "bundle", "composefile", "desired", "export", "model", "plan"}

EVERYWHERE = {"digest", "errors", "frozen"}
"""What every part may import."""

# What a part may import of the others, beside itself and `EVERYWHERE`.
ARROWS = {
    "actual": {"desired", "model"},
    "actual/observe": {"actual", "desired", "host", "model", "paths"},
    "bundle": {"desired", "model"},
    "bundle/render": {"bundle", "desired", "model", "paths"},  # where the templates lie
    "composefile": {"image/reference", "model"},
    "composefile/read": {"composefile", "host", "model", "paths"},
    "desired": {"image/config", "image/reference", "model"},
    "digest": set(),
    "errors": set(),
    "frozen": set(),
    "execute": {"actual", "bundle", "desired", "host", "image", "model", "paths", "plan"},
    "export": {"desired", "model"},
    # Whatever it is asked about in the words of others: facts for bundles, states of containers, image configs.
    "host": {"actual", "bundle", "desired", "image", "model", "paths"},
    "image": {"host", "model", "paths"},
    "model": set(),
    "paths": set(),
    "plan": {"actual", "desired", "model"},
    "supervisor": {"actual", "bundle", "desired", "execute", "host", "image", "model", "paths", "plan"},
    "daemon": {"actual", "bundle", "composefile", "desired", "execute", "host", "image", "model", "paths", "plan"},
}

IMPURE_MODULES = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "io", "multiprocessing", "os", "pathlib", "pty"),
    *("random", "secrets", "select", "selectors", "shutil", "signal", "socket", "subprocess", "tempfile", "termios"),
    *("threading", "time", "urllib", "uuid"),
}

PURE_FILES_MAY = {
    # The C parser of ruamel reads a stream, and a stream of text is not a file.
    "composefile/yaml": {"io"},
}


def modules() -> dict[str, ast.Module]:
    """Every module below composer/ as `package/name`, parsed."""
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
        if "_templates" not in path.parts
    }


MODULES = modules()


def imports(tree: ast.Module) -> Iterator[str]:
    """Dotted names of all imports, also those inside functions; `from composer import x` counts as `composer.x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(tree: ast.Module) -> set[str]:
    """Modules of this package that `tree` imports, as `package/name`; a package alone for its `__init__`."""
    found = set()
    for name in imports(tree):
        parts = name.split(".")[1:]
        if name.split(".")[0] == "composer" and parts:
            found.add(next((p for p in ("/".join(parts[:2]), parts[0]) if p in MODULES), parts[0]))
    return found


def pure(module: str) -> bool:
    return module in PURE_IMAGE or (module.split("/", maxsplit=1)[0] in PURE and module not in EFFECTS)


@pytest.mark.parametrize("module", [name for name in MODULES if name.split("/")[0] not in {"cli", "__main__"}])
def test_a_module_imports_only_along_the_arrows(module: str) -> None:
    package = module.split("/", maxsplit=1)[0]
    if package == "__init__":
        assert not ours(MODULES[module])
        return
    if module in PURE_IMAGE:
        allowed = {*EVERYWHERE, "model", *PURE_IMAGE}
    else:
        allowed = {*EVERYWHERE, package, *(ARROWS[module] if module in ARROWS else ARROWS[package])}
    wrong = {name for name in ours(MODULES[module]) if not {name, name.split("/")[0]} & allowed}
    if package != "image" and package in PURE:
        wrong |= ours(MODULES[module]) & EFFECTS - {module}
    assert not wrong


@pytest.mark.parametrize("module", [name for name in MODULES if pure(name)])
def test_a_pure_module_imports_nothing_that_touches_the_world(module: str) -> None:
    used = {name.split(".")[0] for name in imports(MODULES[module])}
    assert not used & IMPURE_MODULES - PURE_FILES_MAY.get(module, set())


@pytest.mark.parametrize("module", [name for name in MODULES if pure(name)])
def test_a_pure_module_opens_no_file(module: str) -> None:
    calls = {node.func.id for node in ast.walk(MODULES[module]) if _is_call(node)}  # type: ignore[attr-defined]
    assert not calls & {"open", "input", "print", "exec", "eval", "__import__"}


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def test_nothing_but_the_entry_point_imports_cli() -> None:
    users = {name for name, tree in MODULES.items() if any(used.startswith("cli") for used in ours(tree))}
    assert {name for name in users if not name.startswith("cli/")} <= {"__main__"}


def test_commands_do_not_import_one_another() -> None:
    """Shared code has a module of its own; `app` and `main` know all commands."""
    commands = {name.removeprefix("cli/") for name in MODULES if _holds_a_command(name)}
    for command in commands:
        others = {used.removeprefix("cli/") for used in ours(MODULES[f"cli/{command}"])} & commands
        assert not others - {command}, f"cli/{command} imports {others}"


def _holds_a_command(module: str) -> bool:
    """Commands are named after what the user types."""
    package, _, name = module.partition("/")
    words = (
        "config create doctor down exec image kill logs network plan port ps render restart rm run start stop up "
        "version"
    )
    return package == "cli" and name in words.split()


def test_packages_are_a_docstring_only() -> None:
    for name, tree in MODULES.items():
        if name.endswith("/__init__"):
            assert len(tree.body) == 1, name
            assert isinstance(tree.body[0], ast.Expr), name


def test_only_cli_main_exits() -> None:
    """Whoever exits from the depths cannot be used as a library."""
    for name, tree in MODULES.items():
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        raised = {ast.unparse(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc}
        if not name.startswith("cli/"):
            assert not called & {"sys.exit", "exit", "quit"}, name
            assert not any(text.startswith("SystemExit") for text in raised), name


@pytest.mark.parametrize("module", list(MODULES))
def test_no_thread_loses_its_place(module: str) -> None:
    """Threads run the steps: what changes the whole process, or one thread for good, has no place in shared code."""
    called = {ast.unparse(node.func) for node in ast.walk(MODULES[module]) if isinstance(node, ast.Call)}
    forbidden = {"os.chdir", "os.fchdir", "os.fork", "os.setns", "os.umask", "os.chroot", "os.unshare"}
    assert not called & forbidden - MAY_CHANGE_THE_PROCESS.get(module, set())
    keywords = {k.arg for node in ast.walk(MODULES[module]) if isinstance(node, ast.Call) for k in node.keywords}
    assert "preexec_fn" not in keywords


MAY_CHANGE_THE_PROCESS: dict[str, set[str]] = {"host/reaping": {"os.fork"}, "supervisor/again": {"os.fork"}}
"""Modules that are the whole of a process of their own, and what they may do to it."""
