"""Pulls from a real registry on loopback, and from one that misbehaves."""

from __future__ import annotations

import base64
import glob
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import registry as registries
from conftest import REPOSITORY, Jocker
from hostile import Docker, Layer, Oci, archive, base, packed, sha256
from registry import PASSWORD, USER, free_port, push, stub

from composer.errors import ImageNotFound, ImageRefused, TransferFailed
from composer.image.reference import Platform
from composer.image.store import Store
from composer.image.transfer import Access, command_line, pull
from composer.paths import Paths

pytestmark = pytest.mark.real

CONFIG = {"Cmd": ["sh"], "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000}}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry for the whole module, with `app:1` in it."""
    directory = tmp_path_factory.mktemp("registry")
    with registries.registry(directory) as address:
        push(image(), directory, f"{address}/app:1")
        yield address


def image(**more: Any) -> Oci:
    layers, plain = packed(base(), Layer().file("f"))
    return Oci(layers, plain, changes={"config": CONFIG}, **more)


def manifest(found: Oci) -> bytes:
    """The document that its index names."""
    entry = json.loads(found.members()["index.json"])["manifests"][0]
    raw = found.members()[f"blobs/sha256/{entry['digest'][7:]}"]
    assert isinstance(raw, bytes)
    return raw


def inspected(jocker: Jocker, name: str) -> dict[str, Any]:
    (found,) = json.loads(jocker("image", "inspect", name).stdout)
    assert isinstance(found, dict)
    return found


def in_store(paths: Paths) -> set[str]:
    names = ("blobs/sha256", "layers", "refs", "tmp")
    found = {path for name in names for path in glob.glob(f"{paths.images}/{name}/*")}
    return {path for path in found if not path.endswith(".lock")}


def test_an_image_is_pulled_by_its_tag(jocker: Jocker, jocker_dirs: Paths, registry: str) -> None:
    done = jocker("image", "pull", "--no-tls-verify", f"{registry}/app:1")
    found = inspected(jocker, f"{registry}/app:1")
    assert found["Id"] in done.stdout
    assert found["RepoDigests"] == [f"{registry}/app@{sha256(manifest(image()))}"]
    assert found["Config"] == CONFIG
    low, high = (Store(jocker_dirs).layer_dir(chain) for chain in Store(jocker_dirs).get(found["Id"]).chain_ids)
    assert (sorted(os.listdir(low)), os.listdir(high)) == (["d", "low", "p"], ["f"])


def test_an_image_is_pulled_by_its_digest(jocker: Jocker, registry: str) -> None:
    digest = sha256(manifest(image()))
    for name in (f"{registry}/app@{digest}", f"{registry}/app:whatever@{digest}"):
        jocker("image", "pull", "--no-tls-verify", name)
        assert inspected(jocker, name)["Config"] == CONFIG


def test_an_image_in_docker_s_own_format_keeps_its_id_and_health_check(
    jocker: Jocker, registry: str, tmp_path: Path
) -> None:
    made = Docker([base().raw], changes={"config": CONFIG})
    (tmp_path / "docker.tar").write_bytes(archive(made.members()))
    subprocess.run(
        ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"docker-archive:{tmp_path}/docker.tar",
         f"docker://{registry}/docker:1"], check=True, capture_output=True,
    )  # fmt: skip
    jocker("image", "pull", "--no-tls-verify", f"{registry}/docker:1")
    found = inspected(jocker, f"{registry}/docker:1")
    raw = made.members()["config.json"]
    assert isinstance(raw, bytes)
    assert (found["Id"], found["Config"]) == (sha256(raw), CONFIG)


def test_of_an_index_the_entry_for_this_machine_is_pulled(jocker: Jocker, registry: str, tmp_path: Path) -> None:
    push(image(nested=1), tmp_path, f"{registry}/index:1")
    jocker("image", "pull", "--no-tls-verify", f"{registry}/index:1")
    assert inspected(jocker, f"{registry}/index:1")["Id"] == inspected_id(image())


