"""The model a stack file gives, and the rules about warnings, names and the table of keys."""

from __future__ import annotations

import pytest
from stackcases import complaints_of, load

from composer.composefile.names import name_without_yaml, normalise
from composer.composefile.support import Support, support_table
from composer.errors import StackFileError, UsageError
from composer.model.service import (
    AnonymousVolume,
    BindMount,
    Dependency,
    Project,
    Retry,
    Service,
    TmpfsMount,
    Ulimit,
)

FULL = """\
name: Full.Stack
x-jocker: {retry: {attempts: 5, wait: 500ms}}
services:
  a:
    image: x:1
    network_mode: host
    command: sleep 5
    entrypoint: [/bin/e]
    environment: {A: 1, U: null}
    user: "1:2"
    working_dir: /w
    group_add: [7, adm]
    hostname: h
    container_name: cc
    labels: {l: 1}
    annotations: {n: 2}
    depends_on: {b: {condition: service_completed_successfully, restart: true}}
    volumes:
      - ./d:/d:ro,rslave
      - {type: bind, source: /s, target: /s, bind: {recursive: disabled}}
      - {type: tmpfs, target: /t, tmpfs: {size: 1k, mode: 0700}, read_only: true}
      - /anon
      - {type: volume, target: /v, volume: {nocopy: true}, read_only: true}
    tmpfs: ["/u:size=1m,exec"]
    read_only: true
    cap_add: [net_admin, CAP_NET_ADMIN]
    cap_drop: [all]
    init: true
    stop_signal: SIGINT
    stop_grace_period: 1500ms
    tty: true
    stdin_open: true
    restart: "no"
    ulimits: {nofile: {soft: 1, hard: 2}, nproc: -1}
    sysctls: [a.b=1]
    security_opt: [seccomp=./p.json, no-new-privileges]
    privileged: true
    mem_limit: 1m
    cpus: "0.5"
    pids_limit: -1
    shm_size: 2m
    extra_hosts: [a=1.1.1.1]
    scale: 2
    pull_policy: always
    x-jocker: {retry: {attempts: 2, on: [1, 137]}, template: ./t.j2}
  b: {image: y, network_mode: none}
"""


def full() -> Project:
    text = FULL.replace("    container_name: cc\n", "")
    return load({"files": {"jocker.yml": text, "p.json": "{}", "t.j2": "{# own #}"}})


def test_every_attribute_reaches_the_model() -> None:
    project = full()
    assert project.name == "fullstack"
    assert project.working_dir == "/stack"
    assert project.files == ("/stack/jocker.yml",)
    assert project.seccomp_profiles == {"./p.json": "{}"}
    assert project.environment["COMPOSE_PROJECT_NAME"] == "fullstack"
    service = project.services["a"]
    assert service == Service(
        name="a",
        place=service.place,
        image="x:1",
        command=("sleep", "5"),
        entrypoint=("/bin/e",),
        environment={"A": "1", "U": None},
        working_dir="/w",
        user="1:2",
        group_add=("7", "adm"),
        hostname="h",
        labels={"l": "1"},
        annotations={"n": "2"},
        depends_on={"b": Dependency("service_completed_successfully", restart=True)},
        mounts=(
            BindMount("/d", "/stack/d", read_only=True, propagation="rslave"),
            BindMount("/s", "/s", create_host_path=False, recursive="disabled"),
            TmpfsMount("/t", ("size=1024", "mode=700"), read_only=True),
            AnonymousVolume("/anon"),
            AnonymousVolume("/v", read_only=True, nocopy=True),
            TmpfsMount("/u", ("size=1m", "exec")),
        ),
        read_only=True,
        cap_add=("CAP_NET_ADMIN",),
        cap_drop=("ALL",),
        init=True,
        stop_signal="SIGINT",
        stop_grace_seconds=1.5,
        tty=True,
        stdin_open=True,
        network_mode="host",
        ulimits={"nofile": Ulimit(1, 2), "nproc": Ulimit(-1, -1)},
        sysctls={"a.b": "1"},
        security_opt=("seccomp=./p.json", "no-new-privileges"),
        privileged=True,
        mem_limit=1 << 20,
        cpus=0.5,
        pids_limit=-1,
        shm_size=2 << 20,
        extra_hosts=(("a", "1.1.1.1"),),
        replicas=2,
        pull_policy="always",
        template="{# own #}",
        retry=Retry(attempts=2, wait=0.5, on=(1, 137)),
    )


