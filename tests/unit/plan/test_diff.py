"""How differences read: field by field, each one line whatever stands in it, and nothing that looks secret."""

from __future__ import annotations

import random
from typing import Any

import pytest

from composer.desired.hashing import completed, spec_to_json
from composer.desired.state import (
    AnonymousVolume,
    BindMount,
    ContainerSpec,
    Endpoint,
    GivenFile,
    Port,
    TmpfsMount,
    Ulimit,
)
from composer.frozen import replace
from composer.model.life import Check, Hook, Hooks, RestartPolicy
from composer.model.resources import Resources
from composer.plan.diff import differences, looks_secret, summary

BASE = ContainerSpec(image="docker.io/library/app:1", image_id="sha256:" + "a" * 64)


def between(old: ContainerSpec, new: ContainerSpec) -> list[str]:
    return list(differences(spec_to_json(old), spec_to_json(new)))


def changed(**fields: tuple[Any, Any]) -> list[str]:
    """The lines for fields given as (old, new)."""
    old = replace(BASE, **{name: pair[0] for name, pair in fields.items()})
    return between(old, replace(BASE, **{name: pair[1] for name, pair in fields.items()}))


def environment(old: str, new: str, name: str = "A") -> list[str]:
    return changed(environment=({name: old}, {name: new}))


