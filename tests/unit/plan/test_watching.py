"""From changed files and rules to what is done."""

from __future__ import annotations

from typing import Any

import pytest

from composer.model.life import Hook, WatchRule
from composer.plan.watching import Rule, decide

HOOK = Hook(command=("true",))


def rule(service: str = "web", action: Any = "sync", path: str = "/p/src", **more: Any) -> Rule:
    fixed = {key: more.pop(key) for key in ("context", "context_ignores", "is_mounted") if key in more}
    written = WatchRule(path, action, **{"target": "/app", **more})
    return Rule.of(service, written, path=path, **fixed)


@pytest.mark.parametrize(
    "path", ["/p/src/a", "/p/src/d/e/f", "/p/src", "/p/src/.gitignore", "/p/src/a.swp", "/p/src/x~y"]
)
def test_what_is_below_concerns_a_rule(path: str) -> None:
    assert rule().concerns(path)


@pytest.mark.parametrize(
    "path",
    [
        *("/p", "/p/srcs/a", "/p/src2", "/other"),
        *("/p/src/.git/HEAD", "/p/src/sub/.git", "/p/src/.a.swp", "/p/src/d/4913", "/p/src/a~", "/p/src/.#lock"),
        *("/p/src/#a#", "/p/src/.idea/workspace.xml", "/p/src/x___jb_tmp___", "/p/src/.f.kate-swp"),
        "/p/src/x-go-tmp-umask",
    ],
)
def test_what_editors_leave_and_what_lies_elsewhere_does_not(path: str) -> None:
    assert not rule().concerns(path)


def test_a_rule_ignores_and_includes_relative_to_its_path() -> None:
    found = rule(include=("**/*.py",), ignore=("test/",))
    assert [path for path in ("a.py", "d/b.py", "a.txt", "test/c.py") if found.concerns(f"/p/src/{path}")] == [
        "a.py",
        "d/b.py",
    ]


def test_what_the_build_leaves_out_is_relative_to_its_context() -> None:
    found = rule(context="/p", context_ignores=("src/node_modules", "*.md"))
    assert not found.concerns("/p/src/node_modules/x.js")
    assert found.concerns("/p/src/README.md")
    assert found.concerns("/p/src/lib/node_modules.js")
    assert rule(path="/elsewhere", context="/p", context_ignores=("**",)).concerns("/elsewhere/a")


def test_where_a_path_belongs() -> None:
    assert rule(target="/app").target_of("/p/src/d/e") == "/app/d/e"
    assert rule(target="/app/").target_of("/p/src/d") == "/app/d"
    assert rule(target="/").target_of("/p/src/d") == "/d"
    assert rule(target="/app").target_of("/p/src") == "/app"
    assert rule(path="/p/conf", target="/etc/").target_of("/p/conf") == "/etc/conf"
    assert rule(path="/p/conf", target="/etc/web").target_of("/p/conf") == "/etc/web"


def test_one_batch_asks_once_for_each_thing() -> None:
    rules = [
        rule("web", "sync"),
        rule("web", "sync+exec", "/p/conf", hook=HOOK),
        rule("api", "rebuild"),
        rule("job", "restart", target=""),
        rule("old", "sync+restart", "/p/none"),
    ]
    found = decide(["/p/src/b", "/p/src/a", "/p/src/a", "/p/conf/x", "/p/conf/y", "/nobody"], rules)
    assert found.rebuild == ("api",)
    assert {name: [one.path for one in changes] for name, changes in found.sync.items()} == {
        "web": ["/p/src/a", "/p/src/b", "/p/conf/x", "/p/conf/y"]
    }
    assert found.restart == ("job",)
    assert found.hooks == (("web", HOOK),)
    assert found


def test_changes_that_concern_nobody_ask_for_nothing() -> None:
    assert not decide(["/nobody"], [rule()])


def test_what_a_bind_mount_brings_is_not_brought_again_but_the_rest_is_done() -> None:
    found = decide(["/p/src/a"], [rule(action="sync+exec", hook=HOOK, is_mounted=True)])
    assert not found.sync
    assert found.hooks == (("web", HOOK),)
