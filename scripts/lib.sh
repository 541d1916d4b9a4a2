# Shared by the scripts beside it: brings a bare Debian 12/13 or Ubuntu 24.04 to where jocker runs. Bash, sourced.
#
#   set_up run      what jocker needs to run
#   set_up build    that, and what it needs to build images
#   set_up dev      that, and what its tests need
#
# Asks nothing, may run as often as one likes, and installs only what is missing.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PYTHON=/usr/bin/python3
VENV="$ROOT/.venv"
STAMP="$VENV/.jocker-stamp"

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Without bytecode every start of jocker compiles itself again, at ten times the price.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

# The machine lacks something: one line, and the exit code that jocker itself has for it.
lacks() {
    say "$*"
    exit 4
}

have() { command -v "$1" >/dev/null 2>&1; }

# An ELF file that names no interpreter needs no libraries: only such a busybox runs in an empty root.
busybox_is_static() {
    have busybox && [ -x "$PYTHON" ] && "$PYTHON" - "$(command -v busybox)" <<'PY'
import struct, sys
data = open(sys.argv[1], "rb").read(65536)
offset, = struct.unpack_from("<Q", data, 32)
size, count = struct.unpack_from("<HH", data, 54)
interpreter = 3
sys.exit(any(struct.unpack_from("<I", data, offset + n * size)[0] == interpreter for n in range(count)))
PY
}

python_is_new() { [ -x "$PYTHON" ] && "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Names of the packages that are missing, one a line; a line may name alternatives, split by `|`.
missing_packages() {
    [ -x "$PYTHON" ] && "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
    have runc || echo runc
    have conmon || echo conmon
    have skopeo || echo skopeo
    have nft || echo nftables
    have dnsmasq || echo dnsmasq-base
    have tini-static || echo tini
    busybox_is_static || echo busybox-static
    [ -e /usr/share/containers/seccomp.json ] || [ -e /etc/containers/seccomp.json ] \
        || echo 'golang-github-containers-common|containers-common'
    [ "$1" != run ] || return 0
    have buildah || echo buildah
    [ "$1" = dev ] || return 0
    have zstd || echo zstd
    have docker-registry || echo docker-registry
    [ -d /usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema ] \
        || echo 'golang-github-opencontainers-specs-dev|golang-github-opencontainers-runtime-spec-dev'
}

os_release() { (. /etc/os-release 2>/dev/null && printf '%s' "${!1:-}") || true; }

supported_system() {
    local version
    version="$(os_release VERSION_ID)"
    case "$(os_release ID)" in
        debian) [ -z "$version" ] || [ "${version%%.*}" -ge 12 ] ;;
        ubuntu) [ "${version%%.*}" -ge 24 ] ;;
        *) return 1 ;;
    esac && have apt-get
}

apt() { apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$APT_LOG" 2>&1; }

# A mirror that hiccups is asked once more.
twice() { "$@" || { sleep 3 && "$@"; }; }

install_packages() {
    local wanted=() line name
    APT_LOG="$(mktemp)"
    twice apt update || { cat "$APT_LOG" >&2; lacks "apt-get update failed: no package lists"; }
    for line in "$@"; do
        for name in ${line//|/ }; do
            apt-cache show "$name" 2>/dev/null | grep -q '^Filename' && break
        done
        wanted+=("$name")
    done
    say "installing ${wanted[*]}"
    # The tests run a registry of their own: the package's service stays off.
    if [[ " ${wanted[*]} " == *" docker-registry "* ]] && [ -d /run/systemd/system ]; then
        systemctl mask docker-registry.service >/dev/null 2>&1 || true
    fi
    twice apt install -y --no-install-recommends "${wanted[@]}" \
        || { tail -n 20 "$APT_LOG" >&2; lacks "apt-get could not install ${wanted[*]}"; }
    rm -f "$APT_LOG"
}

pip_install() { "$VENV/bin/python" -m pip install --quiet "$@" </dev/null >"$PIP_LOG" 2>&1; }

set_up_venv() {
    local kind="$1" want have_stamp
    want="$("$PYTHON" -V) $ROOT $(sha256sum <"$ROOT/pyproject.toml" | cut -d' ' -f1)"
    have_stamp="$(cat "$STAMP" 2>/dev/null || true)"
    [[ "$have_stamp" == *" dev" ]] && kind=dev # what is there already stays
    if [ "$have_stamp" != "$want $kind" ]; then
        # A virtual environment of another Python or another place is of no use.
        if ! "$VENV/bin/python" -c 'import pip' 2>/dev/null || [[ "$have_stamp" != "$("$PYTHON" -V) $ROOT "* ]]; then
            say "making .venv"
            rm -rf "$VENV"
            "$PYTHON" -m venv "$VENV"
        fi
        say "installing jocker into .venv"
        local extra="" PIP_LOG
        PIP_LOG="$(mktemp)"
        [ "$kind" = dev ] && extra="[dev]"
        twice pip_install --editable "$ROOT$extra" \
            || { tail -n 20 "$PIP_LOG" >&2; lacks "pip could not install what $ROOT/pyproject.toml requires"; }
        rm -f "$PIP_LOG"
        printf '%s' "$want $kind" >"$STAMP"
    fi
    "$VENV/bin/python" -m compileall -q "$ROOT/composer"
}

set_up() {
    local kind="$1" missing system
    [ "$(id -u)" = 0 ] || lacks "must run as root: it installs packages and starts containers (try: sudo $0)"
    mapfile -t missing < <(missing_packages "$kind")
    if [ "${#missing[@]}" -gt 0 ]; then
        system="$(os_release PRETTY_NAME)"
        supported_system || lacks "${system:-this system} is not Debian 12 or 13, nor Ubuntu 24.04:" \
            "install what is missing here by hand: ${missing[*]%%|*}"
        install_packages "${missing[@]}"
    fi
    [ "$kind" = build ] && kind=run # Python needs nothing more
    python_is_new || lacks "Python 3.11 or later is missing: $("$PYTHON" -V 2>&1 || echo "no $PYTHON")"
    set_up_venv "$kind"
}
