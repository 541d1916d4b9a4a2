"""What hostile and odd images must come to: refused with these words, or unpacked to exactly this tree."""

from __future__ import annotations

import gzip
from typing import Any

from hostile import UP, Case, Docker, Layer, Oci, base, config, old_sparse, packed, record, sha256

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
LONG = "/".join(["n" * 90] * 8)


def over(*layers: Layer) -> list[Layer]:
    """These layers over the usual base."""
    return [base(), *layers]


def pax_case(name: str, records: bytes, refused: str) -> Case:
    return Case(name, lambda out: over(Layer().pax(records).file("x")), refused=refused)


NAMES = [
    Case("absolute", lambda out: over(Layer().file(f"{out}/new")), {"{out}/new": "file 644 x"}),
    Case("slashes", lambda out: over(Layer().dir("./").file("//d/./three", "3")), {"d/three": "file 644 3"}),
    Case("dotdot", lambda out: over(Layer().file(f"{UP}{out}/new")), refused=r"layer 2: .* with \.\."),
    Case("dotdot inside", lambda out: over(Layer().file("d/../e")), refused=r"'d/\.\./e': a name with \.\."),
    Case("dotdot directory", lambda out: over(Layer().dir("..", 0o777, owner=(9, 9))), refused=r"with \.\."),
    Case("empty", lambda out: over(Layer().file("").file("y")), {"y": "file 644 x"}),
    Case("not text", lambda out: over(Layer().file(b"\xff\xfe").file(b"\xe9" * 120)), {b"\xff\xfe": "file 644 x"}),
    Case("line break", lambda out: over(Layer().file("a\nb").file("-rf")), {"a\nb": "file 644 x", "-rf": "file 644 x"}),
    Case("escapes", lambda out: over(Layer().file("\x1b[31m/..")), refused=r"'\\x1b\[31m/\.\.'"),
    Case("long in pax", lambda out: over(Layer().file(LONG).sym("s", LONG)), {LONG: "file 644 x", "s": f"link {LONG}"}),
    Case(
        "long in gnu",
        lambda out: over(Layer().long("L", LONG.encode()).file("x").long("K", LONG.encode()).sym("s", "x")),
        {LONG: "file 644 x", "s": f"link {LONG}"},
    ),
    Case("component too long", lambda out: over(Layer().file("n" * 256)), refused="File name too long"),
    Case("too deep", lambda out: over(Layer().file("d/" * 3000 + "x")), refused=r"layer 2: 'd/d/.*…"),
    Case("nul in pax", lambda out: over(Layer().file("x", pax={"path": b"a\0/../b"})), refused="NUL in its path"),
]

LINKS = [
    Case(
        "a parent that is a link stays inside",
        lambda out: over(Layer().dir(out).sym("l", out).file("l/new")),
        {"{out}/new": "file 644 x", "l": "link {out}"},
    ),
    Case(
        "a relative link stays inside",
        lambda out: over(Layer().dir(out).sym("l", UP + out[1:]).file("l/new")),
        {"{out}/new": "file 644 x"},
    ),
    Case(
        "a chain of links stays inside",
        lambda out: over(Layer().dir(out).sym("a", "b").sym("b", f"c{out}").sym("c", "/").file("a/new")),
        {"{out}/new": "file 644 x"},
    ),
    Case("a parent that leads nowhere", lambda out: over(Layer().sym("l", out).file("l/x")), refused="link to nothing"),
    Case(
        "a link below is hidden",
        lambda out: [base().sym("l", out), Layer().file("l/new")],
        {"l": "dir 755", "l/new": "file 644 x"},
    ),
    Case("a link below and a directory", lambda out: [base().sym("l", out), Layer().dir("l", 0o777)], {"l": "dir 777"}),
    Case("usr merge", lambda out: [Layer().dir("usr").sym("bin", "usr").file("bin/x")], {"usr/x": "file 644 x"}),
    Case("a loop", lambda out: over(Layer().sym("a", "b").sym("b", "a").file("a/x")), refused="Too many levels"),
    Case("proc", lambda out: over(Layer().sym("p", "/proc/self/root").file(f"p{out}/x")), refused="link to nothing"),
    Case("a file over a link", lambda out: over(Layer().sym("f", f"{out}/file").file("f")), {"f": "file 644 x"}),
    Case("a directory over a link", lambda out: over(Layer().sym("f", out).dir("f", 0o777)), {"f": "dir 777"}),
    Case("mode of a link", lambda out: over(Layer().entry("l", "2", link=f"{out}/file", mode=0o4777)), {}),
    Case("to nothing", lambda out: over(Layer().sym("s", "")), refused="'s': a symbolic link to nothing"),
    Case("a long target", lambda out: over(Layer().sym("s", "t" * 5000)), refused="'s' .* too long"),
]

