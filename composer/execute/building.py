"""One image built: what it is made from found, buildah called, the result taken into the store."""

from __future__ import annotations

import json
import os
import platform
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from composer.desired.networks import hashed
from composer.desired.state import ContainerSpec, DesiredNetwork, Endpoint
from composer.errors import (
    BuildFailed,
    CommandFailed,
    ImageError,
    ImageNotFound,
    JockerError,
    TransferFailed,
    UsageError,
)
from composer.execute.build_arguments import Given, call
from composer.execute.networking import Networking
from composer.frozen import replace
from composer.host import buildah, net_paths, networks
from composer.host.buildah import Workplace
from composer.host.files import read_text, write_plain
from composer.host.machine_facts import architecture as normal_architecture
from composer.host.proc import require
from composer.host.trees import remove_tree
from composer.image import dockerfile
from composer.image.config import ImageConfig
from composer.image.reference import normalise
from composer.image.store import LayerSource, Store
from composer.image.transfer import pull
from composer.model.building import Build
from composer.paths import Paths
from composer.plan.steps import BuildImage, Member

OnProgress = Callable[[str], None]

_IMAGE = "docker-image://"
_NETWORK = ".build-"
"""What a build's own network is called: no user's network can be."""
_MOST_LINES = 10
_APPARMOR = "/sys/module/apparmor/parameters/enabled"


