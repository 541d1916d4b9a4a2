"""Stack files that nobody would write, all keys of the table in all forms: mostly right, sometimes slightly wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from composer.composefile.shapes import CHOICES, SHAPES
from composer.composefile.support import keys_of


class Raw(str):
    """Text that stands in the file as it is: a plain scalar, a tag."""

    __slots__ = ()


Draw = st.DrawFn
SERVICES: Final = ("a", "b", "c")
FILES: Final = {
    "e.env": "A=1\nB=${SET}\nC\n",
    "l.env": "L=1\n",
    "base.yml.txt": "services: {base: {image: y, environment: [A, B=1], command: [x]}}\n",
    "inc.txt": "services: {included: {image: z}}\nnetworks: {inc: }\n",
}
"""What the stack files refer to."""

_ODD: Final[tuple[Any, ...]] = (
    "", " ", "x y", "é", "${SET}", "${U}", "${U:-5}", "${N}", "${SET:+}", "$$x", "${U?no}", "${", "$", "-", "0", "1.5",
    "true", "yes", "null", Raw("1"), Raw("-1"), Raw("0"), Raw("1.5"), Raw("1.0"), Raw("1e3"), Raw("0x10"), Raw("0o17"),
    Raw("017"), Raw("1_000"), Raw("true"), Raw("no"), Raw("on"), Raw("null"), Raw("~"), Raw(".5"), Raw("2020-01-01"),
    Raw(".inf"), Raw("{}"), Raw("[]"), Raw("{a: 1}"), Raw("[a]"), Raw("[a, a]"), Raw("!!str 5"),
    Raw("99999999999999999999"),
)  # fmt: skip
_KINDS: Final[Mapping[str, tuple[Any, ...]]] = {
    "text": ("x", "abc", "${SET}", "a-b.c_d"),
    "scalar": ("x", "", Raw("1"), Raw("1.5"), Raw("true"), Raw("null")),
    "option": ("x", Raw("1"), Raw("true"), Raw("1.5")),
    "text or whole": ("1", Raw("80"), "x"),
    "text or number": ("x", Raw("1"), Raw("1.5")),
    "bool": (Raw("true"), Raw("false"), "true", "${U:-false}"),
    "real bool": (Raw("true"), Raw("false")),
    "real int": (Raw("1"), Raw("4096")),
    "int": (Raw("1"), Raw("0"), "2", "${N}"),
    "count": (Raw("0"), Raw("1"), "2", "${N}"),
    "limit": (Raw("5"), Raw("-1"), "7"),
    "number": (Raw("0.5"), Raw("1"), "0.25", "${N}"),
    "bytes": ("64m", "1g", Raw("1048576"), "1.5gb", "512"),
    "duration": ("5s", "1m30s", "0s", "500ms", "${N}s"),
    "octal": (Raw("0755"), Raw("448"), "0700"),
    "file mode": (Raw("0444"), "0440", Raw("288")),
    "whole size": ("1m", Raw("1024"), "512k"),
    "size text": ("64m", "1g", "512"),
    "size or none": ("1g", Raw("-1"), Raw("1048576")),
    "cut": (Raw("100"), "200", Raw("1.5")),
    "percent": (Raw("50"), "100"),
    "how many": ("all", Raw("1"), "2"),
    "text or bool": ("x", "true", Raw("false")),
}
_PLACES: Final[Mapping[str, tuple[Any, ...]]] = {
    "include[]": ("inc.txt",),
    "name": ("s", "my-stack", "${SET}"),
    "networks.*.driver": ("bridge", "overlay", ""),
    "networks.*.ipam.config[].subnet": ("10.5.0.0/16", "10.6.0.0/24", "2001:db8::/64"),
    "networks.*.ipam.config[].gateway": ("10.5.0.1",),
    "networks.*.ipam.config[].ip_range": ("10.5.1.0/24",),
    "networks.*.ipam.config[].aux_addresses": (Raw("{h: 10.5.0.9}"),),
    "networks.*.ipam.driver": ("default",),
    "services.*.blkio_config.weight_device[].path": ("/dev/sda",),
    "configs.*.content": ("text", "${SET}"),
    "configs.*.file": ("./e.env",),
    "secrets.*.file": ("./e.env",),
    "secrets.*.environment": ("SET", "U"),
    "configs.*.environment": ("SET", "U"),
    "services.*.secrets[]": ("s1", "s2"),
    "services.*.secrets[].source": ("s1",),
    "services.*.configs[]": ("c1", "c2"),
    "services.*.configs[].source": ("c1",),
    "services.*.build": (".", "./src", "https://example.com/x.git"),
    "services.*.build.context": (".", "./src"),
    "services.*.build.additional_contexts[]": ("a=./a", "b=service:b", "c=docker-image://x"),
    "services.*.build.additional_contexts.*": ("./a", "service:b", "https://example.com/x.git"),
    "services.*.build.args[]": ("A=1", "B"),
    "services.*.build.platforms[]": ("linux/amd64",),
    "services.*.build.secrets[]": ("s1", "s2"),
    "services.*.build.ssh": (Raw("[default]"), Raw("{default: x}")),
    "services.*.build.ssh[]": ("default", "a=/x"),
    "services.*.cap_add[]": ("NET_ADMIN", "CHOWN", "ALL", "net_raw"),
    "services.*.cap_drop[]": ("NET_ADMIN", "CHOWN", "ALL"),
    "services.*.command": ("a b", "sh -c 'x y'", "", Raw("null"), Raw("[a, b]"), "a 'b", "a | b"),
    "services.*.container_name": ("cc", "c1", "c", "my_c.1"),
    "services.*.cpus": (Raw("0.5"), "1.5"),
    "services.*.depends_on[]": SERVICES,
    "services.*.devices[]": ("/dev/null", "/dev/null:/dev/x", "/dev/null:/dev/x:r", "vendor.com/class=d"),
    "services.*.dns": ("1.1.1.1", "8.8.8.8"),
    "services.*.dns[]": ("1.1.1.1", "8.8.8.8", "::1"),
    "services.*.dns_opt[]": ("ndots:1", "rotate"),
    "services.*.entrypoint": ("a b", "", Raw("null"), Raw("[a, b]"), Raw("[]")),
    "services.*.env_file": ("e.env", Raw("[e.env, {path: e.env}]"), Raw("[{path: none.env, required: false}]")),
    "services.*.env_file[]": ("e.env",),
    "services.*.env_file[].path": ("e.env",),
    "services.*.environment[]": ("A=1", "B", "SET", "C=x=y", "D="),
    "services.*.expose[]": ("80", Raw("81"), "82/udp", "8000-8010"),
    "services.*.extends": ("c", Raw("{service: base, file: base.yml.txt}"), Raw("{service: c}")),
    "services.*.external_links[]": ("x", "x:y"),
    "services.*.extra_hosts[]": ("h=1.1.1.1", "h:2.2.2.2", "v6=::1", "g=host-gateway", "h=[::1]"),
    "services.*.extra_hosts.*": ("1.1.1.1", "::1", Raw("[1.1.1.1, 2.2.2.2]")),
    "services.*.gpus": ("all",),
    "services.*.group_add[]": ("1", Raw("2"), "adm"),
    "services.*.healthcheck.test": ("curl x", "", Raw("[CMD, a]"), Raw("[CMD-SHELL, a b]"), Raw("[NONE]"), Raw("[x]")),
    "services.*.image": ("x", "x:1", "reg.io/a/b:1"),
    "services.*.ipc": ("host", "shareable", "private", "service:b", "container:x"),
    "services.*.isolation": ("default",),
    "services.*.label_file": ("l.env", Raw("[l.env]")),
    "services.*.labels[]": ("A=1", "B", "x.y=z"),
    "services.*.links[]": ("b", "b:x", "c"),
    "services.*.mac_address": ("02:42:ac:11:00:02",),
    "services.*.models[]": ("m",),
    "services.*.network_mode": ("none", "host", "bridge", "service:b", "container:x", "default", "other"),
    "services.*.networks[]": ("n", "default"),
    "services.*.networks.*.ipv4_address": ("10.5.0.9",),
    "services.*.networks.*.ipv6_address": ("2001:db8::9",),
    "services.*.networks.*.mac_address": ("02:42:ac:11:00:02",),
    "services.*.pid": ("host", "service:b", Raw("null")),
    "services.*.platform": ("linux/amd64",),
    "services.*.ports[]": (
        "80", Raw("81"), "8080:80", "127.0.0.1:8080:80", "8000-8001:80-81", "53:53/udp", "[::1]:8080:80", ":80",
        "8000-8010:80", "80-81", "127.0.0.1::80", "80:", "x", "99999", "80:80/sctp", "localhost:80:80",
        "8000-8001:80-82",
    ),
    "services.*.ports[].host_ip": ("127.0.0.1", "::1"),
    "services.*.ports[].mode": ("host", "ingress"),
    "services.*.ports[].protocol": ("tcp", "udp"),
    "services.*.ports[].published": ("8080", Raw("8081"), "8000-8010"),
    "services.*.ports[].target": (Raw("80"), "81"),
    "services.*.profiles[]": ("p", "q"),
    "services.*.pull_policy": ("always", "never", "missing", "if_not_present", "build", "daily", "every_12h"),
    "services.*.restart": ("no", "always", "unless-stopped", "on-failure", "on-failure:3"),
    "services.*.security_opt[]": ("no-new-privileges", "no-new-privileges:true", "seccomp=unconfined", "label:disable"),
    "services.*.stop_signal": ("SIGTERM", "SIGUSR1", "INT"),
    "services.*.sysctls[]": ("net.core.somaxconn=1024",),
    "services.*.tmpfs": ("/t", "/t:size=64m"),
    "services.*.tmpfs[]": ("/t", "/u:size=64m,mode=0700"),
    "services.*.user": ("1000", "root", "1000:1000"),
    "services.*.userns_mode": ("host",),
    "services.*.uts": ("host",),
    "services.*.volumes[]": (
        "./a:/a", "/b:/b:ro", "vv:/v", "/anon", "~/h:/h", "vv:/w:nocopy", "./c:/c:z,rslave", "none:/n", "vv:/b:ro:z",
        "/x/", "vv:/v", "ww:/w", "v:/w",
    ),
    "services.*.volumes[].source": ("./a", "/b", "vv"),
    "services.*.volumes[].target": ("/a", "/b", "/c/"),
    "services.*.volumes_from[]": ("b", "b:ro", "container:x"),
    "services.*.working_dir": ("/w",),
    "volumes.*.driver": ("local", "nfs"),
}  # fmt: skip
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "services.*.depends_on": SERVICES,
    "services.*.networks": ("n", "default", "m"),
    "services.*.models": ("m",),
    "services.*.ulimits": ("nofile", "nproc", "core"),
    "services.*.build.ulimits": ("nofile", "nproc"),
    "services.*.extra_hosts": ("h", "k"),
    "services.*.provider.options": ("a", "b"),
    "networks": ("n", "m", "default"),
    "volumes": ("vv", "ww"),
    "models": ("m",),
    "secrets": ("s1", "s2"),
    "configs": ("c1", "c2"),
}
_PAIR_KEYS: Final = ("A", "B", "SET", "x.y")
_SKIPPED: Final = frozenset({
    "services.*.pre_start", "services.*.x-jocker", "x-jocker", "services.*.build.no_cache_filter",
})  # fmt: skip
"""Not docker compose's."""
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "services.*.depends_on.*": ("condition",),
    "services.*.develop.watch[]": ("path", "action"),
    "services.*.develop.watch[].exec": ("command",),
    "services.*.env_file[]": ("path",),
    "services.*.post_start[]": ("command",),
    "services.*.pre_stop[]": ("command",),
    "services.*.ports[]": ("target",),
    "services.*.provider": ("type",),
    "services.*.ulimits.*": ("soft", "hard"),
    "services.*.build.ulimits.*": ("soft", "hard"),
    "services.*.build.secrets[]": ("source",),
    "services.*.secrets[]": ("source",),
    "services.*.configs[]": ("source",),
    "services.*.blkio_config.weight_device[]": ("path", "weight"),
    "services.*.blkio_config.device_read_bps[]": ("path", "rate"),
    "services.*.blkio_config.device_write_bps[]": ("path", "rate"),
    "services.*.blkio_config.device_read_iops[]": ("path", "rate"),
    "services.*.blkio_config.device_write_iops[]": ("path", "rate"),
    "services.*.deploy.resources.reservations.devices[]": ("capabilities",),
    "secrets.*": ("file",),
    "configs.*": ("file",),
    "services.*.volumes[]": ("type", "target"),
    "models.*": ("model",),
}
"""Keys that are there, more often than not."""


