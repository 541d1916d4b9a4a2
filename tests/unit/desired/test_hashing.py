"""What changes the hash of a service and what must not; specs as JSON and back; ids that follow from them."""

from __future__ import annotations

import json
from typing import Any

import plancases
import pytest
import stackcases

from composer.desired.build import desire, replica
from composer.desired.hashing import config_hash, container_id, spec_from_json, spec_to_json
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
from composer.model.resources import Device, DeviceRequest, DiskLimit, Resources

FULL = ContainerSpec(
    image="docker.io/library/app:1",
    image_id="sha256:" + "a" * 64,
    entrypoint=("/e",),
    command=("serve", "-v"),
    environment={"B": "2", "A": "1"},
    working_dir="/srv",
    user="7:8",
    group_add=("9",),
    hostname="me",
    labels={"x": "y"},
    annotations={"n": "m"},
    mounts=(
        BindMount("/b", "/srv", read_only=True, propagation="rshared"),
        TmpfsMount("/t", ("size=1m",)),
        AnonymousVolume("/v", nocopy=True),
    ),
    read_only=True,
    cap_add=("NET_ADMIN",),
    cap_drop=("ALL",),
    init=True,
    stop_signal="SIGINT",
    stop_grace_seconds=1.5,
    tty=True,
    stdin_open=True,
    network_mode="host",
    ulimits={"nofile": Ulimit(1, 2)},
    sysctls={"net.core.somaxconn": "1"},
    security_opt=("seccomp=x.json",),
    seccomp_profile="{}",
    privileged=True,
    mem_limit=1,
    cpus=0.5,
    pids_limit=2,
    shm_size=3,
    extra_hosts=(("db", "10.0.0.1"),),
    template="{{ x }}",
)


NETWORKED = replace(
    FULL,
    healthcheck=Check(("CMD", "x"), interval=1.5),
    restart=RestartPolicy("on-failure", 3),
    hooks=Hooks(post_start=(Hook(command=("x",), environment={"A": None}),)),
    domainname="example",
    network_mode="",
    networks=(Endpoint("p_default", ("web",), gw_priority=1),),
    ports=(Port(80, "8080"),),
    expose=("81/tcp",),
    dns=("1.1.1.1",),
    dns_search=("example",),
    dns_opt=("ndots:1",),
    links=(("database", "db"),),
    pid="host",
    ipc="shareable",
    uts="host",
    cgroup="private",
    resources=Resources(
        cpu_shares=512,
        oom_kill_disable=True,
        device_read_bps=(DiskLimit("/dev/sda", 5),),
        device_cgroup_rules=("c 1:3 r",),
        devices=(Device("/dev/null", "/dev/x", "r"),),
        gpus=(DeviceRequest("nvidia", 0, ("0",), ("gpu",), (("a", "b"),)),),
    ),
    files=(GivenFile("secret", "/run/secrets/a", 1, 2, 0o400, "d"),),
    volumes_from=("service:db:ro",),
    logging={"driver": "none"},
    runtime="crun",
    attach=False,
)


def of(service: str, **image: Any) -> str:
    """The hash of a service; `service` are its keys in YAML flow style."""
    found = plancases.desired(plancases.project(f"services: {{web: {{{service}}}}}"), images={"app": image})
    return found.services["web"].config_hash


