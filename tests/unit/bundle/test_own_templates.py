"""A service's own template: what it can say, and how it is told what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bundles
import pytest

from composer.errors import Complaint, StackFileError
from composer.paths import templates_dir

TOP = Path(__file__).parents[3]

EXTENDS = '{% extends "config.json.j2" %}\n'


def render(body: str, **fields: Any) -> dict[str, Any]:
    return bundles.render(bundles.container(template=EXTENDS + body, **fields))


def complaint(template: str) -> Complaint:
    with pytest.raises(StackFileError) as caught:
        bundles.render(bundles.container(template=template))
    return caught.value.complaints[0]


def test_a_template_that_only_extends_gives_the_same_bytes() -> None:
    plain = bundles.render_text(bundles.container())
    assert bundles.render_text(bundles.container(template=EXTENDS)) == plain


@pytest.mark.parametrize(
    ("body", "line", "message", "hint"),
    [
        ("\n{% block mount %}x{% endblock %}", 3, 'config.json.j2 has no block "mount"', "did you mean `mounts`?"),
        ("{% block zzz %}{% endblock %}", 2, 'config.json.j2 has no block "zzz"', "there are: process, "),
        ('\n\n"hooks": {}\n', 4, "text outside of the blocks is left out", "put it into a block"),
        ("{{ container.name }}", 2, "text outside of the blocks is left out", "put it into a block"),
    ],
)
def test_what_would_have_no_effect_is_a_mistake(body: str, line: int, message: str, hint: str) -> None:
    found = complaint(EXTENDS + body)
    assert (found.message, found.place.line) == (message, line)
    assert found.hint.startswith(hint)


def test_blocks_of_one_s_own_may_stand_in_those_of_jocker() -> None:
    body = (
        '{# mine #}{% set a = 1 %}{% block annotations %}{% block mine %}{{ \'"a": "b"\' }}{% endblock %}{% endblock %}'
    )
    assert render(body)["annotations"] == {"a": "b"}


@pytest.mark.parametrize("comma", ["", ","])
@pytest.mark.parametrize(
    ("block", "added", "key"),
    [
        ("mounts", '{"destination": "/x", "type": "tmpfs", "source": "x"}', ("mounts",)),
        ("args", '"more"', ("process", "args")),
        ("env", '"MORE=1"', ("process", "env")),
        ("rlimits", '{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}', ("process", "rlimits")),
        ("namespaces", '{"type": "cgroup"}', ("linux", "namespaces")),
        ("device_rules", '{"allow": true, "access": "rwm"}', ("linux", "resources", "devices")),
        (
            "devices",
            '{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}',
            ("linux", "devices"),
        ),
    ],
)
def test_a_block_of_a_list_can_be_added_to(block: str, added: str, key: tuple[str, ...], comma: str) -> None:
    before: Any = bundles.render(bundles.container())
    after: Any = render(f"{{% block {block} %}}{{{{ super() }}}}{comma}{added}{comma}{{% endblock %}}")
    for name in key:
        before, after = before[name], after[name]
    assert len(after) == len(before) + 1


@pytest.mark.parametrize("comma", ["", ","])
@pytest.mark.parametrize(
    ("block", "added", "key"),
    [
        ("hooks", '"hooks": {"poststop": [{"path": "/bin/true"}]}', ("hooks",)),
        ("annotations", '"org.example": "x"', ("annotations", "org.example")),
        ("sysctl", '"net.core.somaxconn": "9"', ("linux", "sysctl", "net.core.somaxconn")),
        ("resources", '"hugepageLimits": []', ("linux", "resources", "hugepageLimits")),
        ("process_extra", '"oomScoreAdj": 5', ("process", "oomScoreAdj")),
        ("linux_extra", '"intelRdt": {}', ("linux", "intelRdt")),
        ("extra", '"solaris": {}', ("solaris",)),
        ("cwd", '"oomScoreAdj": 5', ("process", "oomScoreAdj")),
        ("user", '"oomScoreAdj": 5', ("process", "oomScoreAdj")),
        ("capabilities", '"oomScoreAdj": 5', ("process", "oomScoreAdj")),
        ("security", '"oomScoreAdj": 5', ("process", "oomScoreAdj")),
        ("paths", '"intelRdt": {}', ("linux", "intelRdt")),
        ("seccomp", '"intelRdt": {}', ("linux", "intelRdt")),
        ("process", '"solaris": {}', ("solaris",)),
        ("root", '"solaris": {}', ("solaris",)),
        ("hostname", '"solaris": {}', ("solaris",)),
        ("linux", '"solaris": {}', ("solaris",)),
    ],
)
def test_a_block_of_members_can_be_added_to(block: str, added: str, key: tuple[str, ...], comma: str) -> None:
    found: Any = render(f"{{% block {block} %}}{{{{ super() }}}}{comma}{added}{comma}{{% endblock %}}")
    for name in key:
        found = found[name]


def test_a_block_can_be_replaced_and_emptied() -> None:
    config = render('{% block paths %}"maskedPaths": ["/proc/keys"]{% endblock %}{% block seccomp %}{% endblock %}')
    assert config["linux"]["maskedPaths"] == ["/proc/keys"]
    assert "readonlyPaths" not in config["linux"]
    assert "seccomp" not in config["linux"]


def test_commas_and_line_breaks_inside_values_are_left_alone() -> None:
    config = render('{% block env %}"A=,,]\\n,}", "B=[,"{% endblock %}')
    assert config["process"]["env"] == ["A=,,]\n,}", "B=[,"]


def test_a_template_can_ask_what_the_container_is() -> None:
    config = render(
        "{% block env %}"
        "{% if container.number == 1 and spec.network_mode == 'none' and machine.architecture == 'amd64' %}"
        '{{ ("SLOT=" ~ container.service ~ container.labels["com.docker.compose.project"]) | tojson }}'
        "{% endif %}{% endblock %}"
    )
    assert config["process"]["env"] == ["SLOT=webshop"]


def test_a_template_may_be_a_whole_config_of_its_own() -> None:
    with pytest.raises(StackFileError) as caught:
        bundles.render(bundles.container(template="{}"))
    assert {str(one.message) for one in caught.value.complaints} >= {"ociVersion: is missing", "process: is missing"}


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ("{% block env %}\n{{ contaner.id | tojson }}{% endblock %}", 3, "'contaner' is undefined"),
        ("\n{% block env %}{{ container.idd | tojson }}{% endblock %}", 3, "has no attribute 'idd'"),
        ("{% block env %}\n{{ 1 / 0 }}{% endblock %}", 3, "division by zero"),
        ("{% block env %}\n{{ container.id + 1 }}{% endblock %}", 3, "can only concatenate str"),
        ("{% block env %}\n{{ nothing.at.all }}\n{% endblock %}", 3, "'nothing' is undefined"),
        ('{% block env %}\n{{ "".__class__.__mro__ }}{% endblock %}', 3, "is unsafe"),
        ("{% block env %}\n{{ spec.environment.clear() }}{% endblock %}", 3, "access to attribute 'clear'"),
        ("{% block env %}\n{% endfor %}{% endblock %}", 3, "Encountered unknown tag 'endfor'"),
        ("{% block env %}\n", 2, "Unexpected end of template"),
        ("{% block env %}\n{{ 1 | nofilter }}{% endblock %}", 3, "No filter named 'nofilter'"),
        ('\n{% include "/etc/passwd" %}{% block env %}{% include "../README.md" %}{% endblock %}', 3, "no template"),
        ('{% block env %}\n"A=1" "B=2"{% endblock %}', 3, "not JSON: Expecting ',' delimiter"),
        ("\n{% block env %}\n{{ spec.tty }}{% endblock %}", 3, "not JSON: Expecting value"),
        ('{% block extra %}\n"hostname": "x"{% endblock %}', 3, "the key 'hostname' stands twice"),
        ('{% block extra %}\n"x": NaN{% endblock %}', 3, "NaN is not a JSON number"),
        ('{% block mounts %}\n{"destination": "x"}{% endblock %}', 3, "mounts[0].destination: must be an absolute"),
        ('{% block rlimits %}\n{"type": "RLIMIT_X"}{% endblock %}', 2, "process.rlimits[0]: 'RLIMIT_X' is not"),
        ('{% block root %}\n"root": {"path": "/"}{% endblock %}', 3, "root.path: must stay"),
        ("{% block linux %}{% endblock %}", 2, "linux: is missing"),
        ('{% block cwd %}\n"cwd": "x"{% endblock %}', 3, "process.cwd: must be an absolute path"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(body: str, line: int, message: str) -> None:
    found = complaint(EXTENDS + body)
    assert message in found.message
    assert found.place.line == line
    assert found.place.file == "template of web"
    assert found.place.path == "services.web.x-jocker.template"


def test_a_template_that_is_not_there_is_named_with_ours() -> None:
    found = complaint('\n{% extends "confg.json.j2" %}')
    assert (found.message, found.place.line) == ("there is no template 'confg.json.j2'", 2)
    assert found.hint == 'jocker\'s own is "config.json.j2"'


def test_the_result_is_shown_where_it_is_not_json() -> None:
    found = complaint(EXTENDS + '{% block env %}"A=1" "B=2"{% endblock %}')
    assert '"A=1" "B=2"' in found.hint


def test_a_comma_that_is_missing_at_the_end_of_a_line_is_found_above() -> None:
    found = complaint(EXTENDS + '{% block mounts %}\n{"destination": "/x"}\n{"destination": "/y"}\n{% endblock %}')
    assert found.place.line in {3, 4}


def test_all_faults_of_a_result_come_at_once() -> None:
    with pytest.raises(StackFileError) as caught:
        render('{% block cwd %}"cwd": ""{% endblock %}{% block args %}{% endblock %}')
    assert [one.message for one in caught.value.complaints] == [
        "process.args: there is no command",
        "process.cwd: must be an absolute path",
    ]


def test_the_example_says_what_its_readme_promises() -> None:
    template = (TOP / "examples/custom-template/mine.json.j2").read_text()
    config = bundles.render(bundles.container(template=template))
    assert config["process"]["env"][-1] == "SLOT=1"
    assert config["process"]["oomScoreAdj"] == 500
    scratch = bundles.mount_at(config, "/scratch")
    assert scratch is not None
    assert scratch["options"][-1] == "size=16777216"
    assert config["linux"]["maskedPaths"][-1] == "/sys"
    limited = bundles.render(bundles.container(template=template, mem_limit=1024))
    assert limited["mounts"][-1]["options"][-1] == "size=256"


def test_the_manual_lists_every_block_and_no_other() -> None:
    manual = (TOP / "docs/templates.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \|", manual.partition("## Blocks")[2].partition("## Variables")[0], re.MULTILINE)
    written = re.findall(r"\{% block (\w+) %\}", (Path(templates_dir()) / "config.json.j2").read_text())
    assert listed == written