def inspected_id(found: Oci) -> str:
    digest: str = json.loads(manifest(found))["config"]["digest"]
    return digest


def test_an_image_for_another_machine_is_refused(jocker: Jocker, jocker_dirs: Paths, registry: str) -> None:
    done = jocker("image", "pull", "--no-tls-verify", "--arch", "s390x", f"{registry}/app:1", code=1)
    assert "the image is for amd64, not for s390x" in done.stderr
    assert in_store(jocker_dirs) == set()


def test_an_image_that_is_here_is_not_unpacked_again(
    jocker: Jocker, jocker_dirs: Paths, registry: str, tmp_path: Path
) -> None:
    jocker("image", "pull", "--no-tls-verify", f"{registry}/app:1")

    def state() -> dict[str, tuple[int, int]]:
        files = glob.glob(f"{jocker_dirs.images}/layers/*/*/**", recursive=True)
        files += glob.glob(f"{jocker_dirs.images}/blobs/sha256/*")
        return {path: (os.lstat(path).st_ino, os.lstat(path).st_ctime_ns) for path in files if "json" not in path}

    layers = {path: seen for path, seen in state().items() if "/layers/" in path}
    push(image(), tmp_path, f"{registry}/app:same")
    for name in (f"{registry}/app:1", f"{registry}/app:same"):
        jocker("image", "pull", "--no-tls-verify", name)
        assert {path: seen for path, seen in state().items() if "/layers/" in path} == layers
    assert len(jocker("image", "ls", "-q").stdout.split()) == 1


def test_a_tag_that_moved_brings_the_new_image_and_only_what_is_new(
    jocker: Jocker, jocker_dirs: Paths, registry: str, tmp_path: Path
) -> None:
    push(image(), tmp_path, f"{registry}/moved:1")
    jocker("image", "pull", "--no-tls-verify", f"{registry}/moved:1")
    before = set(os.listdir(f"{jocker_dirs.images}/layers"))
    layers, plain = packed(base(), Layer().file("g"))
    push(Oci(layers, plain), tmp_path, f"{registry}/moved:1")
    jocker("image", "pull", "--no-tls-verify", f"{registry}/moved:1")
    new = set(os.listdir(f"{jocker_dirs.images}/layers")) - before
    assert [os.listdir(f"{jocker_dirs.images}/layers/{chain}/diff") for chain in new] == [["g"]]


def test_what_is_not_there_is_told_at_once(jocker: Jocker, jocker_dirs: Paths, registry: str) -> None:
    for name in ("nothing:1", "app:2", f"app@sha256:{'0' * 64}"):
        done = jocker("image", "pull", "--no-tls-verify", f"{registry}/{name}", code=1)
        assert f"{registry}/{name}: not in its registry" in done.stderr
        assert "attempt" not in done.stderr
    assert in_store(jocker_dirs) == set()


def test_a_registry_without_tls_is_told_with_the_way_out(jocker: Jocker, registry: str) -> None:
    done = jocker("image", "pull", f"{registry}/app:1", code=1)
    assert "gave HTTP response to HTTPS client" in done.stderr
    assert "--no-tls-verify" in done.stderr
    assert "attempt" not in done.stderr


def test_a_registry_that_is_down_is_tried_again_then_told(jocker: Jocker, jocker_dirs: Paths) -> None:
    address = f"127.0.0.1:{free_port()}"
    lines = jocker("image", "pull", "--no-tls-verify", f"{address}/app:1", code=1).stderr.splitlines()
    assert [line.split(":")[1] for line in lines[:4]] == [f" attempt {number}/5" for number in (2, 3, 4, 5)]
    assert lines[4].startswith(f"jocker: {address}/app:1: ")
    assert "connection refused" in lines[4]
    assert in_store(jocker_dirs) == set()