SAME = [
    ("environment: {A: '1', B: '2'}", "environment: {B: '2', A: '1'}"),
    ("environment: {A: '1'}", "environment: [A=1]"),
    ("environment: {A: 1}", "environment: {A: '1'}"),
    ("labels: {a: x, b: y}", "labels: [b=y, a=x]"),
    ("command: serve -v", "command: [serve, -v]"),
    ("mem_limit: 64m", "mem_limit: 67108864"),
    ("stop_grace_period: 1m", "stop_grace_period: 60s"),
    ("volumes: ['/srv:/data']", "volumes: [{type: bind, source: /srv, target: /data, bind: {create_host_path: true}}]"),
    ("ulimits: {nofile: 5}", "ulimits: {nofile: {soft: 5, hard: 5}}"),
    ("image: app", "image: 'docker.io/library/app:latest'"),
    ("user: root, tty: true", "tty: true, user: root"),
    ("", "scale: 3"),
    ("", "deploy: {replicas: 2}"),
    ("", "pull_policy: always"),
    ("", "container_name: mine"),
    ("", "x-mine: {a: 1}"),
    ("", "x-jocker: {retry: {attempts: 3}}"),
    ("", "shm_size: 64m"),
    ("", "stop_signal: SIGTERM"),
    ("", "command: [serve]"),
    ("", "attach: true"),
    ("", "logging: {driver: json-file}"),
    ("", "logging: {options: {tag: x}}"),
    ("", "pull_policy: daily"),
    ("runtime: runc", "runtime: io.containerd.runc.v2"),
    ("logging: {driver: local}", "logging: {driver: json-file, options: {max-size: 20m, max-file: 5}}"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_means_the_same_has_the_same_hash(one: str, other: str) -> None:
    assert of(one) == of(other)


DIFFERENT = [
    "environment: {A: '1'}",
    "labels: {a: x}",
    "annotations: {a: x}",
    "command: [other]",
    "entrypoint: [/e]",
    "user: app",
    "working_dir: /srv",
    "hostname: me",
    "volumes: [/data]",
    "tmpfs: /t",
    "read_only: true",
    "cap_add: [NET_ADMIN]",
    "cap_drop: [ALL]",
    "init: true",
    "stop_signal: SIGINT",
    "stop_grace_period: 1s",
    "tty: true",
    "stdin_open: true",
    "network_mode: host",
    "ulimits: {nofile: 5}",
    "sysctls: {net.core.somaxconn: 1}",
    "privileged: true",
    "mem_limit: 64m",
    "cpus: 0.5",
    "pids_limit: 10",
    "shm_size: 1m",
    "extra_hosts: {db: 10.0.0.1}",
    "group_add: [9]",
    "image: other",
    "logging: {driver: none}",
    "logging: {driver: local}",
    "logging: {options: {max-size: 1m}}",
    "runtime: crun",
    "attach: false",
]


def test_what_shapes_the_container_changes_the_hash_each_to_another() -> None:
    hashes = {service: of(service) for service in ["", *DIFFERENT]}
    assert len(set(hashes.values())) == len(hashes)


def test_order_counts_where_it_means_something() -> None:
    assert of("command: [a, b]") != of("command: [b, a]")
    assert of("command: [a b]") != of("command: [a, b]")


@pytest.mark.parametrize("image", [{"env": ["A=1"]}, {"user": "app"}, {"volumes": ["/data"]}, {"build": 2}], ids=str)
def test_another_image_changes_the_hash(image: dict[str, Any]) -> None:
    assert of("", **image) != of("")


def loaded(text: str, name: str = "jocker.yml", extra: dict[str, str] | None = None) -> str:
    """The hash of the service `a` in a file as it stands."""
    project = stackcases.load({"files": {name: text, **(extra or {})}, "project": "p"})
    images = {"docker.io/library/x:latest": plancases.image("docker.io/library/x:latest")}
    return desire(project, images).services["a"].config_hash


PLAIN = "services:\n  a:\n    image: x\n    network_mode: none\n    environment: {A: b}\n"


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + PLAIN,
        PLAIN.replace("none", '"none"  # quoted'),
        "x-part: &part {A: b}\n" + PLAIN.replace("{A: b}", "*part"),
        PLAIN.replace("A: b", "A: '${NOT_SET:-b}'"),
        PLAIN + "  other: {image: y, network_mode: none}\n",
        PLAIN + "    depends_on: [other]\n  other: {image: y, network_mode: none}\n",
        "name: p\n" + PLAIN,
    ],
)
def test_how_the_file_is_written_does_not_count(text: str) -> None:
    assert loaded(text) == loaded(PLAIN)


def test_the_name_of_the_file_does_not_count() -> None:
    assert loaded(PLAIN, "compose.yml") == loaded(PLAIN)