HARD_LINKS = [
    Case("good", lambda out: over(Layer().file("f", mode=0o4755).hard("g", "./f")), {"g": "file 4755 x links 2"}),
    Case("absolute", lambda out: over(Layer().hard("h", f"{out}/file")), refused="'h': a hard link to .* not there"),
    Case("dotdot", lambda out: over(Layer().hard("h", f"{UP}{out}/file")), refused=r"with \.\."),
    Case("through a link", lambda out: over(Layer().sym("s", out).hard("h", "s/file")), refused="not there"),
    Case(
        "to a link",
        lambda out: over(Layer().sym("s", f"{out}/file").hard("h", "s", mode=0o777)),
        {"h": "link {out}/file"},
    ),
    Case("under a link", lambda out: over(Layer().sym("l", out).file("f").hard("l/h", "f")), refused="link to nothing"),
    Case("missing", lambda out: over(Layer().hard("h", "nowhere")), refused="'nowhere', which is not there"),
    Case("of the layer below", lambda out: over(Layer().hard("h", "low")), refused="not there"),
    Case("to a directory", lambda out: over(Layer().dir("e").hard("h", "e")), refused="to the directory 'e'"),
    Case("to itself", lambda out: over(Layer().file("h").hard("h", "h")), {"h": "file 644 x"}),
    Case("to the root", lambda out: over(Layer().hard("h", "/")), refused="a hard link to nothing"),
    Case("then rewritten", lambda out: over(Layer().file("f").hard("g", "f").file("f", "y")), {"g": "file 644 x"}),
]

KINDS = [
    Case("device", lambda out: over(Layer().entry("b", "4", device=(8, 1), mode=0o600)), {"b": "block 600 8:1"}),
    Case("device 0/0", lambda out: over(Layer().entry("low", "3")), refused="'low': a device 0/0"),
    Case("no such device", lambda out: over(Layer().entry("b", "4", device=(4096, 0))), refused="no device 4096/0"),
    Case("fifo for users", lambda out: over(Layer().entry("etc/passwd", "6")), {"etc/passwd": "fifo 644"}),
    Case("setuid", lambda out: over(Layer().file("s", mode=0o6755, owner=(7, 8))), {"s": "file 6755 x 7:8"}),
    Case("mode with type", lambda out: over(Layer().file("s", mode=0o100640)), {"s": "file 640 x"}),
    Case(
        "no mode at all", lambda out: over(Layer().dir("z", 0).file("z/y", mode=0)), {"z": "dir 0", "z/y": "file 0 x"}
    ),
    Case(
        "unknown", lambda out: over(Layer().entry("z", "Z", b"zz").file("y")), {"z": "file 644 zz", "y": "file 644 x"}
    ),
    Case("contiguous", lambda out: over(Layer().entry("c", "7", b"c")), {"c": "file 644 c"}),
    Case(
        "a directory with a body", lambda out: over(Layer().entry("e", "5", b"e" * 600).file("y")), {"y": "file 644 x"}
    ),
    Case(
        "a large owner",
        lambda out: over(Layer().file("o", owner=(2**31, 2**32 - 2))),
        {"o": "file 644 x 2147483648:4294967294"},
    ),
    Case("no such owner", lambda out: over(Layer().file("o", owner=(2**32 - 1, 0))), refused="no owner 4294967295:0"),
    Case("a negative owner", lambda out: over(Layer().file("o", owner=(-1, 0))), refused="-1 as its uid"),
    Case(
        "the root's own", lambda out: [Layer().dir("./", 0o711, owner=(7, 8)), Layer().file("y")], {".": "dir 711 7:8"}
    ),
    Case("a parent without entry", lambda out: over(Layer().file("p/x")), {"p": "dir 700 5:6", "p/x": "file 644 x"}),
    Case("a new parent", lambda out: over(Layer().file("q/w/x")), {"q/w": "dir 755", "q/w/x": "file 644 x"}),
]