def test_an_image_that_needs_credentials(jocker: Jocker, tmp_path: Path) -> None:
    with registries.registry(tmp_path, closed=True) as address:
        push(image(), tmp_path, f"{address}/app:1", credentials=f"{USER}:{PASSWORD}")
        for credentials in ([], ["--creds", f"{USER}:wrong"]):
            done = jocker("image", "pull", "--no-tls-verify", *credentials, f"{address}/app:1", code=1)
            assert "the registry wants other credentials" in done.stderr
            assert "attempt" not in done.stderr
            assert "wrong" not in done.stderr
        assert "USER:PASSWORD" in jocker("image", "pull", "--creds", "x", f"{address}/app:1", code=2).stderr
        jocker("image", "pull", "--no-tls-verify", "--creds", f"{USER}:{PASSWORD}", f"{address}/app:1")
        jocker("image", "rm", f"{address}/app:1")
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker" / "config.json").symlink_to(tmp_path / "auth.json")
        jocker("image", "pull", "--no-tls-verify", "--authfile", str(tmp_path / "auth.json"), f"{address}/app:1")
        jocker("image", "rm", f"{address}/app:1")
        environment = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
        jocker("image", "pull", "--no-tls-verify", f"{address}/app:1", env=environment)
        for words, environment in (
            (("--authfile", "auth.json"), {}),
            ((), {"REGISTRY_AUTH_FILE": "auth.json"}),
            ((), {"DOCKER_CONFIG": "docker"}),
        ):
            jocker("image", "rm", f"{address}/app:1")
            pulling = ("image", "pull", "--tls-verify=false", *words, f"{address}/app:1")
            jocker(*pulling, env=environment, cwd=tmp_path)
        pulling = ("image", "pull", "--tls-verify=false", "--authfile", "none.json", f"{address}/app:1")
        assert "no such file with credentials: none.json" in jocker(*pulling, code=2).stderr


def test_credentials_are_in_no_command_line_and_in_no_file_of_the_disk(jocker_dirs: Paths) -> None:
    """The registry holds its answer back, so that the running skopeo can be looked at."""
    seen: list[tuple[list[str], list[str], list[str]]] = []

    def answer(path: str) -> tuple[int, Mapping[str, str], bytes]:
        lines = [Path(name).read_bytes().decode() for name in glob.glob("/proc/[0-9]*/cmdline") if os.path.exists(name)]
        ours = [line for line in lines if jocker_dirs.data in line]
        files = [Path(line.split("--authfile\0")[1].split("\0")[0]) for line in ours]
        on_disk = [
            path for path in Path(jocker_dirs.data).rglob("*") if path.is_file() and b"auth" in path.read_bytes()
        ]
        seen.append((ours, [file.read_text() for file in files], list(map(str, on_disk))))
        return 401, {"WWW-Authenticate": 'Basic realm="test"'}, b""

    with stub(answer) as (address, _), pytest.raises(TransferFailed, match="other credentials"):
        pull(Store(jocker_dirs), f"{address}/app:1", access=Access(tls_verify=False, credentials="me:topsecret"))
    (lines, files, on_disk) = seen[-1]
    assert lines
    assert all("topsecret" not in line for line in lines)
    encoded = base64.b64encode(b"me:topsecret").decode()
    assert set(files) == {json.dumps({"auths": {address: {"auth": encoded}}})}
    assert on_disk == []
    assert in_store(jocker_dirs) == set()


def test_a_registry_that_stumbles_is_worth_another_attempt(jocker: Jocker) -> None:
    def answer(path: str) -> tuple[int, Mapping[str, str], bytes]:
        return (200, {}, b"{}") if path == "/v2/" else (503, {}, b"busy")

    with stub(answer) as (address, asked):
        done = jocker("image", "pull", "--no-tls-verify", f"{address}/app:1", code=1)
    assert "attempt 5/5" in done.stderr
    assert asked.count("/v2/app/manifests/1") >= 5