def test_what_is_not_written_has_the_specification_s_default() -> None:
    project = full()
    service = project.services["b"]
    assert service == Service(
        name="b", place=service.place, image="y", network_mode="none", retry=Retry(attempts=5, wait=0.5)
    )
    assert str(service.place) == "jocker.yml:45:3  services.b"


def test_the_container_name_is_kept() -> None:
    project = load({"service": "container_name: cc"})
    assert project.services["a"].container_name == "cc"


def test_a_template_for_all_services() -> None:
    text = "x-jocker: {template: /t.j2}\nservices: {a: {image: x, network_mode: none}}\n"
    project = load({"files": {"jocker.yml": text, "/t.j2": "{# own #}"}})
    assert project.services["a"].template == "{# own #}"


def test_an_unset_variable_is_warned_of_once() -> None:
    project = load({"service": "user: $U\nhostname: $U\nlabels: {a: $V}"})
    assert project.warnings == (
        "jocker.yml:5:11  services.a.user: the variable U is not set: an empty string stands in for it",
        "jocker.yml:7:17  services.a.labels.a: the variable V is not set: an empty string stands in for it",
    )


def test_version_and_old_booleans_are_warned_of() -> None:
    text = 'version: "3"\nservices: {a: {image: x, network_mode: none, init: "yes"}}\n'
    project = load({"files": {"jocker.yml": text}})
    assert set(project.warnings) == {
        "jocker.yml:1:1  version: obsolete, ignored: remove it",
        "jocker.yml:2:52  services.a.init: write true instead of yes",
    }


def test_a_shell_operator_in_a_command_is_warned_of() -> None:
    project = load({"service": "command: echo a && echo b"})
    assert project.services["a"].command == ("echo", "a")
    assert project.warnings == (
        "jocker.yml:5:14  services.a.command: no shell reads this line: '&& echo b' is left out",
    )


def test_the_place_of_a_complaint_has_the_source_line() -> None:
    with pytest.raises(StackFileError) as raised:
        load({"service": 'comand: ["sleep", "1"]'})
    place = raised.value.complaints[0].place
    assert (place.text, place.column, place.width) == ('    comand: ["sleep", "1"]', 5, 6)


def test_an_unknown_service_on_the_command_line() -> None:
    with pytest.raises(UsageError, match="no such service: web2") as raised:
        load({"files": {"jocker.yml": "services: {web: {image: x, network_mode: none}}"}, "with_services": ["web2"]})
    assert raised.value.hint == "did you mean `web`?"


def test_a_given_name_beats_the_file_s() -> None:
    text = "name: file\nservices: {a: {image: x, network_mode: none, hostname: $COMPOSE_PROJECT_NAME}}\n"
    project = load({"files": {"jocker.yml": text}, "project": "given"})
    assert (project.name, project.canonical["name"], project.services["a"].hostname) == ("given", "given", "given")


def test_the_last_file_with_a_name_decides() -> None:
    stack = "services: {a: {image: x, network_mode: none}}\n"
    files = {"1.yml": f"name: one\n{stack}", "2.yml": f"name: $SET-two\n{stack}", "3.yml": stack}
    assert load({"files": files}).name == "val-two"


def test_a_name_is_normalised() -> None:
    assert normalise("_-Bad.Na me_é-1") == "badname_-1"


@pytest.mark.parametrize(
    ("text", "sure", "name"),
    [
        ("services: {}\n", True, None),
        ("name: web\nservices: {}\n", True, "web"),
        ("# c\n\nname: web # c\n", True, "web"),
        ("version: 3\nname: web\n", True, "web"),
        ("name: Web\n", False, None),
        ("name: $X\n", False, None),
        ('"name": web\n', False, None),
        ("{name: web}\n", False, None),
        ("services:\n  a: {container_name: x}\n", False, None),
        ("name: one\n---\nname: two\n", False, None),
        ('x: "a\nname: b"\n', False, None),
        ("name: 5\n", False, None),
        ("name: null\n", False, None),
    ],
)
def test_the_name_is_found_without_yaml_only_where_that_is_sure(text: str, sure: bool, name: str | None) -> None:
    assert name_without_yaml(text) == (sure, name)