class Builder:
    """Builds images of one store. Safe to use from several threads and processes."""

    def __init__(self, paths: Paths, runtime: str, is_cancelled: Callable[[], bool]) -> None:
        self._paths = paths
        self._runtime = runtime
        self._is_cancelled = is_cancelled
        self._store = Store(paths)
        self._networking = Networking(paths)

    def build(self, step: BuildImage, on_progress: OnProgress) -> str:
        """Makes the image of a step; says "unchanged" if it was there just so, "pulled" if a registry had it.

        Raises `BuildFailed`, `ImageError`, `ToolMissing`, `Interrupted`.
        """
        self.check()
        if step.pull_first and self._pull_instead(step, on_progress):
            return "pulled"
        build = step.build
        text = _dockerfile(step)
        before = self._store.find(step.subject)
        with buildah.working(self._paths, self._tidy) as place:
            wanted = _platform(build)
            bases, needs_network = self._bases(place, step, text, wanted, on_progress)
            build = _resolved(
                replace(build, contexts={key: bases.get(one, one) for key, one in build.contexts.items()})
            )
            with self._network(place, build, is_needed=needs_network) as given:
                given = given._replace(
                    dockerfile=_write(place, "Dockerfile", text),
                    ignore_file=_ignore_file(place, build),
                    runtime=self._runtime,
                    runtime_root=place.runtime_root,
                    cgroup=place.cgroup,
                    platform="" if wanted == _machine() else wanted,
                    memory=step.memory,
                    has_apparmor=(read_text(_APPARMOR) or "").startswith("Y"),
                )
                image_id = self._run(step, place, build, given, on_progress)
            self._take_in(place, [step.subject, *map(normalise, build.tags)], image_id, on_progress)
            if step.push:
                self._push(step, place, image_id, on_progress)
        return "unchanged" if before is not None and before.image_id == image_id else ""

    def check(self) -> None:
        """Raises `ToolMissing` before anything is fetched for a build that cannot be."""
        require("buildah")

    def _pull_instead(self, step: BuildImage, on_progress: OnProgress) -> bool:
        try:
            pull(self._store, step.subject, progress=on_progress)
        except (ImageNotFound, TransferFailed) as error:
            on_progress(f"no registry has it, so it is built: {error.message}")
            return False
        return True

    def _run(self, step: BuildImage, place: Workplace, build: Build, given: Given, on_progress: OnProgress) -> str:
        words = call(build, given)
        env = dict(words.env)
        if any(not path for path in build.ssh.values()):
            socket = os.environ.get("SSH_AUTH_SOCK", "")
            if not socket:
                raise ImageError(f'service "{step.service}": ssh: no agent is running', hint="ssh-agent, ssh-add")
            env["SSH_AUTH_SOCK"] = socket
        try:
            return buildah.build(
                self._paths, place, words.arguments, env=env, on_line=on_progress, is_cancelled=self._is_cancelled
            )
        except CommandFailed as error:
            lines = [line for line in error.stderr.splitlines() if line.strip()]
            told = next((line for line in reversed(lines) if line.startswith("Error: ")), lines[-1] if lines else "")
            raise BuildFailed(
                f'service "{step.service}": the build failed: {told.removeprefix("Error: ") or error.message}',
                output=tuple(lines[-_MOST_LINES:]),
            ) from None

    # what it is made from ---------------------------------------------------------------------------------

    def _bases(
        self, place: Workplace, step: BuildImage, text: str, wanted: str, on_progress: OnProgress
    ) -> tuple[dict[str, str], bool]:
        """Gives buildah all images that the build takes from. Returns what the additional contexts are called there,
        and whether anything runs, so that a network is of use.
        """
        needs = dockerfile.needs(text, {**_platform_arguments(wanted), **step.build.args})
        runs = any(one.word == "RUN" for one in dockerfile.instructions(text))
        named: dict[str, str] = {}
        for value in step.build.contexts.values():
            if value.startswith(_IMAGE):
                named[value] = _IMAGE + self._give(place, step, value.removeprefix(_IMAGE), wanted, on_progress)[0]
        pending = [name for name in needs.images if name not in step.build.contexts]
        seen: set[str] = set()
        while pending:
            name = pending.pop(0)
            if name not in seen:
                seen.add(name)
                _, image = self._give(place, step, name, wanted, on_progress)
                for trigger in self._triggers(image):
                    runs = runs or trigger.word == "RUN"
                    pending += [one for one in dockerfile.sources(trigger) if one not in step.build.contexts]
        return named, runs

    def _give(
        self, place: Workplace, step: BuildImage, name: str, wanted: str, on_progress: OnProgress
    ) -> tuple[str, ImageConfig]:
        try:
            reference = normalise(name)
        except UsageError as error:
            raise BuildFailed(f'service "{step.service}": the Dockerfile: {error.message}', hint=error.hint) from None
        image = self._find(reference, wanted)
        if image is None or (step.build.pull and reference not in step.siblings):
            try:
                image = pull(
                    self._store, reference, progress=lambda said: on_progress(f"{name}: {said}"),
                    architecture=wanted.split("/")[1],
                )  # fmt: skip
            except ImageNotFound as error:
                hint = "build it first: jocker build" if reference in step.siblings else error.hint
                raise ImageNotFound(error.message, hint=hint) from None
        if not buildah.has(self._paths, image.image_id, reference):
            directory = f"{place.directory}/base"
            self._lay_out(image, directory)
            try:
                buildah.give(self._paths, place, directory, reference)
            finally:
                remove_tree(directory)
        return reference, image

    def _find(self, reference: str, wanted: str) -> ImageConfig | None:
        image = self._store.find(reference)
        return image if image and image.architecture in {"", wanted.split("/")[1]} else None

    def _lay_out(self, image: ImageConfig, directory: str) -> None:
        """An image of the store as `dir:` layout of links: no bytes are copied."""
        os.mkdir(directory, 0o700)
        manifest = self._store.manifest(image.manifest_digest)
        os.symlink(self._store.blob_path(image.manifest_digest), f"{directory}/manifest.json")
        write_plain(f"{directory}/version", b"Directory Transport Version: 1.1\n", mode=0o600)
        for digest in {manifest.config.digest, *(layer.digest for layer in manifest.layers)}:
            os.symlink(self._store.blob_path(digest), f"{directory}/{digest.removeprefix('sha256:')}")

    def _triggers(self, image: ImageConfig) -> list[dockerfile.Instruction]:
        settings = json.loads(self._store.blob(image.image_id)).get("config") or {}
        lines = settings.get("OnBuild") if isinstance(settings, dict) else None
        return list(dockerfile.instructions("\n".join(map(str, lines)))) if isinstance(lines, list) else []

    # network ----------------------------------------------------------------------------------------------

    @contextmanager
    def _network(self, place: Workplace, build: Build, *, is_needed: bool) -> Iterator[Given]:
        """What the build has for a network: by default one of its own, as a container has, with a way out."""
        if build.network == "host":
            yield Given("", "", "host", gateway="127.0.0.1")
            return
        wants_gateway = any(address == "host-gateway" for _, address in build.extra_hosts)
        if build.network == "none" or not (is_needed or wants_gateway):
            yield Given("", "", "none")
            return
        name = f"{_NETWORK}{place.build_id[:12]}"
        try:
            self._networking.create(hashed(DesiredNetwork(name=name)))
            self._networking.assign(name, [Member(place.build_id, Endpoint(name), ())])
            spec = ContainerSpec(image="", image_id="", network_mode="", networks=(Endpoint(name),))
            attached = self._networking.join(spec, place.build_id)
            path = net_paths.container_netns(self._paths, place.build_id)
            yield Given("", "", f"ns:{path}", dns=("127.0.0.11",), gateway=attached.machine)
        finally:
            self._take_away(name, [place.build_id])

    def _take_away(self, name: str, members: Sequence[str]) -> None:
        for one in members:
            self._networking.detach(one, [name])
        self._networking.remove(name)

    def tidy(self) -> None:
        """Takes away what builds that were killed left on the machine, if nobody builds now."""
        buildah.tidy(self._paths, self._tidy)

    def _tidy(self) -> None:
        """Removes the networks of builds that were killed; nobody builds now."""
        for wiring in list(networks.every(self._paths)):
            if wiring.name.startswith(_NETWORK):
                with suppress(JockerError, OSError):
                    self._take_away(wiring.name, list(wiring.leases))

    # the result -------------------------------------------------------------------------------------------

    def _take_in(self, place: Workplace, names: Sequence[str], image_id: str, on_progress: OnProgress) -> None:
        """Into the store, by the way every image comes: digests verified, layers unpacked within their root."""
        if self._store.find(image_id) is not None:
            for name in names:
                self._store.tag(image_id, name)
            return
        with self._store.adding() as temporary:
            directory = f"{temporary}/built"
            os.mkdir(directory, 0o700)
            buildah.export(self._paths, place, image_id, directory)
            manifest_raw = _read(f"{directory}/manifest.json")
            manifest: Any = json.loads(manifest_raw)
            layers = [f"{directory}/{layer['digest'].removeprefix('sha256:')}" for layer in manifest["layers"]]
            self._store.add(
                list(names),
                manifest_raw,
                _read(f"{directory}/{manifest['config']['digest'].removeprefix('sha256:')}"),
                [LayerSource(path) for path in layers],
                temporary=temporary,
                on_progress=on_progress,
            )

    def _push(self, step: BuildImage, place: Workplace, image_id: str, on_progress: OnProgress) -> None:
        keep = ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY",
                "NO_PROXY", "XDG_RUNTIME_DIR", "CONTAINERS_REGISTRIES_CONF")  # fmt: skip
        env = {name: os.environ[name] for name in keep if name in os.environ}
        for name in env.keys() - {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}:
            env[name] = os.path.abspath(env[name])  # buildah runs in another directory than we
        for reference in (step.subject, *map(normalise, step.build.tags)):
            on_progress(f"pushing {reference}")
            try:
                buildah.push(self._paths, place, image_id, reference, env)
            except CommandFailed as error:
                raise TransferFailed(f"{reference}: {error.message}", hint="skopeo login REGISTRY") from None