def chance(draw: Draw, percent: int) -> bool:
    """True so often; shrinks to False."""
    return draw(st.integers(0, 99)) >= 100 - percent


def _any(draw: Draw, pool: tuple[Any, ...]) -> Any:
    return draw(st.sampled_from(pool))


def _value(draw: Draw, pattern: str, odd: int) -> Any:
    if chance(draw, odd):
        return _any(draw, _ODD)
    shape = SHAPES[pattern]
    if pattern in _PLACES and not (shape.entries and chance(draw, 50)) and not (shape.items and chance(draw, 30)):
        return _any(draw, _PLACES[pattern])
    forms = [form for form in ("scalar", "items", "entries") if getattr(shape, form)]
    form = _any(draw, tuple(forms))
    if form == "scalar":
        return _scalar(draw, pattern, shape.scalar)
    if form == "items":
        items = [_item(draw, pattern, shape.items, odd) for _ in range(draw(st.integers(0, 3)))]
        return items if chance(draw, 5 + odd) else list({text(item): item for item in items}.values())
    return _mapping(draw, pattern, shape.entries, odd)


def _pool(kind: str) -> tuple[Any, ...]:
    return _KINDS.get(kind) or (*_KINDS["text"], *_KINDS["count"])


def _scalar(draw: Draw, pattern: str, kind: str) -> Any:
    choice = CHOICES.get(pattern)
    if choice is not None:
        return _any(draw, tuple(word for word in (*choice.accepted, *choice.later) if word) or ("x",))
    return _any(draw, _PLACES.get(pattern) or _pool(kind))