TABLE: list[tuple[dict[str, tuple[Any, Any]], list[str]]] = [
    ({"environment": ({"MODE": "a"}, {"MODE": "b"})}, ['environment.MODE: "a" → "b"']),
    ({"environment": ({}, {"MODE": "b"})}, ['environment.MODE: (none) → "b"']),
    ({"environment": ({"MODE": "a"}, {})}, ['environment.MODE: "a" → (none)']),
    ({"environment": ({"MODE": ""}, {})}, ['environment.MODE: "" → (none)']),
    (
        {"environment": ({"B": "1", "A": "1"}, {"C": "1", "A": "2"})},
        ['environment.A: "1" → "2"', 'environment.B: "1" → (none)', 'environment.C: (none) → "1"'],
    ),
    ({"environment": ({"A": "1", "B": "2"}, {"B": "2", "A": "1"})}, []),
    ({"command": (("a",), ("a", "b"))}, ['command: ["a"] → ["a", "b"]']),
    ({"command": (("a", "b"), ("b", "a"))}, ['command: ["a", "b"] → ["b", "a"]']),
    ({"entrypoint": (("x",), ())}, ['entrypoint: ["x"] → []']),
    ({"user": ("", "app")}, ['user: "" → "app"']),
    ({"read_only": (False, True)}, ["read_only: false → true"]),
    ({"mem_limit": (0, 64)}, ["mem_limit: 0 → 64"]),
    ({"cpus": (0.5, 1.5)}, ["cpus: 0.5 → 1.5"]),
    ({"stop_grace_seconds": (10.0, 1.5)}, ["stop_grace_period: 10s → 1.5s"]),
    ({"ulimits": ({"nofile": Ulimit(1, 2)}, {"nofile": Ulimit(1, 3)})}, ["ulimits.nofile: [1, 2] → [1, 3]"]),
    ({"labels": ({"a.b": "1"}, {"a.b": "2"})}, ['labels.a.b: "1" → "2"']),
    ({"extra_hosts": ((), (("db", "10.0.0.1"),))}, ['extra_hosts: [] → [["db", "10.0.0.1"]]']),
    ({"image": ("x:1", "x:2")}, ['image: "x:1" → "x:2"']),
    ({"image_id": ("sha256:" + "a" * 64, "sha256:" + "b" * 64)}, [f"image: {'a' * 12} → {'b' * 12}"]),
    ({"image_id": ("", "sha256:" + "b" * 64)}, [f"image: (none) → {'b' * 12}"]),
    ({"image": ("x:1", "x:2"), "image_id": ("sha256:1", "sha256:2")}, ['image: "x:1" → "x:2"']),
    ({"template": ("{}", '{"a": 1}')}, ["x-jocker.template: the text changed"]),
    ({"seccomp_profile": ("", "{}")}, ["security_opt.seccomp: the text changed"]),
    ({"mounts": ((), (BindMount("/a", "/srv"),))}, ["volumes[/a]: (none) → bind /srv"]),
    (
        {"mounts": ((BindMount("/a", "/srv"),), (BindMount("/a", "/srv", read_only=True),))},
        ["volumes[/a]: bind /srv → bind /srv read-only"],
    ),
    (
        {"mounts": ((BindMount("/a", "/srv"),), (BindMount("/a", "/srv", create_host_path=False),))},
        ["volumes[/a]: bind /srv → bind /srv must-exist"],
    ),
    (
        {"mounts": ((BindMount("/a", "/srv"),), (BindMount("/a", "/srv", propagation="rshared"),))},
        ["volumes[/a]: bind /srv → bind /srv propagation=rshared"],
    ),
    (
        {"mounts": ((AnonymousVolume("/a"),), (TmpfsMount("/a", ("size=1m", "exec")),))},
        ["volumes[/a]: volume → tmpfs size=1m,exec"],
    ),
    (
        {"mounts": ((AnonymousVolume("/a"),), (AnonymousVolume("/a", nocopy=True),))},
        ["volumes[/a]: volume → volume nocopy"],
    ),
    (
        {"mounts": ((AnonymousVolume("/a"), AnonymousVolume("/b")), (AnonymousVolume("/b"), AnonymousVolume("/a")))},
        ["volumes: in another order"],
    ),
    ({"logging": ({}, {"driver": "none"})}, ['logging.driver: (none) → "none"']),
    ({"attach": (True, False)}, ["attach: true → false"]),
    ({"files": ((), (GivenFile("secret", "/run/secrets/a", digest="1"),))}, ["secrets[/run/secrets/a]: given"]),
    ({"files": ((GivenFile("config", "/a b"),), ())}, ['configs["/a b"]: no longer given']),
    (
        {"files": ((GivenFile("secret", "/a", digest="1"),), (GivenFile("secret", "/a", digest="2"),))},
        ["secrets[/a]: the content changed (hidden)"],
    ),
    (
        {"files": ((GivenFile("secret", "/a", digest="1"),), (GivenFile("config", "/a", digest="2"),))},
        ["configs[/a]: it was a secret"],
    ),
    (
        {"files": ((GivenFile("secret", "/a"),), (GivenFile("secret", "/a", 1, 2, 0o40),))},
        ["secrets[/a].uid: 0 → 1", "secrets[/a].gid: 0 → 2", "secrets[/a].mode: 0444 → 0040"],
    ),
    (
        {"healthcheck": (Check(("CMD", "x")), Check(("CMD", "x"), interval=5.0, retries=1))},
        ["healthcheck.interval: 30.0 → 5.0", "healthcheck.retries: 3 → 1"],
    ),
]


@pytest.mark.parametrize(("fields", "lines"), TABLE, ids=[str(lines) for _, lines in TABLE])
def test_a_difference_reads_like_this(fields: dict[str, tuple[Any, Any]], lines: list[str]) -> None:
    assert changed(**fields) == lines


def test_every_field_that_is_hashed_is_told() -> None:
    """A field that changes the hash and is not in the diff would recreate without a reason."""
    samples: dict[type, Any] = {str: "other", bool: True, int: 7, float: 7.5, tuple: ("x",), dict: {"k": "v"}}
    special = {
        "mounts": (AnonymousVolume("/x"),),
        "extra_hosts": (("h", "1.1.1.1"),),
        "ulimits": {"core": Ulimit(1, 1)},
        "networks": (Endpoint("p_back", ("web",)),),
        "ports": (Port(80, "8080"),),
        "links": (("database", "db"),),
        "resources": Resources(cpu_shares=5),
        "files": (GivenFile("secret", "/run/secrets/a"),),
        "attach": False,
        "healthcheck": Check(("CMD", "x")),
        "restart": RestartPolicy("always"),
        "hooks": Hooks(pre_stop=(Hook(command=("x",)),)),
    }
    for name in ContainerSpec.__slots__:
        value = special[name] if name in special else samples[type(getattr(BASE, name))]
        assert len(between(BASE, replace(BASE, **{name: value}))) == 1, name


