"""`jocker config`: what it prints of itself."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import cast

import pytest
import typer

from composer.cli.config import config
from composer.composefile.support import Support, support_table


def test_the_table_of_support_is_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    config(cast("typer.Context", SimpleNamespace(obj=None)), support=True)
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["KEY", "SUPPORT", "NOTE"]
    rows = [line.split(maxsplit=1) for line in lines]
    assert [key for key, _ in rows] == [key for key, _, _ in support_table()]
    words = tuple(state.value for state in Support)
    assert all(rest.startswith(words) for _, rest in rows)


def test_the_table_of_support_is_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    config(cast("typer.Context", SimpleNamespace(obj=None)), support=True, output="json")
    rows = json.loads(capsys.readouterr().out)
    assert [(row["Key"], row["Support"], row["Note"]) for row in rows] == [
        (key, support.value, note) for key, support, note in support_table()
    ]