def bases(build: Build, service: str) -> tuple[str, ...]:
    """The references of the images that a build starts from, as far as its Dockerfile can be read."""
    try:
        text = dockerfile_text(build, service)
    except JockerError:
        return ()
    found = []
    for name in dockerfile.needs(text, {**_platform_arguments(_platform(build)), **build.args}).images:
        with suppress(UsageError):
            found.append(normalise(name))
    return tuple(found)


def _dockerfile(step: BuildImage) -> str:
    """The text, up to the stage that is wanted. Raises `BuildFailed`."""
    text = dockerfile_text(step.build, step.service)
    if not step.build.target:
        return text
    found = dockerfile.until(text, step.build.target)
    if found is None:
        stages = [stage.name for stage in dockerfile.needs(text, {}).stages if stage.name]
        raise BuildFailed(
            f'service "{step.service}": the Dockerfile has no stage {step.build.target!r}',
            hint=f"there are: {', '.join(stages)}" if stages else "",
        )
    return found


def dockerfile_text(build: Build, service: str) -> str:
    """Raises `BuildFailed` if context or Dockerfile is not there, or is not a file of a sensible size."""
    if not os.path.isdir(build.context):
        raise BuildFailed(f'service "{service}": the build context {build.context!r} is not a directory')
    if build.dockerfile_inline:
        return build.dockerfile_inline
    path = os.path.join(build.context, build.dockerfile)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a fifo would keep us for ever
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BuildFailed(f'service "{service}": {path} is not a file')
            raw = file.read(dockerfile.LARGEST + 1)
    except OSError as error:
        raise BuildFailed(
            f'service "{service}": the Dockerfile {path} cannot be read: {error.strerror}',
            hint="`dockerfile` is relative to `context`",
        ) from None
    if len(raw) > dockerfile.LARGEST:
        raise BuildFailed(f'service "{service}": {path} has more than {dockerfile.LARGEST} bytes')
    return raw.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")