def test_an_env_file_counts_by_what_is_in_it() -> None:
    def with_file(name: str, content: str) -> str:
        return loaded(PLAIN.replace("environment: {A: b}", f"env_file: {name}"), extra={name: content})

    assert with_file("one.env", "A=b\n") == with_file("two.env", "# other\nA=b\n") == loaded(PLAIN)
    assert with_file("one.env", "A=c\n") != loaded(PLAIN)


def test_a_template_counts_by_its_text() -> None:
    one, other = replace(FULL, template="{# a #}"), replace(FULL, template="{# b #}")
    assert config_hash(one) != config_hash(other)


def test_every_field_is_part_of_the_hash() -> None:
    default = ContainerSpec(image="i", image_id="d")
    seen = {config_hash(default)}
    for name in ContainerSpec.__slots__:
        seen.add(config_hash(replace(default, **{name: getattr(NETWORKED, name)})))
    assert len(seen) == len(ContainerSpec.__slots__) + 1


def test_a_spec_survives_json() -> None:
    for spec in (FULL, NETWORKED, ContainerSpec(image="i", image_id="d")):
        again = spec_from_json(json.loads(json.dumps(spec_to_json(spec))))
        assert again == spec
        assert config_hash(again) == config_hash(spec)


def test_the_hash_of_today_is_the_hash_of_tomorrow() -> None:
    """A new jocker must not recreate what did not change: raise HASH_VERSION when this has to change."""
    assert config_hash(FULL) == HASH_OF_FULL


HASH_OF_FULL = "f7a447f12500e14b376a23c4c52efbdfa5068c7dc005110d85e580236dd91c81"


def test_bytes_that_are_no_text_can_be_hashed() -> None:
    """A variable taken from the environment may hold any bytes."""
    assert config_hash(replace(FULL, environment={"A": "\udcff"})) != config_hash(replace(FULL, environment={"A": ""}))


@pytest.mark.parametrize(
    "damage",
    [
        {"entrypoint": "text"},
        {"entrypoint": None},
        {"command": [1]},
        {"environment": ["A=1"]},
        {"environment": {"A": None}},
        {"mounts": {}},
        {"mounts": [None]},
        {"mounts": [{"target": "/x"}]},
        {"mounts": [{"type": "npipe", "target": "/x"}]},
        {"mounts": [{"type": "bind", "target": "/x"}]},
        {"mounts": [{"type": "tmpfs", "target": "/x", "surprise": 1}]},
        {"ulimits": {"nofile": 5}},
        {"ulimits": {"nofile": [1, 2, 3]}},
        {"extra_hosts": [["a"]]},
        {"extra_hosts": 7},
        {"files": {}},
        {"logging": {"driver": 1}},
        {"runtime": None},
        {"attach": "no"},
        {"files": [{"kind": "secret"}]},
        {"files": [{"kind": "secret", "target": "/a", "uid": "root"}]},
        {"privileged": "false"},
        {"mem_limit": "64m"},
        {"mem_limit": True},
        {"user": 7},
        {"from_the_future": 1},
    ],
    ids=str,
)
def test_what_is_no_spec_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        spec_from_json({**spec_to_json(FULL), **damage})


def test_a_spec_without_image_is_refused() -> None:
    with pytest.raises(TypeError):
        spec_from_json({"entrypoint": [], "mounts": []})


def test_a_whole_number_will_do_for_a_fraction() -> None:
    """JSON of other writers has `1` where we write `1.0`."""
    assert spec_from_json({**spec_to_json(FULL), "cpus": 1}).cpus == 1.0


def test_ids_follow_from_project_service_name_hash_and_what_is_replaced() -> None:
    stack = plancases.desired(plancases.project("services: {web: {scale: 2}, db: {}}"))
    web = replica(stack, stack.services["web"], 1)
    one = container_id(web)
    assert len(one) == 64
    assert set(one) <= set("0123456789abcdef")
    assert one == container_id(replica(stack, stack.services["web"], 1))
    others = [
        container_id(replace(web, project="q")),
        container_id(replace(web, service="db")),
        container_id(replace(web, name="p-web-2")),
        container_id(replace(web, config_hash="0" * 64)),
        container_id(web, replaces=one),
    ]
    assert len({one, *others}) == 6
