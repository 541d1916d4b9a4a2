"""Names and labels as docker compose gives them."""

from __future__ import annotations

from typing import Any

import plancases

from composer.desired.build import oneoff, replica
from composer.desired.names import container_name, oneoff_name, short_name
from composer.desired.state import DesiredStack
from composer.model.service import Dependency

SLUG = "0123456789abcdef" * 4


def stack(text: str, **given: Any) -> DesiredStack:
    return plancases.desired(plancases.project(text), **given)


def test_a_container_is_called_after_project_service_and_number() -> None:
    assert container_name("shop", "web", 3) == "shop-web-3"
    found = stack("services: {web: {}, db: {container_name: mine}}")
    assert replica(found, found.services["web"], 2).name == "p-web-2"
    assert replica(found, found.services["db"], 1).name == "mine"


def test_a_one_off_is_called_after_twelve_digits_of_its_slug() -> None:
    assert oneoff_name("shop", "web", SLUG) == "shop-web-run-0123456789ab"
    found = stack("services: {web: {container_name: mine}}")
    assert oneoff(found, found.services["web"], slug=SLUG, name=None).name == "p-web-run-0123456789ab"
    assert oneoff(found, found.services["web"], slug=SLUG, name="shell").name == "shell"


def test_logs_leave_the_project_out() -> None:
    assert short_name("shop", "shop-web-1") == "web-1"
    assert short_name("shop", "shopping-web-1") == "shopping-web-1"
    assert short_name("shop", "mine") == "mine"


def test_the_labels_of_a_replica_are_those_of_compose() -> None:
    found = stack(
        """
        services:
          web:
            labels: {mine: "1"}
            depends_on:
              db: {condition: service_started, restart: true}
              app: {condition: service_completed_successfully, required: false}
          db: {}
          app: {}
        """
    )
    web = found.services["web"]
    assert replica(found, web, 2).labels == {
        "mine": "1",
        "com.docker.compose.config-hash": web.config_hash,
        "com.docker.compose.container-number": "2",
        "com.docker.compose.depends_on": "app:service_completed_successfully:false,db:service_started:true",
        "com.docker.compose.image": web.spec.image_id,
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project": "p",
        "com.docker.compose.project.config_files": "/stack/jocker.yml",
        "com.docker.compose.project.working_dir": "/stack",
        "com.docker.compose.service": "web",
        "com.docker.compose.version": "2.40.3",
    }


def test_the_labels_of_a_one_off_have_a_slug_and_no_number() -> None:
    found = stack("services: {web: {}}")
    labels = oneoff(found, found.services["web"], slug=SLUG, name=None).labels
    assert labels["com.docker.compose.oneoff"] == "True"
    assert labels["com.docker.compose.slug"] == SLUG
    assert "com.docker.compose.container-number" not in labels


def test_labels_of_the_file_cannot_pass_for_ours() -> None:
    found = stack(
        """
        services:
          web:
            labels:
              com.docker.compose.project: other
              com.docker.compose.oneoff: "True"
              com.docker.compose.container-number: "9"
        """,
        images={"app": {"labels": {"com.docker.compose.service": "other", "com.docker.compose.version": "0"}}},
    )
    labels = replica(found, found.services["web"], 1).labels
    assert labels["com.docker.compose.project"] == "p"
    assert labels["com.docker.compose.oneoff"] == "False"
    assert labels["com.docker.compose.container-number"] == "1"
    assert labels["com.docker.compose.service"] == "web"
    assert labels["com.docker.compose.version"] == "2.40.3"


def test_a_one_off_depends_on_nobody_and_is_not_retried() -> None:
    found = stack("services: {web: {depends_on: [db], x-jocker: {retry: {attempts: 3}}}, db: {}}")
    web = found.services["web"]
    assert replica(found, web, 1).depends_on == {"db": Dependency()}
    assert replica(found, web, 1).retry is not None
    one = oneoff(found, web, slug=SLUG, name=None)
    assert (one.oneoff, one.depends_on, one.retry, one.number) == (True, {}, None, 0)