ERRORS: list[tuple[int, str, type[Exception], bool]] = [
    (404, "MANIFEST_UNKNOWN", ImageNotFound, False),
    (404, "NAME_UNKNOWN", ImageNotFound, False),
    (401, "UNAUTHORIZED", TransferFailed, False),
    (403, "DENIED", TransferFailed, False),
    (429, "TOOMANYREQUESTS", TransferFailed, True),
    (500, "UNKNOWN", TransferFailed, True),
    (502, "UNKNOWN", TransferFailed, True),
    (503, "UNAVAILABLE", TransferFailed, True),
    (504, "UNAVAILABLE", TransferFailed, True),
]


@pytest.mark.parametrize("at_once", [False, True], ids=["of the image", "at once"])
@pytest.mark.parametrize(("status", "code", "kind", "transient"), ERRORS)
def test_what_a_registry_says_is_understood(
    jocker_dirs: Paths, status: int, code: str, kind: type[Exception], transient: bool, at_once: bool
) -> None:
    """skopeo words it in another way when already its first question is answered so."""
    body = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()

    def answer(path: str) -> tuple[int, Mapping[str, str], bytes]:
        if path == "/v2/" and not at_once:
            return 200, {}, b"{}"
        return status, {"Content-Type": "application/json", "Retry-After": "0"}, body

    with stub(answer) as (address, _), pytest.raises(kind) as error:
        pull(Store(jocker_dirs), f"{address}/app:1", tls_verify=False)
    assert getattr(error.value, "transient", None) is transient
    assert str(error.value).startswith(f"{address}/app:1: ")
    assert "docker://" not in str(error.value)


def test_the_name_of_an_image_is_not_taken_for_a_failure(jocker_dirs: Paths) -> None:
    body = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'

    def answer(path: str) -> tuple[int, Mapping[str, str], bytes]:
        return (200, {}, b"{}") if path == "/v2/" else (404, {"Content-Type": "application/json"}, body)

    with stub(answer) as (address, _), pytest.raises(ImageNotFound, match="manifest unknown"):
        pull(Store(jocker_dirs), f"{address}/timeout/denied:unauthorized", tls_verify=False)


def served(
    members: Mapping[str, bytes | str], document: bytes
) -> Callable[[str], tuple[int, Mapping[str, str], bytes]]:
    """A registry that serves this one image, whatever the digests say."""

    def answer(path: str) -> tuple[int, Mapping[str, str], bytes]:
        if "/manifests/" in path:
            kind = "application/vnd.oci.image.manifest.v1+json"
            return 200, {"Content-Type": kind, "Docker-Content-Digest": sha256(document)}, document
        found = members.get(f"blobs/sha256/{path.rpartition('sha256:')[2]}", b"{}")
        return 200, {"Content-Type": "application/octet-stream"}, found if isinstance(found, bytes) else b""

    return answer


def test_a_registry_that_serves_another_blob_is_found_out(jocker_dirs: Paths) -> None:
    good = image()
    evil = {name: packed(Layer().file("evil"))[0][0] if sha256(good.layers[1])[7:] in name else raw
            for name, raw in good.members().items()}  # fmt: skip
    with stub(served(evil, manifest(good))) as (address, _), pytest.raises(TransferFailed, match=r"[Dd]igest"):
        pull(Store(jocker_dirs), f"{address}/app:1", tls_verify=False)
    with stub(served(good.members(), manifest(good))) as (address, _):
        found = pull(Store(jocker_dirs), f"{address}/app:1", tls_verify=False)
    assert os.listdir(Store(jocker_dirs).layer_dir(found.chain_ids[1])) == ["f"]


def test_a_hostile_image_of_a_registry_leaves_nothing(jocker_dirs: Paths) -> None:
    layers, plain = packed(base(), Layer().file("../../evil"))
    evil = Oci(layers, plain)
    with stub(served(evil.members(), manifest(evil))) as (address, _), pytest.raises(ImageRefused, match=r"with \.\."):
        pull(Store(jocker_dirs), f"{address}/app:1", tls_verify=False)
    assert in_store(jocker_dirs) == set()