WHITEOUTS = [
    Case(
        "file",
        lambda out: over(Layer().file(".wh.low").file("d/.wh.one")),
        {"low": None, "d/one": None, "d/two": "file 644 2"},
    ),
    Case("directory", lambda out: over(Layer().file(".wh.d")), {"d": None}),
    Case(
        "opaque",
        lambda out: over(Layer().dir("d").file("d/a").file("d/.wh..wh..opq").file("d/b")),
        {"d/one": None, "d/two": None, "d/a": "file 644 x", "d/b": "file 644 x", "d/.wh..wh..opq": None},
    ),
    Case(
        "beside a file of the same layer",
        lambda out: over(Layer().file(".wh.low").file("low", "new").file("y").file(".wh.y")),
        {"low": "file 644 new", "y": "file 644 x"},
    ),
    Case(
        "then a directory",
        lambda out: over(Layer().file(".wh.d").dir("d").file("d/n")),
        {"d/one": None, "d/n": "file 644 x"},
    ),
    Case(
        "then a file in it", lambda out: over(Layer().file(".wh.d").file("d/n")), {"d/one": None, "d/n": "file 644 x"}
    ),
    Case(
        "after the directory",
        lambda out: over(Layer().dir("d").file("d/n").file(".wh.d")),
        {"d/one": None, "d/n": "file 644 x"},
    ),
    Case(
        "then the directory twice",
        lambda out: over(Layer().file(".wh.d").dir("d").file("d").dir("d")),
        {"d": "dir 755", "d/one": None},
    ),
    Case(
        "then the directory by another way",
        lambda out: over(Layer().sym("l", "/").file("l/.wh.d").dir("d")),
        {"d": "dir 755", "d/one": None},
    ),
    Case("beside a link", lambda out: over(Layer().sym("l", out).file(".wh.l")), {"l": "link {out}"}),
    Case("of a parent's owner", lambda out: over(Layer().file(".wh.p"), Layer().file("p/x")), {"p": "dir 755"}),
    Case("of nothing below", lambda out: over(Layer().file("a/.wh.none")), {"a/.wh.none": None, "a/none": None}),
    Case("of ..", lambda out: over(Layer().file("d/.wh...")), refused=r"'d/\.wh\.\.\.': not a whiteout"),
    Case("of .. at the top", lambda out: over(Layer().file(".wh...")), refused="not a whiteout"),
    Case("of .", lambda out: over(Layer().file("d/.wh..")), refused="not a whiteout"),
    Case("without a name", lambda out: over(Layer().file(".wh.")), refused="not a whiteout"),
    Case("by a path out", lambda out: over(Layer().file(f"{UP}{out}/.wh.file")), refused=r"with \.\."),
    Case("absolute", lambda out: over(Layer().file(f"{out}/.wh.file")), {"{out}/file": None}),
    Case("through a link", lambda out: over(Layer().sym("l", out).file("l/.wh.file")), refused="link to nothing"),
    Case("through a link below", lambda out: [base().sym("l", out), Layer().file("l/.wh.file")], {"l": "dir 755"}),
    Case(
        "opaque through a link",
        lambda out: over(Layer().sym("l", out).file("l/.wh..wh..opq")),
        refused="link to nothing",
    ),
    Case(
        "given as a link", lambda out: over(Layer().sym("d/.wh.one", out).dir(".wh.low")), {"d/one": None, "low": None}
    ),
    Case(
        "of aufs",
        lambda out: over(Layer().file(".wh..wh.aufs").file(".wh..wh.plnk/1.2")),
        {".wh..wh.plnk": None, ".wh..wh.aufs": None},
    ),
]

