"""Where CDI files are, and files that are none."""

from __future__ import annotations

from pathlib import Path

from composer.host.cdi import specs

YAML = "cdiVersion: 0.5.0\nkind: v.com/card\ndevices:\n- name: a\n  containerEdits: {env: [A=1]}\n"
JSON = '{"cdiVersion": "0.5.0", "kind": "v.com/card", "devices": []}'


def test_files_are_read_in_order_and_bad_ones_are_told(tmp_path: Path) -> None:
    first, second = tmp_path / "etc", tmp_path / "run"
    first.mkdir()
    second.mkdir()
    (first / "b.yaml").write_text(YAML)
    (first / "a.json").write_text(JSON)
    (first / "c.txt").write_text("x")
    (first / "d.json").write_text("{")
    (first / "e.yml").write_text("a: [")
    (first / "f.yaml").write_text("!!python/object:os.system {}")
    (first / "g.json").write_text("[" * 100_000)
    (first / "h.json").mkdir()
    (second / "z.json").write_text(JSON)
    found, broken = specs((str(first), str(second), str(tmp_path / "none")))
    assert [Path(one.file).name for one in found] == ["a.json", "b.yaml", "z.json"]
    assert found[1].devices["a"].env == ("A=1",)
    assert [Path(line.partition(": ")[0]).name for line in broken] == ["d.json", "e.yml", "f.yaml", "g.json", "h.json"]
