"""Hooks of a service: resolved against its images, as JSON, and back. Only what is set is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from composer.frozen import fields_of
from composer.image.config import ImageConfig
from composer.image.reference import normalise
from composer.model.life import Hook, Hooks, InitStep
from composer.model.service import Service

_HOOK, _STEP, _NONE = Hook(), InitStep(image=""), Hooks()
_KINDS: Mapping[str, type[Hook | InitStep]] = {"pre_start": InitStep, "post_start": Hook, "pre_stop": Hook}
_SAMPLES: Mapping[type, Hook | InitStep] = {Hook: _HOOK, InitStep: _STEP}


def hooks_of(service: Service, images: Mapping[str, ImageConfig]) -> Hooks | None:
    """The hooks of a service, None if it has none. `images` are those that are here, by normalised reference."""
    life = service.life
    if life is None or not (life.pre_start or life.post_start or life.pre_stop):
        return None
    return Hooks(
        pre_start=tuple(_step(service, hook, images) for hook in life.pre_start),
        post_start=life.post_start,
        pre_stop=life.pre_stop,
    )


def _step(service: Service, hook: Hook, images: Mapping[str, ImageConfig]) -> InitStep:
    reference = normalise(hook.image or service.image)
    image = images.get(reference)
    environment = dict(entry.partition("=")[::2] for entry in (image.env if image else ()))
    for name, value in (*service.environment.items(), *hook.environment.items()):
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return InitStep(
        image=reference,
        image_id=image.image_id if image else "",
        layers=image.chain_ids if image else (),
        entrypoint=image.entrypoint if image else (),
        command=hook.command if hook.command is not None else (image.cmd if image else ()),
        environment=environment,
        working_dir=hook.working_dir or service.working_dir or (image.working_dir if image else "") or "/",
        user=hook.user or service.user or (image.user if image else ""),
        privileged=hook.privileged,
        per_replica=hook.per_replica,
    )


def hooks_to_json(hooks: Hooks) -> dict[str, Any]:
    """As plain JSON values."""
    return {kind: [_plain(one) for one in getattr(hooks, kind)] for kind in _KINDS if getattr(hooks, kind)}


def _plain(one: Hook | InitStep) -> dict[str, Any]:
    sample = _SAMPLES[type(one)]
    values = {name: getattr(one, name) for name in fields_of(one)}
    return {
        name: list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value != getattr(sample, name)
    }


def hooks_from_json(plain: Mapping[str, Any]) -> Hooks:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is none; what a later version knows more is left out."""
    return Hooks(**{kind: tuple(_one(of, one) for one in plain.get(kind, ())) for kind, of in _KINDS.items()})


def _one(kind: type[Hook | InitStep], plain: Mapping[str, Any]) -> Any:
    found: dict[str, Any] = {}
    for name in fields_of(kind):
        if name not in plain:
            continue
        value = plain[name]
        wanted = getattr(_SAMPLES[kind], name)
        if name == "environment":
            value = {str(key): None if one is None else str(one) for key, one in dict(value).items()}
        elif name in {"command", "entrypoint", "layers"}:
            value = tuple(map(str, list(value)))
        elif type(value) is not type(wanted):
            raise TypeError(f"{name} of a hook: {value!r} is of another kind")
        found[name] = value
    return kind(**{"image": "", **found} if kind is InitStep else found)