def _item(draw: Draw, pattern: str, kind: str, odd: int) -> Any:
    below = f"{pattern}[]"
    if kind == "*":
        return _value(draw, below, odd)
    if chance(draw, odd):
        return _any(draw, _ODD)
    return _any(draw, _PLACES.get(below) or _pool(kind))


def _mapping(draw: Draw, pattern: str, kind: str, odd: int) -> dict[str, Any]:
    if kind == "keys":
        return _keys(draw, pattern, odd, most=4)
    names = _NAMES.get(pattern, _PAIR_KEYS)
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=2))
    if kind == "*":
        return {name: _entry(draw, f"{pattern}.*", odd) for name in chosen}
    return {name: _any(draw, _ODD if chance(draw, odd) else _pool(kind)) for name in chosen}


def _entry(draw: Draw, pattern: str, odd: int) -> Any:
    nullable = pattern in {"networks.*", "volumes.*", "services.*.networks.*", "services.*.models.*"}
    return Raw("null") if nullable and chance(draw, 40) else _value(draw, pattern, odd)


def _keys(draw: Draw, pattern: str, odd: int, most: int) -> dict[str, Any]:
    known = [key for key in sorted(keys_of(pattern)) if _is_known(pattern, key)]
    chosen = draw(st.lists(st.sampled_from(known), unique=True, max_size=most)) if known else []
    needed = [key for key in _NEEDED.get(pattern, ()) if key not in chosen and not chance(draw, odd)]
    keys = [*needed, *chosen] if chance(draw, 5 + odd) else _compatible([*needed, *chosen])
    done = {key: _value(draw, f"{pattern}.{key}" if pattern else key, odd) for key in keys}
    if chance(draw, odd):
        done[_any(draw, ("x-mine", "unknown", "imag", "X-a", ""))] = _any(draw, _ODD)
    return done