def test_what_an_older_version_did_not_write_is_no_difference() -> None:
    old = {name: value for name, value in spec_to_json(BASE).items() if name not in {"attach", "files", "pid"}}
    assert differences(completed(old), spec_to_json(BASE)) == ()
    assert differences(completed(old), spec_to_json(replace(BASE, pid="host"))) == ('pid: "" → "host"',)


def test_lines_stand_in_the_same_order_however_the_mappings_are_ordered() -> None:
    chance = random.Random(3)
    names = [f"V{number}" for number in range(20)]
    old = replace(BASE, environment=dict.fromkeys(names, "1"), labels=dict.fromkeys(names, "1"))
    new = replace(BASE, environment=dict.fromkeys(names, "2"), labels=dict.fromkeys(names[:10], "2"), user="x")
    expected = between(old, new)
    assert len(expected) == 41
    for _ in range(10):
        chance.shuffle(names)
        shuffled_new = replace(
            new,
            environment={name: new.environment[name] for name in names},
            labels={name: new.labels[name] for name in names if name in new.labels},
        )
        assert between(replace(old, environment=dict.fromkeys(names, "1")), shuffled_new) == expected


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('say "hi"', "x", r'environment.A: "say \"hi\"" → "x"'),
        ("a\nb", "x", r'environment.A: "a\nb" → "x"'),
        ("\x1b[2J", "x", r'environment.A: "\u001b[2J" → "x"'),
        ("\x9b2J", "x", r'environment.A: "\u009b2J" → "x"'),
        ("\u202eevil", "x", r'environment.A: "\u202eevil" → "x"'),
        ("\udcff", "x", r'environment.A: "\udcff" → "x"'),
        ("é→ü", "x", 'environment.A: "é→ü" → "x"'),
    ],
)
def test_values_are_quoted_and_stay_on_one_line(old: str, new: str, line: str) -> None:
    assert environment(old, new) == [line]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("A\n[] -> #2 RemoveContainer db: x", r'"A\n[] -> #2 RemoveContainer db: x"'), ("A B", '"A B"'), ("", '""')],
)
def test_names_of_others_cannot_forge_a_line(name: str, shown: str) -> None:
    assert environment("1", "2", name) == [f'environment.{shown}: "1" → "2"']
    mount = changed(mounts=((), (BindMount(name or " ", "/s\n/t"),)))
    assert len(mount) == 1
    assert mount[0].isprintable()


def test_long_values_are_cut() -> None:
    assert environment("x" * 500, "y") == [f'environment.A: "{"x" * 59}… → "y"']


def test_long_values_are_shown_where_they_part() -> None:
    (line,) = environment("x" * 100 + "1" + "z" * 100, "x" * 100 + "2" + "z" * 100)
    old, new = line.removeprefix("environment.A: ").split(" → ")
    assert old == "…" + "x" * 15 + "1" + "z" * 44 + "…"
    assert new == "…" + "x" * 15 + "2" + "z" * 44 + "…"


def test_a_long_value_that_only_grew_shows_its_end() -> None:
    (line,) = environment("x" * 100, "x" * 100 + "!")
    old, new = line.removeprefix("environment.A: ").split(" → ")
    assert old != new
    assert new.endswith('!"')


NAMES_THAT_HIDE = """
DB_PASSWORD PGPASSWORD SMTP_PASS PASSPHRASE API_KEY APIKEY AWS_SECRET_ACCESS_KEY GH_TOKEN KEY SSH_KEY_PATH SIGNING_KEYS
ADMIN_PWD PIN COOKIE_SALT SSL_PRIVATE db-password Credentials BASICAUTH
"""
PATHS_THAT_SHOW = """
environment.MODE environment.KEYBOARD environment.SPINNER environment.PRIVACY image command privileged security_opt
stop_signal sysctls.net.ipv4.ip_forward extra_hosts labels.com.example.team cap_add ulimits.nofile
"""


