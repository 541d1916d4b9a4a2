"""What a Dockerfile takes from elsewhere, read without building it."""

from __future__ import annotations

import pytest

from composer.image.dockerfile import instructions, needs, until


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM a", ("a",)),
        ("from a:1 as x\nFROM x\nCOPY --from=x / /", ("a:1",)),
        ("FROM a AS One\nFROM one\nCOPY --from=ONE / /\nCOPY --from=0 / /", ("a",)),
        ("FROM scratch\nCOPY --from=b/c:2 --chown=1 / /\nADD --from=d / /", ("b/c:2", "d")),
        ("FROM a\nRUN --mount=type=bind,from=b,target=/b --mount=type=cache,target=/c x --mount=from=no", ("a", "b")),
        ("FROM a\nRUN echo --from=x\nCOPY x --from=y /", ("a",)),
        ("FROM a\nCOPY --from=1 / /", ("a", "1")),
        ("FROM a\nONBUILD COPY --from=b / /", ("a", "b")),
        ("ARG V=1\nARG W=$V.2\nFROM a:${W} AS x\nFROM b:$V", ("a:1.2", "b:1")),
        ("ARG V=\"1\" W='2'\nFROM a:$V$W", ("a:12",)),
        ("ARG V\nFROM a:${V:-latest}\nFROM b${V:+:x}\nFROM c:${V-y}", ("a:latest", "b", "c:y")),
        ("FROM a\nARG V=1\nFROM b$V", ("a", "b")),
        ("FROM --platform=$P a AS x", ("a",)),
        ("# syntax=x\n#comment\n\n  FROM \\\n  # in between\n\n  a \\\n  AS x\nFROM x", ("a",)),
        ("# escape=`\nFROM a`\n:1\nRUN c:\\\nFROM b", ("a:1", "b")),
        ('FROM a\nRUN <<EOF\nFROM no\nEOF\nCOPY <<-"X" /y\n\tFROM no\n\tX\nFROM b', ("a", "b")),
        ("FROM a\r\nFROM b\r\n", ("a", "b")),
        ("", ()),
        ("FROM", ()),
    ],
)
def test_the_images_that_it_needs(text: str, images: tuple[str, ...]) -> None:
    assert needs(text, {"P": "linux/arm64"}).images == images


def test_an_argument_of_the_build_wins_over_the_default() -> None:
    assert needs("ARG V=1\nARG W=${V}x\nFROM a:$V\nFROM b:$W", {"V": "2"}).images == ("a:2", "b:2x")


def test_stages_have_names_and_platforms() -> None:
    found = needs("ARG P=linux/arm64\nFROM --platform=$P a AS x\nRUN y\nFROM x", {}).stages
    assert [(stage.base, stage.name, stage.platform, stage.first) for stage in found] == [
        ("a", "x", "linux/arm64", 1),
        ("x", "", "", 3),
    ]


def test_what_follows_the_wanted_stage_is_cut_off() -> None:
    text = "ARG V\nFROM a AS x\nRUN <<E\nFROM no\nE\nFROM b AS Y\nRUN z\n"
    assert until(text, "x") == "ARG V\nFROM a AS x\nRUN <<E\nFROM no\nE\n"
    assert until(text, "0") == until(text, "X") == until(text, "x")
    assert until(text, "y") == f"{text}\n"
    assert until(text, "z") is None


def test_an_instruction_is_one_line() -> None:
    found = list(instructions("RUN a \\\n  b\n\nCMD\tx\n"))
    assert [(one.word, one.rest, one.first, one.end) for one in found] == [("RUN", "a   b", 0, 2), ("CMD", "x", 3, 4)]


def test_a_here_document_without_an_end_ends_with_the_file() -> None:
    assert [one.word for one in instructions("FROM a\nRUN <<E\nFROM b")] == ["FROM", "RUN"]


def test_what_doubles_and_doubles_is_cut_off() -> None:
    lines = ["ARG A0=xx", *(f"ARG A{number}=$A{number - 1}$A{number - 1}" for number in range(1, 40)), "FROM $A39"]
    assert needs("\n".join(lines), {}).images == ("x" * 4096,)


def test_a_number_that_python_does_not_read_is_no_stage() -> None:
    assert needs(f"FROM a\nCOPY --from={'1' * 5000} / /", {}).images == ("a", "1" * 5000)