DUPLICATES = [
    Case(
        "files", lambda out: over(Layer().file("f", "1", mode=0o777).file("f", "22", mode=0o600)), {"f": "file 600 22"}
    ),
    Case(
        "kinds",
        lambda out: over(
            Layer().file("k").dir("k").file("k/x").sym("j", "k").file("j", "j").dir("e/e").file("e", "e").file("y")
        ),
        {"k/x": "file 644 x", "j": "file 644 j", "e": "file 644 e", "y": "file 644 x"},
    ),
    Case(
        "a full directory deeper down",
        lambda out: over(Layer().dir("a/b").file("a/b/c").file("a/b", "b").hard("a/d", "a/b")),
        {"a/b": "file 644 b links 2", "a/d": "file 644 b links 2"},
    ),
    Case(
        "a directory after the link that led elsewhere",
        lambda out: over(Layer().dir("real").sym("a", "real").file("a/x").dir("a").file("a/y")),
        {"real/x": "file 644 x", "a/y": "file 644 x", "real/y": None},
    ),
    Case(
        "a link over a directory",
        lambda out: over(Layer().file("a/x").sym("a", out).file("a/y")),
        refused="link to nothing",
    ),
]

ATTRIBUTES = [
    Case(
        "kept",
        lambda out: over(
            Layer().file("f", pax={"SCHILY.xattr.security.capability": CAPABILITY, "SCHILY.xattr.user.a": b"b=\n"})
        ),
        {"f": f"file 644 x security.capability={CAPABILITY.hex()} user.a=623d0a"},
    ),
    Case(
        "of overlayfs",
        lambda out: over(
            Layer().dir(
                "d", pax={"SCHILY.xattr.trusted.overlay.opaque": b"y", "SCHILY.xattr.user.overlay.opaque": b"y"}
            )
        ),
        {"d": "dir 755", "d/one": "file 644 1"},
    ),
    Case("unknown", lambda out: over(Layer().file("f", pax={"SCHILY.xattr.nosuch.a": b"1"})), {"f": "file 644 x"}),
    Case(
        "a capability that is none",
        lambda out: over(Layer().file("f", pax={"SCHILY.xattr.security.capability": b"1"})),
        refused="security.capability' cannot be set",
    ),
    Case(
        "for all",
        lambda out: over(Layer().pax(record("path", b"all") + record("uid", b"7"), "g").file("f")),
        {"f": "file 644 x 7:0", "all": None},
    ),
    Case(
        "a size of its own",
        lambda out: over(Layer().pax(record("size", b"3")).entry("f", "0", b"abc", size=9).file("y")),
        {"f": "file 644 abc", "y": "file 644 x"},
    ),
    pax_case("too short", b"5 a=b\n", "malformed"),
    pax_case("too long", b"999 a=b\n", "malformed"),
    pax_case("negative", b"-6 a=b\n", "malformed"),
    pax_case("no length", b"x a=b\n", "malformed"),
    pax_case("no value", b"6 abc\n", "malformed"),
    pax_case("an endless number", record("uid", b"9" * 5000), "as its uid"),
    pax_case("no time", record("mtime", b"nan"), "as its mtime"),
    Case(
        "too much",
        lambda out: over(Layer().file("f", pax={"comment": b"c" * (1 << 20)})),
        refused="extended headers of",
    ),
    Case(
        "too much in pieces",
        lambda out: over(Layer().blocks(Layer().pax(record("a", b"b" * 100_000)).raw[:-1024] * 11).file("f")),
        refused="extended headers of",
    ),
]

SPARSE = [
    Case(
        "1.0",
        lambda out: over(Layer().sparse("s", 1 << 20, [(524288, b"DATA")])),
        {"s": "file 644 1048576 bytes DATA at 524288, a hole"},
    ),
    Case(
        "0.1",
        lambda out: over(
            Layer().entry(
                "x",
                "0",
                b"DATA",
                pax={"GNU.sparse.size": b"1048576", "GNU.sparse.map": b"524288,4", "GNU.sparse.name": b"s"},
            )
        ),
        {"s": "file 644 1048576 bytes DATA at 524288, a hole", "x": None},
    ),
    Case(
        "old",
        lambda out: over(Layer().blocks(old_sparse("s", 1 << 20, 524288, b"DATA")).file("y")),
        {"s": "file 644 1048576 bytes DATA at 524288, a hole", "y": "file 644 x"},
    ),
    Case(
        "0.0",
        lambda out: over(Layer().file("x", pax={"GNU.sparse.size": b"9", "GNU.sparse.numblocks": b"1"})),
        refused="unknown format",
    ),
    Case("a petabyte", lambda out: over(Layer().sparse("s", 1 << 50, [])), refused="more than .* bytes at 's'"),
    Case("overlapping", lambda out: over(Layer().sparse("s", 4096, [(0, b"AAAA"), (2, b"B")])), refused="does not fit"),
    Case("past its end", lambda out: over(Layer().sparse("s", 4096, [(4095, b"AAAA")])), refused="does not fit"),
    Case(
        "no map",
        lambda out: over(Layer().file("x", pax={"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0"})),
        refused="map does not end",
    ),
]