def test_what_is_wrong_here_and_there_is_told_together() -> None:
    assert complaints_of({"service": "volumes_from: [b]\nfoo: 1\nuser: 5"}) == [
        "jocker.yml:5:20  services.a.volumes_from[0]: the undefined service 'b'",
        "jocker.yml:6:5  services.a.foo: unknown key",
        'jocker.yml:7:11  services.a.user: must be a string, not the number 5 (put it in quotes: "5")',
    ]


def test_the_table_of_keys_is_complete_and_without_repetition() -> None:
    table = support_table()
    paths = [path for path, _, _ in table]
    assert len(paths) == len(set(paths))
    support = {path: support for path, support, _ in table}
    assert support["services.*.image"] is Support.SUPPORTED
    assert support["services.*.ports"] is Support.SUPPORTED
    assert support["services.*.networks.*.driver_opts"] is Support.REFUSED
    assert support["networks.*.ipam.options"] is Support.NO_EFFECT
    assert support["services.*.build.additional_contexts"] is Support.SUPPORTED
    assert support["volumes.*.labels"] is Support.SUPPORTED
    assert support["services.*.storage_opt"] is Support.REFUSED
    assert support["version"] is Support.NO_EFFECT


def test_a_long_chain_of_services_is_no_problem() -> None:
    lines = ["services:"]
    for number in range(3000):
        after = f", depends_on: [s{number + 1}]" if number < 2999 else ""
        lines.append(f"  s{number}: {{image: x, network_mode: none{after}}}")
    assert len(load({"files": {"jocker.yml": "\n".join(lines)}}).services) == 3000


def test_a_secret_of_an_included_project_may_have_a_variable_of_its_own() -> None:
    stack = "include: [inc/c.yaml]\nservices: {a: {image: x, network_mode: none, secrets: [own, shared]}}\n"
    included = "secrets: {own: {environment: OWN}, shared: {environment: SET}}\n"
    project = load({"files": {"jocker.yml": stack, "inc/c.yaml": included, "inc/.env": "OWN=hidden\nSET=not this\n"}})
    own, shared = project.file_objects["secret", "own"], project.file_objects["secret", "shared"]
    assert own.content is not None
    assert own.content.reveal() == b"hidden"
    assert shared.origin == ("secret", "shared", "environment", "SET")
    assert project.canonical["secrets"]["own"] == {"name": "stack_own", "environment": "OWN"}


def test_secrets_of_builds_are_printed() -> None:
    text = "services: {a: {image: x, build: {context: ., secrets: [s]}}}\nsecrets: {s: {file: f}, unused: {file: f}}\n"
    project = load({"stack": text})
    assert project.canonical["secrets"] == {"s": {"name": "stack_s", "file": "/stack/f"}}


def test_a_template_is_beside_the_file_that_names_it() -> None:
    service = "{image: x, network_mode: none, x-jocker: {template: t.j2}}"
    files = {
        "jocker.yml": "include: [inc/c.yaml]\nservices: {a: {extends: {file: ext/e.yaml, service: e}}}\n",
        "inc/c.yaml": f"services: {{c: {service}}}\n",
        "ext/e.yaml": f"services: {{e: {service}}}\n",
        "inc/t.j2": "included",
        "ext/t.j2": "extended",
    }
    services = load({"files": files}).services
    assert (services["a"].template, services["c"].template) == ("extended", "included")


@pytest.mark.parametrize(
    ("service", "platforms"),
    [
        ("{platform: linux/x86_64, build: .}", ("linux/amd64",)),
        ("{platform: AARCH64, build: .}", ("linux/arm64",)),
        ("{build: {platforms: [linux/arm64/v8, linux]}}", ("linux/arm64", "linux")),
        ("{build: .}", ()),
    ],
)
def test_a_build_has_its_platforms_in_go_s_names(service: str, platforms: tuple[str, ...]) -> None:
    build = load({"files": {"jocker.yml": f"services: {{a: {service}}}\n"}}).services["a"].build
    assert build is not None
    assert build.platforms == platforms


def test_a_number_that_python_does_not_read_is_told() -> None:
    text = f"services: {{a: {{image: x, cpu_shares: '{'9' * 5000}'}}}}\n"
    [complaint] = complaints_of({"files": {"jocker.yml": text}})
    assert "services.a.cpu_shares: must be a whole number" in complaint


def test_a_limit_of_the_stack_without_a_value_is_none() -> None:
    stack = "services: {a: {image: x}}\nx-jocker: {limits: {cpus: null}}\n"
    assert load({"files": {"jocker.yml": stack}}).limits is None
