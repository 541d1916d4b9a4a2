"""From a project and its images to the desired stack: service over image, by docker's rules.

Sources: OCI image-spec `conversion.md`; where docker differs, docker (Entrypoint, Cmd, Env, User, Volumes, StopSignal).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from composer.desired import networks
from composer.desired.hashing import config_hash, volume_hash
from composer.desired.names import (
    container_name,
    image_labels,
    number_labels,
    oneoff_labels,
    oneoff_name,
    service_labels,
    volume_labels,
)
from composer.desired.state import ContainerSpec, DesiredContainer, DesiredService, DesiredStack, DesiredVolume
from composer.errors import Complaint, StackFileError, UsageError
from composer.frozen import replace
from composer.image.config import ImageConfig
from composer.image.reference import Platform, normalise, parse_platform
from composer.model.fileobject import FileReference, GivenFile, Kind
from composer.model.network import Port
from composer.model.process import runtime_name
from composer.model.service import AnonymousVolume, ImageMount, Mount, NamedVolume, Project, Service

if TYPE_CHECKING:
    from composer.model.building import Build

DEFAULT_SHM_SIZE = 64 * 1024 * 1024
_NOT_A_VOLUME = frozenset({"", "/", "/proc", "/sys"})


Digests = Mapping[tuple[Kind, str], str]
_UNREAD: Digests = {}


def desire(
    project: Project, images: Mapping[str, ImageConfig], digests: Digests = _UNREAD, *, need_commands: bool = True
) -> DesiredStack:
    """What should be there. `images` by normalised reference; a service whose image is missing gets what can be said
    without it (`image_present` False). `digests` stand for what secrets and configs hold. Raises `StackFileError` for
    services that have no command at all, if they `need_commands`.
    """
    complaints: list[Complaint] = []
    services = {}
    for service in project.services.values():
        image = images.get(normalise(service.image))
        if need_commands and image is not None and not any(_arguments(service, image)):
            complaints.append(
                Complaint(
                    f'service "{service.name}" has no command: neither it nor image {service.image} names one',
                    service.place,
                    "write `command: [...]`",
                )
            )
        services[service.name] = _desire_service(project, service, images, digests)
    if complaints:
        raise StackFileError(tuple(complaints))
    return DesiredStack(
        project=project.name,
        services=services,
        disabled=frozenset(project.disabled),
        networks=networks.desired_networks(project),
        volumes=_volumes(project),
        limits=project.limits,
    )


def _volumes(project: Project) -> dict[str, DesiredVolume]:
    """By real name."""
    return {
        volume.name: DesiredVolume(
            name=volume.name,
            project=project.name,
            key=volume.key,
            external=volume.external,
            labels={**volume.labels, **volume_labels(project=project.name, volume=volume.key)},
            driver_opts=volume.driver_opts,
            config_hash="" if volume.external else volume_hash(volume.labels, volume.driver_opts),
        )
        for volume in project.volumes.values()
    }


def _desire_service(
    project: Project, service: Service, images: Mapping[str, ImageConfig], digests: Digests
) -> DesiredService:
    image = images.get(normalise(service.image))
    spec = replace(_spec(project, service, image, digests), mounts=_mounts(project, service, image, images))
    if service.life is not None:
        from composer.desired.hooks import hooks_of

        spec = replace(spec, hooks=hooks_of(service, images))
    spec_hash = config_hash(spec)
    return DesiredService(
        name=service.name,
        replicas=service.replicas,
        spec=spec,
        config_hash=spec_hash,
        layers=image.chain_ids if image else (),
        image_present=image is not None,
        pull_policy=service.pull_policy,
        depends_on=service.depends_on,
        container_name=service.container_name,
        labels={
            **spec.labels,
            **service_labels(
                project=project.name,
                service=service.name,
                working_dir=project.working_dir,
                files=project.files,
                config_hash=spec_hash,
                image_id=spec.image_id,
                depends_on=service.depends_on,
            ),
        },
        retry=service.retry,
        origins=tuple(project.file_objects[file.kind, file.key].origin for file in service.files),
        build=_build(project, service),
        image_is_named=service.image_is_named,
        platform=str(wanted_platform(project, service) or ""),
        image_platform="/".join(filter(None, ("linux", image.architecture, image.variant))) if image else "",
    )


def wanted_platform(project: Project, service: Service) -> Platform | None:
    """The platform that a service's image must be for, None if it does not matter. Raises `UsageError` for a
    `DOCKER_DEFAULT_PLATFORM` that is none; of a service it has been refused before.
    """
    default = project.environment.get("DOCKER_DEFAULT_PLATFORM", "")
    found = parse_platform(service.platform or default or "linux")
    if found is None and not service.platform:
        raise UsageError(f"DOCKER_DEFAULT_PLATFORM: no platform that Linux can run: {default!r}", hint="linux/amd64")
    return found if found and found.architecture else None


def _build(project: Project, service: Service) -> Build | None:
    """What the service says of it, with compose's labels and the references of the images it is made from."""
    if service.build is None:
        return None
    contexts = {
        name: f"docker-image://{normalise(project.services[other].image)}"
        if (other := value.removeprefix("service:")) != value and other in project.services
        else value
        for name, value in service.build.contexts.items()
    }
    labels = {**service.build.labels, **image_labels(project=project.name, service=service.name)}
    return replace(service.build, contexts=contexts, needs=service.build.services, labels=labels)