def ending(*, end: bytes, cut: int = 0) -> list[Any]:
    layer = Layer().file("f", "f" * 3000)
    layer.end = end
    return [base(), layer.raw[: len(layer.raw) - cut]]


STREAM = [
    Case("no end", lambda out: ending(end=b""), {"f": "file 644 3000 bytes"}),
    Case(
        "cut in a body", lambda out: ending(end=b"", cut=1000), refused="layer 2: the archive ends in the middle of 'f'"
    ),
    Case("cut in a header", lambda out: ending(end=b"x" * 100), refused="in the middle of a header"),
    Case(
        "more after the end",
        lambda out: ending(end=bytes(1024) + Layer().file("hidden").raw),
        {"f": "file 644 3000 bytes", "hidden": None},
    ),
    Case("empty", lambda out: [base(), b""], {"low": "file 644 low"}),
    Case("no tar", lambda out: [base(), b"no tar at all\n" * 99], refused="layer 2: a header"),
    Case("bad checksum", lambda out: [base(), Layer().file("f").raw.replace(b"f", b"g", 1)], refused="damaged"),
    Case("negative size", lambda out: over(Layer().entry("f", "0", size=-1024)), refused="-1024 as its size"),
    Case("eight exbibytes", lambda out: over(Layer().entry("f", "0", size=(1 << 63) - 1)), refused="as its size"),
    Case(
        "a terabyte that is not there",
        lambda out: over(Layer().entry("f", "0", size=1 << 36)),
        refused="in the middle of 'f'",
    ),
    Case(
        "130 layers",
        lambda out: [base(), *(Layer().file(f"l{n}") for n in range(129))],
        {"l0": "file 644 x", "l128": "file 644 x"},
    ),
]

LAYERS = {
    f"{kind}: {case.name}": case
    for kind, cases in {
        "name": NAMES,
        "link": LINKS,
        "hard link": HARD_LINKS,
        "kind": KINDS,
        "whiteout": WHITEOUTS,
        "duplicate": DUPLICATES,
        "attribute": ATTRIBUTES,
        "sparse": SPARSE,
        "stream": STREAM,
    }.items()
    for case in cases
}


def oci(**spoilt: Any) -> Oci:
    layers, plain = packed(base(), Layer().file("f"))
    return Oci(layers, plain, **spoilt)


def with_layer(raw: bytes, plain: bytes, **more: Any) -> Oci:
    layers, plains = packed(base())
    return Oci([*layers, raw], [*plains, plain], **more)


def docker(**spoilt: Any) -> Docker:
    return Docker([base().raw, Layer().file("f").raw], **spoilt)


def many_members() -> Oci:
    plain = Layer().file("f", "f" * 5000).raw
    return with_layer(
        gzip.compress(plain[:700]) + gzip.compress(b"") * 5 + gzip.compress(plain[700:]) + bytes(64), plain
    )


def cut_gzip() -> Oci:
    plain = Layer().file("f").raw
    return with_layer(gzip.compress(plain)[:-9], plain)


def another_blob() -> Oci:
    layers, plain = packed(base(), Layer().file("f"))
    return Oci(layers, plain, blobs={sha256(layers[1]): packed(Layer().file("g"))[0][0]})


def packed_docker() -> Docker:
    layers, plain = packed(base(), Layer().file("f"))
    return Docker(layers, config=config(plain))


F: dict[str | bytes, str | None] = {"f": "file 644 x"}

