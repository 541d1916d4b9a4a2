"""Every failure a user can see.

```text
JockerError                    exit 1   it failed
├── UsageError                 exit 2   the command line is wrong
├── StackFileError             exit 3   the stack file is wrong: a list of complaints, each with its place
├── MachineError               exit 4   the machine lacks something (`jocker doctor`)
│   └── ToolMissing            exit 4   a program is not installed
├── ImageError                 exit 1   an image cannot be used
│   ├── ImageNotFound          exit 1   no such image here, or in its registry
│   ├── ImageRefused           exit 1   malformed or hostile: nothing of it was kept
│   ├── BuildFailed          exit 1   an image could not be built
│   └── TransferFailed         exit 1   the registry or the network failed; may be transient
├── ContainerError             exit 1   a container could not be made, started or stopped
│   ├── HookFailed             exit 1   a hook around its start failed
│   ├── CommandNotStarted      exit 1   its command is not there or cannot be run (`run`, `exec`: 127, 126)
│   └── DiedAtOnce             exit 1   it was started and has ended
├── NetworkError               exit 1   a network, an address or a port cannot be had
├── CommandFailed              exit 1   a program we ran said no
├── LockTimeout                exit 1   another command holds the stack
├── Interrupted                exit 130 Ctrl-C or SIGTERM
└── Failed                     exit 1   the summary of a plan some of whose steps failed (4: all for lack of something)
```

Raise anywhere; only `composer.cli.main` prints and exits. Messages are lower case, without a full stop.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where in a stack file something stands.

    `line` and `column` count from 1; 0 means "not in a file" (an option, an environment variable).
    `path` is the key path as a user reads it: `services.web.ports[0]`. `text` is the source line.
    """

    file: str
    line: int
    column: int
    path: str
    text: str = ""
    width: int = 1

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}  {self.path}" if self.path else where


class Complaint(NamedTuple):
    """One thing that is wrong with a stack file: what, where, and how to mend it.

    `chain` says how the file came to be read, innermost first: `included from jocker.yml:3:5`.
    """

    message: str
    place: Place
    hint: str = ""
    chain: tuple[str, ...] = ()


class JockerError(Exception):
    """A failure the user can cause or must hear of.

    `transient` says that the same call may succeed a moment later: only then is it retried.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", place: Place | None = None, transient: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place
        self.transient = transient


class UsageError(JockerError):
    """The command line cannot be carried out as written."""

    exit_code = 2


class StackFileError(JockerError):
    """The stack file is wrong. All complaints come at once."""

    exit_code = 3

    def __init__(self, complaints: tuple[Complaint, ...]) -> None:
        first = complaints[0]
        super().__init__(first.message, hint=first.hint, place=first.place)
        self.complaints = complaints


class MachineError(JockerError):
    """The machine lacks something jocker needs."""

    exit_code = 4


class ToolMissing(MachineError):
    """A program jocker drives is not installed."""

    def __init__(self, tool: str, *, package: str = "") -> None:
        super().__init__(f"{tool}: not found", hint=f"apt-get install {package or tool}")
        self.tool = tool


class ImageError(JockerError):
    """An image cannot be used."""


class ImageNotFound(ImageError):
    """There is no such image here, or in its registry."""


class ImageRefused(ImageError):
    """The image is malformed or hostile; nothing of it was kept."""


class BuildFailed(ImageError):
    """An image could not be built. `output` are the last lines of the build."""

    def __init__(self, message: str, *, hint: str = "", output: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.output = output


class TransferFailed(ImageError):
    """Moving an image from or to a registry failed."""


class ContainerError(JockerError):
    """A container could not be made, started, stopped or removed."""


class HookFailed(ContainerError):
    """A hook around a container's start failed. `output` are its last lines."""

    def __init__(self, message: str, *, hint: str = "", output: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.output = output


class CommandNotStarted(ContainerError):
    """The command of a container cannot be run; `exit_status` as a shell has it: 127 not found, 126 not executable."""

    def __init__(self, message: str, *, exit_status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_status = exit_status


class DiedAtOnce(ContainerError):
    """A container that was to be started has exited. `died_with` is None if nobody knows."""

    def __init__(self, message: str, exit_code: int | None) -> None:
        super().__init__(message)
        self.died_with = exit_code


class NetworkError(JockerError):
    """A network could not be made, changed or removed; an address or a port is not to be had."""


class CommandFailed(JockerError):
    """A program we ran ended with a code we did not accept.

    `returncode` is negative for a signal, as in `subprocess`.
    """

    def __init__(self, argv: tuple[str, ...], returncode: int, stderr: str, *, transient: bool = False) -> None:
        said = stderr.strip().splitlines()
        super().__init__(
            f"{argv[0]} failed with code {returncode}: {said[-1] if said else 'it said nothing'}",
            transient=transient,
        )
        self.argv = argv
        self.returncode = returncode
        self.stderr = stderr


class LockTimeout(JockerError):
    """Another jocker command holds the lock."""


class Interrupted(JockerError):
    """The user interrupted."""

    exit_code = 130


class Failed(JockerError):
    """Some steps failed; they have been told one by one, so the message is the summary.

    `exit_code` is that of the failures if they have one in common: 4 if the machine lacks what all of them need.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