def _spec(project: Project, service: Service, image: ImageConfig | None, digests: Digests) -> ContainerSpec:
    entrypoint, command = _arguments(service, image)
    return ContainerSpec(
        image=normalise(service.image),
        image_id=image.image_id if image else "",
        entrypoint=entrypoint,
        command=command,
        environment=_environment(service, image),
        working_dir=service.working_dir or (image.working_dir if image else "") or "/",
        user=service.user if service.user is not None else (image.user if image else ""),
        group_add=service.group_add,
        hostname=service.hostname or "",
        labels={**(image.labels if image else {}), **service.labels},
        annotations=service.annotations,
        volumes_from=service.volumes_from,
        read_only=service.read_only,
        cap_add=service.cap_add,
        cap_drop=service.cap_drop,
        init=service.init,
        stop_signal=service.stop_signal or (image.stop_signal if image else "") or "SIGTERM",
        stop_grace_seconds=service.stop_grace_seconds,
        tty=service.tty,
        stdin_open=service.stdin_open,
        domainname=service.domainname,
        network_mode=service.network_mode,
        networks=networks.endpoints(project, service),
        ports=service.ports,
        expose=tuple(dict.fromkeys((*service.expose, *(image.exposed_ports if image else ())))),
        dns=service.dns,
        dns_search=service.dns_search,
        dns_opt=service.dns_opt,
        links=networks.links(service),
        pid=service.pid,
        ipc=service.ipc,
        uts=service.uts,
        cgroup=service.cgroup,
        ulimits=service.ulimits,
        sysctls=service.sysctls,
        security_opt=service.security_opt,
        seccomp_profile=_seccomp_profile(project, service),
        privileged=service.privileged,
        mem_limit=service.mem_limit,
        cpus=service.cpus,
        pids_limit=service.pids_limit,
        shm_size=service.shm_size or DEFAULT_SHM_SIZE,
        extra_hosts=service.extra_hosts,
        template=service.template or "",
        resources=service.resources,
        files=tuple(_given(file, digests) for file in service.files),
        logging=service.log.as_texts() if service.log else {},
        runtime=(service.runtime and runtime_name(service.runtime)) or "",
        attach=service.attach,
        **_life(service, image),
    )


def _life(service: Service, image: ImageConfig | None) -> dict[str, Any]:
    """`healthcheck` and `restart` of the spec, as far as there is any."""
    if service.life is None and not (image and image.healthcheck):
        return {}
    from composer.desired.life import check_of, restart_of

    return {"healthcheck": check_of(service.life, image), "restart": restart_of(service.life)}