ARCHIVES = {
    case.name: case
    for case in [
        Case("oci: good", lambda out: oci(), F),
        Case("oci: in two indexes", lambda out: oci(nested=2), F),
        Case("oci: in fifty indexes", lambda out: oci(nested=50), refused="more than 2 deep"),
        Case(
            "oci: no name at all",
            lambda out: oci(annotations={"org.opencontainers.image.ref.name": f"../..{out}/x\n"}),
            F,
        ),
        Case("oci: another blob", lambda out: another_blob(), refused="layer 2 unpacks to sha256"),
        Case("oci: size", lambda out: oci(spoil_layer={"size": 5}), refused="the manifest says 5"),
        Case("oci: huge size", lambda out: oci(spoil_layer={"size": 1 << 62}), refused="the manifest says 46"),
        Case(
            "oci: digest with a path",
            lambda out: oci(spoil_layer={"digest": f"sha256:{UP}{out}/file"}),
            refused="layer 2 has no digest",
        ),
        Case("oci: md5", lambda out: oci(spoil_layer={"digest": "md5:" + "a" * 32}), refused="layer 2 has no digest"),
        Case(
            "oci: missing blob",
            lambda out: oci(spoil_layer={"digest": "sha256:" + "a" * 64}),
            refused="does not have it",
        ),
        Case("oci: unknown kind", lambda out: oci(layer_type="application/x-evil"), refused="of a kind we do not know"),
        Case("oci: manifest and index", lambda out: oci(spoil_manifest={"manifests": []}), refused="is an index, too"),
        Case("oci: huge manifest", lambda out: oci(spoil_manifest={"x": "x" * (5 << 20)}), refused="the limit is"),
        Case("oci: no layers", lambda out: oci(spoil_manifest={"layers": None}), refused="no list of layers"),
        Case("oci: members of gzip", lambda out: many_members(), {"f": "file 644 5000 bytes"}),
        Case("oci: cut gzip", lambda out: cut_gzip(), refused="layer 2: the gzip data breaks off"),
        Case(
            "oci: bad gzip",
            lambda out: with_layer(b"\x1f\x8bnot gzip", b""),
            refused="layer 2: the gzip data is damaged",
        ),
        Case("oci: plain though it says gzip", lambda out: with_layer(Layer().file("f").raw, Layer().file("f").raw), F),
        Case("oci: another system", lambda out: oci(changes={"os": "windows"}), refused="the image is for windows"),
        Case("oci: another machine", lambda out: oci(changes={"architecture": "s390x"}), F),
        Case("docker: good", lambda out: docker(), F),
        Case("docker: packed layers", lambda out: packed_docker(), F),
        Case("docker: fewer diff ids", lambda out: docker(names=["0/layer.tar"]), refused="the config names 2"),
        Case(
            "docker: wrong diff id", lambda out: docker(config=config([base().raw, b""])), refused="layer 2 unpacks to"
        ),
        Case("docker: path", lambda out: docker(names=["0/layer.tar", f"{UP}{out}/file"]), refused="does not have it"),
        Case("docker: link out", lambda out: docker(extra={"1/layer.tar": f"{out}/file"}), refused="does not have it"),
        Case(
            "docker: link inside",
            lambda out: docker(names=["0/layer.tar", "2/layer.tar"], extra={"2/layer.tar": "../1/layer.tar"}),
            F,
        ),
        Case(
            "docker: links in a circle",
            lambda out: docker(extra={"1/layer.tar": "a", "1/a": "layer.tar"}),
            refused="does not have it",
        ),
        Case("docker: member with a path out", lambda out: docker(extra={f"{UP}{out}/new": b"x"}), F),
        Case("docker: bad name", lambda out: docker(tags=[f"{UP}{out}:1"]), refused="a name in manifest.json"),
        Case("docker: no manifest", lambda out: docker(extra={"manifest.json": b"{}"}), refused="not a list of images"),
        Case("docker: deep config", lambda out: docker(config=b"[" * 100_000), refused="is not JSON"),
        Case("docker: huge config", lambda out: docker(config=b" " * (5 << 20)), refused="the limit is"),
        Case(
            "docker: labels are a list",
            lambda out: docker(changes={"config": {"Labels": ["a"]}}),
            refused="config.Labels is not an object",
        ),
        Case(
            "docker: command is text",
            lambda out: docker(changes={"config": {"Cmd": "sh"}}),
            refused="config.Cmd is not a list",
        ),
        Case("docker: no config", lambda out: docker(changes={"config": None}), F),
    ]
}
