"""Building: sizes that add up, the same bytes everywhere, and errors that say what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from small_model import small_tree

from pipeline.boards import load_board
from pipeline.build import build_firmware, find_toolchain, included_files, tools_status
from pipeline.errors import BuildFailed, DoesNotFit

pytestmark = pytest.mark.toolchain
ARM = ["nucleo_l4r5zi", "qemu_mps2_an386"]
INCLUDES = "#include <stdio.h>\n#include <stdlib.h>\n"


@pytest.fixture(scope="module", params=ARM)
def built(request, tmp_path_factory):
    board = load_board(request.param)
    return board, build_firmware(small_tree(board), board, tmp_path_factory.mktemp(board.name))


def lines(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_sections_are_those_that_binutils_sees(built):
    _, firmware = built
    seen = re.findall(
        r"^(\S+)\s+(\d+)\s+(\d+)$", "\n".join(lines("arm-none-eabi-size", "-A", firmware.elf)), re.M
    )
    wanted = {name: (int(size), int(address)) for name, size, address in seen if int(size)}
    assert firmware.sections
    for name, address, size in firmware.sections:
        assert wanted[name] == (size, address)


def test_the_parts_add_up_to_what_objcopy_would_flash(built, tmp_path):
    _, firmware = built
    image = tmp_path / "image.bin"
    lines("arm-none-eabi-objcopy", "-O", "binary", firmware.elf, image)
    assert sum(firmware.flash_parts.values()) == firmware.flash_bytes == image.stat().st_size
    assert sum(firmware.ram_parts.values()) == firmware.ram_bytes
    assert firmware.flash_parts["other"] < 64


def test_the_parts_hold_what_is_known_of_the_small_model(built):
    board, firmware = built
    assert firmware.ram_parts["arena"] == 64
    assert firmware.ram_parts["stack"] == board.stack_bytes
    by_name = {symbol.name: symbol for symbol in firmware.symbols}
    assert (by_name["small_one"].part, by_name["small_one"].bytes) == ("weights", 24)
    assert (by_name["small_add"].part, by_name["small_add"].source) == ("kernels", "kernels/portable/small.c")
    assert by_name["deployed_input"].region == "ram"
    assert by_name["memmove"].part == "C library"
    assert by_name["harness_layer"].region == "flash+ram"
    assert firmware.flash_parts["weights"] < 200


def test_every_symbol_is_as_large_as_nm_says(built):
    _, firmware = built
    seen = {}
    for line in lines("arm-none-eabi-nm", "-S", "--defined-only", firmware.elf):
        match = re.fullmatch(r"\S+ (\S+) \S (\S+)", line)
        if match:
            seen.setdefault(match[2], set()).add(int(match[1], 16))
    checked = 0
    for symbol in firmware.symbols:
        if symbol.name in seen:
            assert symbol.bytes in seen[symbol.name], symbol
            checked += 1
    assert checked > 50


def test_harness_and_hal_are_small(built):
    _, firmware = built
    code = sum(
        symbol.bytes
        for symbol in firmware.symbols
        if symbol.source.startswith(("harness/", "board/")) and "rodata" not in symbol.name
        and symbol.region == "flash"
    )  # fmt: skip
    assert code < 4096 + 1024  # the STM32's own start-up included


def test_no_heap_and_no_stdio(built):
    _, firmware = built
    names = {symbol.name for symbol in firmware.symbols}
    assert not names & {"malloc", "_malloc_r", "_sbrk", "printf", "_write", "__aeabi_uldivmod"}


@pytest.mark.parametrize("call", ["void *volatile p = malloc(4u); (void)p;", 'puts("x");'])
def test_a_heap_or_stdio_does_not_link(mps2, tmp_path, call):
    tree = small_tree(mps2, last="use();", extra={
        "model/use.c": f"{INCLUDES}void use(void);\nvoid use(void) {{ {call} }}\n",
        "model/small.h": small_tree(mps2).files["model/small.h"] + "void use(void);\n",
    })  # fmt: skip
    with pytest.raises(BuildFailed) as raised:
        build_firmware(tree, mps2, tmp_path)
    assert raised.value.code == "E_LINK"


@pytest.mark.parametrize("name", ARM)
def test_the_same_bytes_in_another_folder(name, tmp_path):
    board = load_board(name)
    first = build_firmware(small_tree(board), board, tmp_path / "a")
    second = build_firmware(small_tree(board), board, tmp_path / "elsewhere" / "b")
    assert first.elf.read_bytes() == second.elf.read_bytes()
    assert str(tmp_path).encode() not in first.elf.read_bytes()


def test_only_what_changed_is_compiled_again(mps2, tmp_path):
    steps = []
    firmware = build_firmware(small_tree(mps2), mps2, tmp_path, progress=lambda *step: steps.append(step))
    assert steps[-1][1] == steps[-1][2] == len(steps)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "obj").rglob("*.o")}
    again = build_firmware(small_tree(mps2), mps2, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.symbols == firmware.symbols
    changed = build_firmware(small_tree(mps2, last="small_arena[63] = 1u;"), mps2, tmp_path)
    newer = {path.name for path, then in before.items() if path.stat().st_mtime_ns != then}
    assert newer == {"small.c.o", "digest.c.o"}
    assert changed.digest != firmware.digest
    (tmp_path / "src" / "model" / "left_over.c").write_text("#error not part of the tree")
    build_firmware(small_tree(mps2), mps2, tmp_path)
    assert not (tmp_path / "src" / "model" / "left_over.c").exists()


def test_a_header_that_changed_compiles_what_includes_it(mps2, tmp_path):
    """Through another header too; what knows nothing of it stays."""
    files = small_tree(mps2).files
    build_firmware(small_tree(mps2), mps2, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "obj").rglob("*.o")}
    changed = files["harness/model.h"].replace("struct model_tensor {", "struct model_tensor {  /* new */")
    assert changed != files["harness/model.h"]
    build_firmware(small_tree(mps2, extra={"harness/model.h": changed}), mps2, tmp_path)
    newer = {path.name.removesuffix(".o") for path, then in before.items() if path.stat().st_mtime_ns != then}
    including = {unit for unit in files if "harness/model.h" in included_files(unit, files)}
    assert newer == {Path(unit).name for unit in including if unit.endswith((".c", ".S"))}
    assert {"harness.c", "small.c"} <= newer
    assert "console.c" not in newer


def test_included_files_are_found_beside_and_from_the_root():
    files = {
        "a/unit.c": '#include "near.h"\n  #  include "b/far.h"\n#include <stdint.h>\n#include "absent.h"\n',
        "a/near.h": '#include "../b/far.h"\n',
        "b/far.h": '#include "near.h"\n#include "a/near.h"\n',
        "near.h": "",
    }
    assert included_files("a/unit.c", files) == ["a/near.h", "b/far.h", "near.h"]


def with_memory(board, **lengths):
    memory = tuple(replace(r, length_bytes=lengths.get(r.name, r.length_bytes)) for r in board.memory)
    return replace(board, memory=memory)


@pytest.mark.parametrize(
    ("region", "length", "contributor"), [("ram", 2100, "command"), ("flash", 2048, "obey")]
)
def test_an_overflow_names_region_bytes_and_contributors(mps2, tmp_path, region, length, contributor):
    whole = build_firmware(small_tree(mps2), mps2, tmp_path / "whole")
    needed = whole.ram_bytes if region == "ram" else whole.flash_bytes
    small = with_memory(mps2, **{region: length})
    with pytest.raises(DoesNotFit) as raised:
        build_firmware(small_tree(small), small, tmp_path / "small")
    assert raised.value.code == "E_LINK_OVERFLOW"
    assert f"{region} of qemu_mps2_an386" in raised.value.problem
    over = int(re.search(r"is (\d+) bytes too small", raised.value.problem)[1])
    assert abs(over - (needed - length)) <= 8
    assert any(contributor in line for line in raised.value.details)
    assert not (tmp_path / "small" / "firmware.elf").exists()


def test_code_that_does_not_compile(mps2, tmp_path):
    with pytest.raises(BuildFailed) as raised:
        build_firmware(small_tree(mps2, last="int unused = 1.5;"), mps2, tmp_path)
    assert raised.value.code == "E_COMPILE"
    assert raised.value.where.endswith("model/small.c")
    assert any("unused" in line or "conversion" in line for line in raised.value.details)


def test_the_toolchain_is_found_and_recorded(mps2, built):
    toolchain = find_toolchain(mps2)
    assert re.fullmatch(r"arm-none-eabi-gcc \d+\.\d+(\.\d+)?", str(toolchain))
    assert built[1].toolchain == str(toolchain)
    assert "-mcpu=cortex-m4" in built[1].flags


def test_a_missing_toolchain(mps2, host, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for board, package in ((mps2, "gcc-arm-none-eabi"), (host, "gcc")):
        monkeypatch.delenv("CC", raising=False)
        monkeypatch.delenv("ARM_GCC", raising=False)
        with pytest.raises(BuildFailed) as raised:
            find_toolchain(board)
        assert raised.value.code == "E_TOOLCHAIN_MISSING"
        assert f"apt install {package}" in raised.value.hint


def fake_tool(folder, text):
    path = folder / "arm-none-eabi-gcc"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_old_toolchain(mps2, tmp_path):
    with pytest.raises(BuildFailed) as raised:
        find_toolchain(mps2, fake_tool(tmp_path, "echo 'arm-none-eabi-gcc (GNU Tools) 7.3.1 20180622'"))
    assert raised.value.code == "E_TOOLCHAIN_OLD"
    assert "7.3" in raised.value.problem


@pytest.mark.parametrize("text", ["echo hello", "exit 1"])
def test_a_tool_that_is_no_compiler(mps2, tmp_path, text):
    with pytest.raises(BuildFailed) as raised:
        find_toolchain(mps2, fake_tool(tmp_path, text))
    assert raised.value.code == "E_TOOLCHAIN_BROKEN"


def test_a_compiler_without_a_c_library(mps2, tmp_path, monkeypatch):
    text = "case $1 in --version) echo 'gcc (x) 12.2.1';; *) echo libc.a;; esac"
    monkeypatch.setenv("ARM_GCC", fake_tool(tmp_path, text))
    with pytest.raises(BuildFailed) as raised:
        find_toolchain(mps2)
    assert raised.value.code == "E_TOOLCHAIN_MISSING"
    assert "libnewlib-arm-none-eabi" in raised.value.hint


def test_any_folder_name_and_a_compiler_named_relative_to_here(tmp_path, monkeypatch):
    (tmp_path / "gcc").symlink_to(shutil.which("arm-none-eabi-gcc"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARM_GCC", "./gcc")
    board = load_board("qemu_mps2_an386")
    firmware = build_firmware(small_tree(board), board, tmp_path / "a, b & c")
    assert firmware.elf.is_file()


def test_what_is_installed():
    tools = {tool.name: tool for tool in tools_status()}
    for name in ("arm-none-eabi-gcc", "newlib", "qemu-system-arm"):
        assert tools[name].found
        assert re.match(r"\d+\.\d+", tools[name].version)
    # An STM32 board is simulated without QEMU.
    assert [name for name in tools if tools[name].needed] == ["arm-none-eabi-gcc", "newlib"]
    assert "openocd" in tools
    assert all(tool.how and tool.purpose for tool in tools.values())
