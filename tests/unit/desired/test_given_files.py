"""Secrets and configs of the desired stack: what counts of them, and that they never print themselves."""

from __future__ import annotations

import hmac
import pickle

import plancases
import pytest

from composer.actual.parse import desired_of, record_of
from composer.desired.build import desire, oneoff, replica
from composer.desired.state import DesiredStack, GivenFile
from composer.digest import keyed_hex
from composer.errors import ContainerError
from composer.model.fileobject import Origin, Secret

STACK = """
services:
  web:
    secrets: [b, {source: a, target: x, uid: "5", gid: "6", mode: '07777'}]
    configs: [c, {source: d, target: /run/secrets/b}]
    volumes: ['/h:/c2']
secrets: {a: {file: ./a}, b: {environment: SET}}
configs: {c: {content: "some ${SET}"}, d: {file: /d}}
"""


def desired(text: str = STACK, **digests: str) -> DesiredStack:
    project = plancases.project(text)
    image = plancases.image("docker.io/library/app:latest")
    found = {one: digests.get(one[1], "") for one in project.file_objects}
    return desire(project, {"docker.io/library/app:latest": image}, found)


def test_files_are_told_by_target_and_where_they_come_from_beside_them() -> None:
    web = desired(a="1", b="2", c="3", d="4").services["web"]
    assert web.spec.files == (
        GivenFile("config", "/c", digest="3"),
        GivenFile("secret", "/run/secrets/b", digest="2"),
        GivenFile("secret", "/run/secrets/x", 5, 6, 0o555, "1"),
    )
    assert web.origins == (
        Origin("config", "c", "content", "c"),
        Origin("secret", "b", "environment", "SET"),
        Origin("secret", "a", "file", "/stack/a"),
    )


def test_content_owner_and_mode_count_and_where_it_comes_from_does_not() -> None:
    base = desired(a="1").services["web"].config_hash
    assert desired(a="2").services["web"].config_hash != base
    assert desired(STACK.replace("'07777'", "'0400'"), a="1").services["web"].config_hash != base
    assert desired(STACK.replace('uid: "5"', 'uid: "7"'), a="1").services["web"].config_hash != base
    assert desired(STACK.replace("./a", "./other"), a="1").services["web"].config_hash == base


def test_a_record_has_them_and_not_what_they_hold() -> None:
    stack = desired(a="1", c="3")
    made = replica(stack, stack.services["web"], 1)
    record = record_of(made, container_id="0" * 64, replaces="", volumes={}, created_at=0)
    assert desired_of(record) == made
    assert "some val" not in repr(record)
    assert oneoff(stack, stack.services["web"], slug="0" * 64, name=None).origins == made.origins


@pytest.mark.parametrize("damage", [[["secret", "a", "file"]], [["secret", "a", "vault", "x"]], ["a"], 7, [None]])
def test_a_record_that_does_not_say_where_they_come_from_is_damaged(damage: object) -> None:
    stack = desired()
    record = record_of(
        replica(stack, stack.services["web"], 1), container_id="0" * 64, replaces="", volumes={}, created_at=0
    )
    with pytest.raises(ContainerError, match="is damaged"):
        desired_of({**record, "origins": damage})


def test_the_record_of_an_older_version_has_none() -> None:
    stack = desired("services: {web: {}}")
    record = record_of(
        replica(stack, stack.services["web"], 1), container_id="0" * 64, replaces="", volumes={}, created_at=0
    )
    assert "origins" not in record
    record["spec"].pop("files")
    assert desired_of(record).spec.files == ()


def test_a_secret_never_prints_itself() -> None:
    secret = Secret(b"known")
    project = plancases.project(STACK)
    held = project.file_objects["config", "c"].content
    assert held is not None
    assert held.reveal() == b"some val"
    for text in (
        f"{secret} {secret!r} {[secret]} {secret.__dict__ if hasattr(secret, '__dict__') else ''}",
        repr(project),
    ):
        assert "known" not in text
        assert "some val" not in text
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(secret)
    assert secret == Secret(b"known")
    assert secret != Secret(b"other")
    assert len({secret, Secret(b"known")}) == 1
    assert len(secret) == 5


@pytest.mark.parametrize("key", [b"", b"k", bytes(range(32)), b"x" * 64])
@pytest.mark.parametrize("data", [b"", b"1234", b"y" * 5000])
def test_a_keyed_digest_is_hmac(key: bytes, data: bytes) -> None:
    assert keyed_hex(key, data) == hmac.new(key, data, "sha256").hexdigest()