@pytest.mark.parametrize("name", NAMES_THAT_HIDE.split())
def test_a_name_that_tells_of_a_secret_hides_its_value(name: str) -> None:
    assert looks_secret(f"environment.{name}")
    assert looks_secret(f"labels.com.example.{name}")


@pytest.mark.parametrize("path", PATHS_THAT_SHOW.split())
def test_other_names_do_not(path: str) -> None:
    assert not looks_secret(path)


SECRET = "hunter2"
CARRIERS: list[dict[str, tuple[Any, Any]]] = [
    {"environment": ({}, {"DB_PASSWORD": SECRET})},
    {"environment": ({"DB_PASSWORD": SECRET}, {})},
    {"environment": ({"DB_PASSWORD": SECRET}, {"DB_PASSWORD": "other"})},
    {"environment": ({}, {"DATABASE_URL": f"postgres://me:{SECRET}@db/x"})},
    {"environment": ({}, {"SENTRY_DSN": f"https://{SECRET}@sentry.example/1"})},
    {"environment": ({}, {"JAVA_OPTS": f"-Xmx1g -Ddb.password={SECRET} -Da=b"})},
    {"environment": ({}, {"CONF": f"host: x, token: {SECRET}"})},
    {"labels": ({}, {"traefik.auth": SECRET})},
    {"command": ((), ("serve", f"--token={SECRET}"))},
    {"command": ((), ("serve", "--api-key", SECRET, "-v"))},
    {"entrypoint": (("x", "--password", SECRET), ("x",))},
    {"command": ((), ("sh", "-c", f"PASSWORD={SECRET} exec x"))},
    {"annotations": ({}, {"secret": SECRET})},
]


@pytest.mark.parametrize("fields", CARRIERS, ids=str)
def test_a_secret_is_not_shown_wherever_it_stands(fields: dict[str, tuple[Any, Any]]) -> None:
    lines = changed(**fields)
    assert len(lines) == 1
    assert SECRET not in lines[0]
    assert "(hidden)" in lines[0]


def test_what_stands_beside_a_secret_is_shown() -> None:
    old, new = ("serve", "--token", "a", "-v"), ("serve", "--token", "b", "-w")
    expected = 'command: ["serve", "--token", "(hidden)", "-v"] → ["serve", "--token", "(hidden)", "-w"]'
    assert len(expected) < 120
    assert changed(command=(old, new)) == [expected]
    assert environment("http://me:a@x/1", "http://me:a@x/2", "URL") == [
        'environment.URL: "http://(hidden)@x/1" → "http://(hidden)@x/2"'
    ]


def test_a_changed_secret_is_told_as_a_change() -> None:
    assert changed(command=(("--token=a",), ("--token=b",))) == ["command: changed (hidden)"]
    assert environment("http://a:b@x", "http://a:c@x", "URL") == ["environment.URL: changed (hidden)"]


NOT_A_SPEC: list[dict[str, Any]] = [
    {},
    {"mounts": None},
    {"mounts": "x"},
    {"mounts": [1, None, {"no": "target"}, {"target": ["x"]}]},
    {"mounts": [{"target": "/a", "type": 5, "source": [], "options": "x", "propagation": []}]},
    {"environment": None},
    {"environment": ["A=1"]},
    {"image_id": 5, "command": {"a": 1}, "stop_grace_seconds": "soon", "extra_hosts": 1, "ulimits": {"nofile": {}}},
]


@pytest.mark.parametrize("old", NOT_A_SPEC, ids=str)
def test_a_damaged_record_is_only_another_old_value(old: dict[str, Any]) -> None:
    lines = differences({**spec_to_json(BASE), **old} if old else old, spec_to_json(BASE))
    assert all(line.isprintable() for line in lines)


def test_the_reason_is_the_first_difference_and_how_many_more_there_are() -> None:
    assert summary(()) == "its configuration changed"
    assert summary(("a",)) == "a"
    assert summary(("a", "b", "c")) == "a (and 2 more)"