def _given(file: FileReference, digests: Digests) -> GivenFile:
    digest = digests.get((file.kind, file.key), "")
    return GivenFile(file.kind, file.target, file.uid, file.gid, file.mode, digest)


def _arguments(service: Service, image: ImageConfig | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Entrypoint and command; an entrypoint of the service drops the image's command."""
    if service.entrypoint is not None:
        return service.entrypoint, service.command or ()
    entrypoint = image.entrypoint if image else ()
    if service.command is not None:
        return entrypoint, service.command
    return entrypoint, image.cmd if image else ()


def _environment(service: Service, image: ImageConfig | None) -> dict[str, str]:
    merged: dict[str, str] = {}
    for entry in image.env if image else ():
        name, _, value = entry.partition("=")
        merged[name] = value
    for name, given in service.environment.items():
        if given is None:
            merged.pop(name, None)
        else:
            merged[name] = given
    return merged


def _mounts(
    project: Project, service: Service, image: ImageConfig | None, images: Mapping[str, ImageConfig]
) -> tuple[Mount, ...]:
    """The service's own, volumes by their real names, images as far as they are here; and the volumes of its image."""
    done: list[Mount] = []
    for mount in service.mounts:
        if isinstance(mount, NamedVolume):
            mount = mount._replace(volume=project.volumes[mount.volume].name)
        elif isinstance(mount, ImageMount):
            found = images.get(mount.image)
            mount = mount._replace(image_id=found.image_id, layers=found.chain_ids) if found else mount
        done.append(mount)
    return (*done, *_image_volumes(service, image))


def _image_volumes(service: Service, image: ImageConfig | None) -> tuple[AnonymousVolume, ...]:
    taken = {mount.target.rstrip("/") for mount in service.mounts}
    volumes = {"/" + path.strip("/") for path in (image.volumes if image else ()) if path not in _NOT_A_VOLUME}
    gives_way = bool(service.volumes_from)
    return tuple(AnonymousVolume(path, of_image=gives_way) for path in sorted(volumes - _NOT_A_VOLUME - taken))


def _seccomp_profile(project: Project, service: Service) -> str:
    for option in service.security_opt:
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name == "seccomp" and value in project.seccomp_profiles:
            return project.seccomp_profiles[value]
    return ""


def replica(stack: DesiredStack, service: DesiredService, number: int) -> DesiredContainer:
    """Replica `number` of a service."""
    return DesiredContainer(
        project=stack.project,
        service=service.name,
        number=number,
        name=service.container_name or container_name(stack.project, service.name, number),
        oneoff=False,
        spec=service.spec,
        config_hash=service.config_hash,
        labels={**service.labels, **number_labels(number)},
        layers=service.layers,
        depends_on=service.depends_on,
        retry=service.retry,
        origins=service.origins,
    )


def oneoff(
    stack: DesiredStack,
    service: DesiredService,
    *,
    slug: str,
    name: str | None,
    ports: tuple[Port, ...] = (),
    use_aliases: bool = False,
) -> DesiredContainer:
    """A one-off container of a service (`run`). `slug` is 64 random hex digits. On its networks it goes by its own name
    alone unless `use_aliases`, and has addresses of its own: those of the service are taken. Nobody watches it: whoever
    runs it does.
    """
    ends = (end._replace(ipv4_address="", ipv6_address="", mac_address="") for end in service.spec.networks)
    networks = tuple(end if use_aliases else end._replace(aliases=()) for end in ends)
    spec = replace(service.spec, networks=networks, ports=ports, healthcheck=None, restart=None, hooks=None)
    return DesiredContainer(
        project=stack.project,
        service=service.name,
        number=0,
        name=name or oneoff_name(stack.project, service.name, slug),
        oneoff=True,
        spec=spec,
        config_hash=config_hash(spec),
        labels={**service.labels, **oneoff_labels(slug)},
        layers=service.layers,
        origins=service.origins,
    )
