"""Settings by variables: ours before compose's, the shell's before those of `.env` files."""

from __future__ import annotations

from pathlib import Path

import pytest

from composer.cli.globals import take_settings


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(*arguments: str, **environ: str) -> dict[str, str]:
    take_settings(list(arguments), environ)
    return {name.removeprefix("COMPOSE_"): value for name, value in environ.items() if name.startswith("COMPOSE_")}


def test_ours_go_before_compose_s() -> None:
    assert settings("up", COMPOSE_PROGRESS="tty", JOCKER_PROGRESS="plain", JOCKER_ANSI="never") == {
        "PROGRESS": "plain",
        "ANSI": "never",
    }


def test_an_env_file_may_hold_them_and_the_shell_goes_before_it(here: Path) -> None:
    (here / ".env").write_text("COMPOSE_PROGRESS=json\nCOMPOSE_ANSI=never\nOTHER=1\nJOCKER_PARALLEL_LIMIT=3\n")
    assert settings("up", COMPOSE_ANSI="always") == {"PROGRESS": "json", "ANSI": "always", "PARALLEL_LIMIT": "3"}


def test_it_is_that_of_the_first_file(here: Path) -> None:
    (here / ".env").write_text("COMPOSE_PROGRESS=json\n")
    (here / "sub").mkdir()
    (here / "sub/.env").write_text("COMPOSE_PROGRESS=plain\n")
    assert settings("-f", "sub/a.yml", "up") == {"PROGRESS": "plain"}
    assert settings("--project-directory=sub", "up") == {"PROGRESS": "plain"}
    assert settings("-f", "a.yml", "-f", "sub/a.yml", "up") == {"PROGRESS": "json"}


def test_named_env_files_stand_instead_of_it(here: Path) -> None:
    (here / ".env").write_text("COMPOSE_PROGRESS=json\n")
    (here / "e").write_text("COMPOSE_ANSI=never\n")
    assert settings("--env-file", "e", "up") == {"ANSI": "never"}
    assert settings("up", JOCKER_ENV_FILES="e") == {"ANSI": "never"}


def test_it_can_be_turned_off(here: Path) -> None:
    (here / ".env").write_text("COMPOSE_PROGRESS=json\n")
    assert "PROGRESS" not in settings("up", JOCKER_DISABLE_ENV_FILE="1")


def test_a_broken_one_is_told_by_whoever_reads_the_stack(here: Path) -> None:
    (here / ".env").write_text("COMPOSE_PROGRESS=json\nB C\n")
    assert settings("up") == {}
    assert settings("--env-file", "none", "up") == {}