def _ignore_file(place: Workplace, build: Build) -> str:
    """`<Dockerfile>.dockerignore`, else `.dockerignore` of the context, else an empty one: podman's own names, which
    buildah prefers, mean nothing here.
    """
    own = "" if build.dockerfile_inline else os.path.join(build.context, f"{build.dockerfile}.dockerignore")
    for path in (own, os.path.join(build.context, ".dockerignore")):
        if path and os.path.isfile(path):
            return path
    return _write(place, "ignore", "")


def _resolved(build: Build) -> Build:
    """The build with its paths as they really are: what a link leads to is what buildah is given to see."""

    def real(path: str) -> str:
        return os.path.realpath(path) if path.startswith("/") else path

    return replace(
        build,
        context=real(build.context),
        contexts={name: real(value) for name, value in build.contexts.items()},
        secrets=tuple(replace(secret, file=real(secret.file)) for secret in build.secrets),
        ssh={name: real(path) for name, path in build.ssh.items()},
    )


def _write(place: Workplace, name: str, text: str) -> str:
    write_plain(f"{place.directory}/{name}", text.encode(), mode=0o600)
    return f"{place.directory}/{name}"


def _machine() -> str:
    return f"linux/{normal_architecture(platform.machine())}"


def _platform(build: Build) -> str:
    """What is built for: this machine if the file offers it or asks for nothing, else the first it names."""
    offered = [one if "/" in one else f"linux/{one}" if one != "linux" else _machine() for one in build.platforms]
    machine = _machine()
    return next((machine for one in offered if f"{one}/".startswith(f"{machine}/")), offered[0] if offered else machine)


def _platform_arguments(wanted: str) -> dict[str, str]:
    os_name, arch, *variant = wanted.split("/")
    return {
        "BUILDPLATFORM": _machine(),
        "BUILDARCH": _machine().split("/")[1],
        "BUILDOS": "linux",
        "TARGETPLATFORM": wanted,
        "TARGETOS": os_name,
        "TARGETARCH": arch,
        "TARGETVARIANT": variant[0] if variant else "",
    }


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
