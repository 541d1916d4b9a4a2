"""Names of images: one spelling for each, the same as docker's."""

from __future__ import annotations

import pytest

from composer.errors import UsageError
from composer.image.reference import familiar, normalise, repository, tag

DIGEST = "sha256:" + "0123456789abcdef" * 4

GOOD = {
    "alpine": "docker.io/library/alpine:latest",
    "alpine:3.20": "docker.io/library/alpine:3.20",
    "library/alpine": "docker.io/library/alpine:latest",
    "team/app": "docker.io/team/app:latest",
    "team/app/part:1": "docker.io/team/app/part:1",
    "docker.io/alpine": "docker.io/library/alpine:latest",
    "docker.io/team/app": "docker.io/team/app:latest",
    "index.docker.io/alpine:1": "docker.io/library/alpine:1",
    "localhost/x": "localhost/x:latest",
    "localhost:5000/x:1": "localhost:5000/x:1",
    "host:5000/x": "host:5000/x:latest",
    "host:5000/x/y:a.b-c_d": "host:5000/x/y:a.b-c_d",
    "quay.io/team/app": "quay.io/team/app:latest",
    "127.0.0.1:5000/x": "127.0.0.1:5000/x:latest",
    "[::1]:5000/x": "[::1]:5000/x:latest",
    "HOST/x": "HOST/x:latest",
    "x:LATEST": "docker.io/library/x:LATEST",
    "x:_1": "docker.io/library/x:_1",
    "x:" + "t" * 128: "docker.io/library/x:" + "t" * 128,
    "a__b/c-d/e.f/g---h": "docker.io/a__b/c-d/e.f/g---h:latest",
    f"alpine@{DIGEST}": f"docker.io/library/alpine@{DIGEST}",
    f"alpine:3@{DIGEST}": f"docker.io/library/alpine:3@{DIGEST}",
    f"host:5000/x@{DIGEST}": f"host:5000/x@{DIGEST}",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_name_has_one_spelling(name: str) -> None:
    assert normalise(name) == GOOD[name]
    assert normalise(GOOD[name]) == GOOD[name]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "a name is of"),
        (":tag", "a name is of"),
        ("Alpine", "lower case"),
        ("team/App", "lower case"),
        ("alpine:", "cannot be a tag"),
        ("alpine:-1", "cannot be a tag"),
        ("alpine:a b", "cannot be a tag"),
        ("alpine:ä", "cannot be a tag"),
        ("x:" + "t" * 129, "cannot be a tag"),
        ("alpine@", "the digest must be"),
        ("alpine@sha256:123", "the digest must be"),
        ("alpine@md5:" + "0" * 32, "the digest must be"),
        (f"alpine@{DIGEST.upper()}", "the digest must be"),
        (f"alpine@{DIGEST}\n", "the digest must be"),
        ("alpine\n", "a name is of"),
        ("a..b", "a name is of"),
        ("a___b", "a name is of"),
        ("-a", "a name is of"),
        ("a-", "a name is of"),
        ("a//b", "a name is of"),
        ("/a", "a name is of"),
        ("../a", "cannot be a registry"),
        ("a/../b", "a name is of"),
        ("host:port/x", "cannot be a registry"),
        ("https://host/x", "cannot be a registry"),
        ("ho_st.io/x", "cannot be a registry"),
        ("-host.io/x", "cannot be a registry"),
        ("x/" + "a" * 254, "longer than 255"),
        ("0123456789abcdef" * 4, "64 hex digits are an image id"),
        ("\x1b[31m", "a name is of"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as error:
        normalise(name)
    assert repr(name) in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("reference", "short", "base", "label"),
    [
        ("docker.io/library/alpine:3", "alpine:3", "docker.io/library/alpine", "3"),
        ("docker.io/team/app:1", "team/app:1", "docker.io/team/app", "1"),
        ("localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x", "1"),
        ("quay.io/library/x:1", "quay.io/library/x:1", "quay.io/library/x", "1"),
        (f"localhost:5000/x@{DIGEST}", f"localhost:5000/x@{DIGEST}", "localhost:5000/x", ""),
        (f"docker.io/library/alpine:3@{DIGEST}", f"alpine:3@{DIGEST}", "docker.io/library/alpine", "3"),
    ],
)
def test_the_parts_of_a_name(reference: str, short: str, base: str, label: str) -> None:
    assert (familiar(reference), repository(reference), tag(reference)) == (short, base, label)