def test_a_wrong_blob_in_the_store_is_not_believed_for_ever(jocker_dirs: Paths, registry: str) -> None:
    """skopeo takes a file in the blobs for what its name says."""
    store = Store(jocker_dirs)
    with store.adding():
        Path(store.blob_path(sha256(image().layers[1]))).write_bytes(b"not that")
    with pytest.raises(ImageRefused, match="layer 2"):
        pull(store, f"{registry}/app:1", tls_verify=False)
    assert os.listdir(store.layer_dir(pull(store, f"{registry}/app:1", tls_verify=False).chain_ids[1])) == ["f"]


def test_of_many_pulls_at_once_one_does_the_work(jocker_dirs: Paths, tmp_path: Path) -> None:
    layer = Layer().file("large", "x" * 2_000_000)
    layers, plain = packed(base(), layer)
    large = Oci(layers, plain)
    answer = served(large.members(), manifest(large))
    with stub(answer) as (address, asked):
        environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
        environment |= {"JOCKER_DATA_DIR": jocker_dirs.data, "JOCKER_RUN_DIR": jocker_dirs.run}
        command = [sys.executable, "-m", "composer", "image", "pull", "-q", "--no-tls-verify", f"{address}/app:1"]
        pulls = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for _ in range(4)
        ]
        said = [one.communicate(timeout=60)[0].decode() for one in pulls]
    assert said == [f"{inspected_id(large)}\n"] * 4
    assert len([path for path in asked if path.endswith(sha256(layers[1]))]) == 1


def test_how_far_it_is_is_told(jocker_dirs: Paths) -> None:
    """The registry sends the large layer's second half only when the first has been counted."""
    layers, plain = packed(base(), Layer().file("f"))
    good = Oci(layers, plain)
    told: list[str] = []
    counted = threading.Event()

    def progress(text: str) -> None:
        told.append(text)
        if "MB" in text:
            counted.set()

    normal = served(good.members(), manifest(good))

    def answer(path: str) -> tuple[int, Mapping[str, str], bytes]:
        if path.endswith(sha256(layers[1])):
            assert counted.wait(30)
        return normal(path)

    with stub(answer) as (address, _):
        pull(Store(jocker_dirs), f"{address}/app:1", tls_verify=False, progress=progress)
    assert told[0] == "downloading"
    assert "downloading, 0.0 MB" in told
    assert told[-1] == "unpacking 2 of 2 layers"


@pytest.mark.parametrize(
    ("reference", "source"),
    [
        ("docker.io/library/x:1", "docker://docker.io/library/x:1"),
        ("localhost:5000/x:1", "docker://localhost:5000/x:1"),
        ("localhost:5000/x:1@sha256:ab", "docker://localhost:5000/x@sha256:ab"),
        ("localhost:5000/x@sha256:ab", "docker://localhost:5000/x@sha256:ab"),
    ],
)
def test_skopeo_is_asked_for_the_digest_alone(reference: str, source: str) -> None:
    argv = command_line(reference, "/l", "/b", tls_verify=True, auth_file="", platform=Platform("linux", "amd64"))
    assert argv[-2:] == (source, "oci:/l:image")
    assert "--src-tls-verify=true" in argv


def test_registries_conf_says_which_registry_has_no_tls_and_where_its_mirrors_are(
    jocker: Jocker, registry: str, tmp_path: Path
) -> None:
    text = f'[[registry]]\nprefix = "far.example"\nlocation = "{registry}"\ninsecure = true\n'
    (tmp_path / "registries.conf").write_text(text)
    (tmp_path / "home" / ".config" / "containers").mkdir(parents=True)
    (tmp_path / "home" / ".config" / "containers" / "registries.conf").write_text(text)
    for environment in (
        {"HOME": str(tmp_path / "home")},
        {"CONTAINERS_REGISTRIES_CONF": "registries.conf"},
    ):
        jocker("image", "pull", "far.example/app:1", env=environment, cwd=tmp_path)
        jocker("image", "rm", "far.example/app:1")
    done = jocker("image", "pull", "--tls-verify", "far.example/app:1", env=environment, cwd=tmp_path, code=1)
    assert "--no-tls-verify" in done.stderr