def _compatible(keys: list[str]) -> list[str]:
    """Without what excludes something else."""
    if "external" in keys:
        return [key for key in keys if key in {"external", "name"}]
    contents = [key for key in keys if key in {"file", "environment", "content"}]
    return [key for key in keys if key not in contents[:-1]]


def _is_known(pattern: str, key: str) -> bool:
    path = f"{pattern}.{key}" if pattern else key
    return path in SHAPES and path not in _SKIPPED


def _service(draw: Draw, odd: int, *, whole: bool) -> dict[str, Any]:
    done = _keys(draw, "services.*", odd, most=5)
    if whole and not chance(draw, odd):
        done.setdefault("image", "x")
    return done


@st.composite
def stacks(draw: Draw) -> dict[str, str]:
    """The files of one stack by name; those that end with .yml are stack files, in order."""
    odd = _any(draw, (0, 0, 2, 8))
    files = {f"f{number}.yml": document(draw, odd, whole=number == 0) for number in range(2 if chance(draw, 25) else 1)}
    return {**files, **FILES}


def document(draw: Draw, odd: int, *, whole: bool) -> str:
    """One stack file; `whole` if it is the first one, which should be complete."""
    tree: dict[str, Any] = {}
    for key in ("name", "include", "version"):
        if chance(draw, 4) and key in SHAPES:
            tree[key] = "3" if key == "version" else _value(draw, key, odd)
    names = SERVICES if whole else draw(st.lists(st.sampled_from(SERVICES), unique=True, min_size=1, max_size=2))
    # the others are plain: what is odd in one place is seen best if nothing else is
    busy = _any(draw, tuple(names))
    tree["services"] = {
        name: _service(draw, odd, whole=whole) if name == busy or chance(draw, 15) else {"image": "x"} for name in names
    }
    if not whole and chance(draw, 30):
        _tag(draw, tree["services"][busy])
    for section in ("networks", "volumes", "models", "secrets", "configs"):
        if section in SHAPES and (whole or chance(draw, 10)):
            tree[section] = {name: _entry(draw, f"{section}.*", odd) for name in _NAMES[section][:2]}
            if section == "models":
                tree[section] = {"m": {"model": "x"} if not chance(draw, 20) else _entry(draw, "models.*", odd)}
    return text(tree) + "\n"


def _tag(draw: Draw, service: dict[str, Any]) -> None:
    key = _any(draw, tuple(service) or ("image",))
    tag = _any(draw, ("!reset", "!override"))
    value = service.get(key, "x")
    service[key] = Raw("!reset null" if tag == "!reset" else f"!override {text(value)}")


def text(value: Any) -> str:
    """The value in YAML's flow style."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
