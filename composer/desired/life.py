"""The health check and the restart policy of a container: service over image, field by field, over docker's defaults.

Loaded only for services and images that say any of it. Source: docker's `daemon/health.go` and `runconfig` merging.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from composer.image.config import ImageConfig
from composer.model.life import Check, Healthcheck, Life, RestartPolicy

_NANOSECONDS = 1e9
_SAID_NOTHING = Healthcheck()
_TYPES = {"test": list, "shell": list, "retries": int, "max_attempts": int, "condition": str}
"""Of the fields of both; the others are numbers."""


def check_of(life: Life | None, image: ImageConfig | None) -> Check | None:
    """The health check of a service's containers; None if neither it nor the image has one, or it is switched off.

    What an image says wrongly (it is anybody's file) counts as not said.
    """
    said = (life.healthcheck if life else None) or _SAID_NOTHING
    of_image = image.healthcheck if image else {}
    test = said.test or _test(of_image.get("Test"))
    if said.disabled or not test or test[0] == "NONE":
        return None

    def seconds(own: float | None, key: str, default: float) -> float:
        if own:
            return own
        found = of_image.get(key)
        return found / _NANOSECONDS if type(found) is int and found > 0 else default

    retries = of_image.get("Retries")
    return Check(
        test=test,
        interval=seconds(said.interval, "Interval", 30.0),
        timeout=seconds(said.timeout, "Timeout", 30.0),
        start_period=seconds(said.start_period, "StartPeriod", 0.0),
        start_interval=seconds(said.start_interval, "StartInterval", 5.0),
        retries=said.retries or (retries if type(retries) is int and retries > 0 else 3),
        shell=(image.shell if image else ()) or ("/bin/sh", "-c"),
    )


def _test(found: Any) -> tuple[str, ...]:
    """The image's test, () if it is none."""
    is_whole = isinstance(found, list) and all(isinstance(word, str) and "\0" not in word for word in found)
    if not is_whole or len(found) < (1 if found[:1] == ["NONE"] else 2) or found[0] not in {"CMD", "CMD-SHELL", "NONE"}:
        return ()
    return tuple(found)


def restart_of(life: Life | None) -> RestartPolicy | None:
    """The restart policy of a service's containers, None for `no`."""
    return life.restart if life and life.restart.condition != "no" else None


def life_from_json(plain: Mapping[str, Any]) -> dict[str, Any]:
    """`healthcheck` and `restart` of a record's spec. Raises `TypeError` for what is neither."""
    found: dict[str, Any] = {}
    for name, kind in (("healthcheck", Check), ("restart", RestartPolicy)):
        if plain.get(name) is None:
            continue
        fields = dict(plain[name])
        for key, value in fields.items():
            wanted = _TYPES.get(key)
            if type(value) is not wanted if wanted else type(value) not in {int, float}:
                raise TypeError(f"{name}.{key}: {value!r}")
            if wanted is list:
                if not all(isinstance(word, str) for word in value):
                    raise TypeError(f"{name}.{key}: {value!r}")
                fields[key] = tuple(value)
        found[name] = kind(**fields)
    if "healthcheck" in found and not found["healthcheck"].test:
        raise TypeError("healthcheck.test: nothing")
    return found
