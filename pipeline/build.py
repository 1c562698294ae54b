"""Compile and link a source tree; say how large each section and symbol became."""

from __future__ import annotations

import hashlib
import os
import platform
import posixpath
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.boards import Board
from pipeline.errors import BuildFailed, DoesNotFit, PipelineError
from pipeline.files import write_file
from pipeline.progress import Progress
from pipeline.render import SourceTree
from pipeline.targets import RAM_CODE, RAM_WEIGHTS

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

STAGE = "build"

LEAST_GCC = (10, 0)
COMPILE_JOBS = 2
COMPILE_TIMEOUT_S = 300
PROBE_TIMEOUT_S = 20
WARNINGS = (
    "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Wstrict-prototypes",
    "-Wdouble-promotion", "-Werror",
)  # fmt: skip
COMMON = ("-std=c11", "-ffunction-sections", "-fdata-sections", "-fno-common", "-g", "-I.")
# Kernels are where the time goes. Elsewhere a loop stays the few bytes that it is, instead of a call of
# the C library's strlen or memset.
KERNEL_LEVEL = {"time": "-O3", "balanced": "-O2", "ram": "-O2", "flash": "-Os"}
# Around loops that are written in assembly, unrolled copies of the rest cost flash and RAM, and save nothing.
ASSEMBLED, ASSEMBLED_LEVEL = "cortex_m4/", {"-O3": "-O2"}
OTHER_LEVEL = ("-Os", "-fno-tree-loop-distribute-patterns")
# Arrays that kernels make of weights when the target starts.
WEIGHTS_MADE_AT_START = ".prepared"
PARTS = (
    ("kernels/", "kernels"),
    ("harness/", "harness"),
    ("board/", "startup and HAL"),
    ("target/", "startup and HAL"),
)
# What is stored in flash and used in RAM is both there: named for what it costs, whosever it is.
IN_RAM_PARTS = {RAM_CODE: "code in RAM", RAM_WEIGHTS: "weights in RAM"}
# Error code: the memory for code in RAM is too small.
CODE_OVERFLOW = "E_LINK_RAMCODE"
WEIGHT_PARTS = ("weights", "weights in RAM")
ARM_HINT = (
    "Debian or Ubuntu: sudo apt install gcc-arm-none-eabi libnewlib-arm-none-eabi; "
    "macOS: brew install --cask gcc-arm-embedded; or name it by the variable ARM_GCC"
)
HOST_HINT = "Debian or Ubuntu: sudo apt install gcc libc6-dev; macOS: xcode-select --install"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A C compiler that was found and asked for its version."""

    compiler: Path
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Symbol:
    """One object or function of the linked image."""

    name: str
    bytes: int
    region: str
    """`flash`, `ram`, or the name of another memory region; `flash+ram` for initialised data."""
    part: str
    """`weights`, `model code`, `kernels`, `harness`, `startup and HAL`, `C library`, `arena`, `stack`, ...;
    `code in RAM` and `weights in RAM` for what is copied there, from flash, at start-up."""
    source: str
    """The object file's source, relative to the tree, or the library's name."""


@dataclass(frozen=True)
class Firmware:
    """A linked image and its sizes, as read from the ELF file."""

    elf: Path
    board: str
    digest: str
    sections: tuple[tuple[str, int, int], ...]
    """(name, address, bytes) of every allocated section."""
    symbols: tuple[Symbol, ...]
    flash_bytes: int
    """All that is stored in flash, initial values of .data included."""
    ram_bytes: int
    """All RAM that the image claims statically: .data, .bss, arena and reserved stack."""
    flash_parts: dict[str, int]
    """Bytes of flash by part; sums to flash_bytes (padding is `other`)."""
    ram_parts: dict[str, int]
    toolchain: str
    """Compiler and version, such as `arm-none-eabi-gcc 12.2.1`."""
    flags: tuple[str, ...]
    """Of the kernels; all other code is built with -Os."""

    @property
    def weights_bytes(self) -> int:
        """Flash that weights, biases, multipliers and clamps take, also those that are read in RAM."""
        return sum(self.flash_parts.get(part, 0) for part in WEIGHT_PARTS)

    @property
    def code_bytes(self) -> int:
        """Flash besides weights, biases, multipliers and clamps."""
        return self.flash_bytes - self.weights_bytes


# ---- toolchain ------------------------------------------------------------------------------------------


def find_toolchain(board: Board, compiler: str | None = None) -> Toolchain:
    """The compiler for a board: the one named, else that of ARM_GCC (or CC for the host), else PATH's.

    Raises BuildFailed: E_TOOLCHAIN_MISSING, E_TOOLCHAIN_OLD, E_TOOLCHAIN_BROKEN.
    """
    native = board.cpu == "native"
    wanted = (
        compiler or os.environ.get("CC" if native else "ARM_GCC") or ("cc" if native else "arm-none-eabi-gcc")
    )
    hint = HOST_HINT if native else ARM_HINT
    path = shutil.which(wanted)
    if path is None:
        raise BuildFailed(
            f"the C compiler {wanted} for {board.name} was not found", code="E_TOOLCHAIN_MISSING", hint=hint
        )
    path = os.path.abspath(path)  # it is run from the folder of the sources; a link keeps its name
    words = first_line([path, "--version"])
    version = re.search(r"\b(\d+)\.(\d+)(?:\.\d+)*", words or "")
    if words is None or version is None:
        raise BuildFailed(
            f"{path} does not tell its version: it said {words!r}", code="E_TOOLCHAIN_BROKEN", hint=hint
        )
    if not native and (int(version[1]), int(version[2])) < LEAST_GCC:
        raise BuildFailed(
            f"{path} is version {version[0]}; needed is {LEAST_GCC[0]} or newer",
            code="E_TOOLCHAIN_OLD",
            hint=hint,
        )
    found = Toolchain(Path(path), Path(path).name, _full_version(words, version[0]))
    if not native and not _has_newlib(found):
        raise BuildFailed(
            f"{path} has no C library for ARM (string.h is missing)", code="E_TOOLCHAIN_MISSING", hint=hint
        )
    return found


def _full_version(words: str, version: str) -> str:
    """Debian writes `(15:12.2.rel1-1) 12.2.1 20221205`: take the number after the parentheses."""
    after = re.search(r"\)\s+(\d+(?:\.\d+)+)", words)
    return after[1] if after else version


def _has_newlib(toolchain: Toolchain) -> bool:
    answer = first_line([str(toolchain.compiler), "-print-file-name=libc.a"])
    return answer is not None and Path(answer).is_absolute()


def first_line(command: Sequence[str]) -> str | None:
    """The first line that a command prints, or None when it cannot be run."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    return (done.stdout.strip() or done.stderr.strip()).partition("\n")[0]


# ---- compiling and linking ------------------------------------------------------------------------------


def build_firmware(
    tree: SourceTree,
    board: Board,
    directory: Path,
    *,
    compiler: str | None = None,
    optimize: str = "balanced",
    sanitize: bool = False,
    progress: Progress | None = None,
) -> Firmware:
    """Write the tree to `directory`/src, compile what changed, link, and read the sizes.

    `optimize` is what the compiler aims at: time, ram, flash or balanced. `sanitize` (host only) builds
    with the address and undefined-behaviour sanitizers.
    Raises BuildFailed (E_TOOLCHAIN_..., E_COMPILE, E_LINK) and DoesNotFit (E_LINK_OVERFLOW, E_LINK_RAMCODE).
    """
    toolchain = find_toolchain(board, compiler)
    source, objects = directory / "src", directory / "obj"
    write_tree(tree, source)
    flags = _machine_flags(board, sanitize)
    units = [path for path in sorted(tree.files) if path.endswith((".c", ".S"))]
    tools = f"{toolchain}\0{toolchain.compiler}"

    def compile_one(unit: str) -> Path:
        command = [
            *_compile_flags(unit, flags, optimize),
            "-ffile-prefix-map=" + str(source.resolve()) + "=.",
        ]
        headers = "".join(f"{path}\0{tree.files[path]}\0" for path in included_files(unit, tree.files))
        _compile(toolchain, unit, tree.files[unit], command, f"{tools}\0{headers}", source, objects)
        return objects / f"{unit}.o"

    compiled = []
    with ThreadPoolExecutor(COMPILE_JOBS) as pool:
        for path in pool.map(compile_one, units):
            compiled.append(path)
            if progress:
                progress(STAGE, len(compiled), len(units) + 1)
    elf = directory / ("firmware" if board.cpu == "native" else "firmware.elf")
    usage = _link(toolchain, board, flags, source, objects, compiled, elf)
    if progress:
        progress(STAGE, len(units) + 1, len(units) + 1)
    sizes = _native_sizes(objects, compiled) if board.cpu == "native" else _read_sizes(elf, board, usage)
    return Firmware(
        elf=elf,
        board=board.name,
        digest=tree.digest,
        sections=sizes.sections,
        symbols=sizes.symbols,
        flash_bytes=sum(sizes.flash.values()),
        ram_bytes=sum(sizes.ram.values()),
        flash_parts=sizes.flash,
        ram_parts=sizes.ram,
        toolchain=str(toolchain),
        flags=tuple(_compile_flags("kernels/", flags, optimize)),
    )


def included_files(unit: str, files: Mapping[str, str]) -> list[str]:
    """The files of a tree, sorted, that a unit includes by quoted names, directly or through others."""
    found: set[str] = set()
    wanted = [unit]
    while wanted:
        path = wanted.pop()
        for name in re.findall(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', files[path], re.MULTILINE):
            # Beside the file, or from the root, in the compiler's order.
            beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
            header = beside if beside in files else name
            if header in files and header not in found:
                found.add(header)
                wanted.append(header)
    return sorted(found)


def write_tree(tree: SourceTree, directory: Path) -> None:
    """Make `directory` hold exactly the tree's files; files that are right already are left alone."""
    for path in sorted(directory.rglob("*")) if directory.is_dir() else []:
        if path.is_file() and path.relative_to(directory).as_posix() not in tree.files:
            path.unlink()
    for name, text in tree.files.items():
        path = directory / name
        if not path.is_file() or path.read_bytes() != text.encode():
            write_file(path, text.encode())


def _machine_flags(board: Board, sanitize: bool) -> tuple[str, ...]:
    if board.cpu == "native":
        checks = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
        return checks if sanitize else ()
    if sanitize:
        raise ValueError("sanitizers need an operating system: build for the host")
    fpu = (f"-mfpu={board.fpu}", "-mfloat-abi=hard") if board.fpu else ("-mfloat-abi=soft",)
    return (f"-mcpu={board.cpu}", "-mthumb", *fpu)


def kernel_level(kernel: str, optimize: str) -> str:
    """At which of the compiler's levels a kernel, `<library>/<kernel>`, is built for an aim."""
    level = KERNEL_LEVEL[optimize]
    return ASSEMBLED_LEVEL.get(level, level) if kernel.startswith(ASSEMBLED) else level


def _compile_flags(unit: str, machine: Sequence[str], optimize: str) -> list[str]:
    if unit.startswith("kernels/"):
        return [*machine, *COMMON, *WARNINGS, kernel_level(unit.removeprefix("kernels/"), optimize)]
    # clang, the compiler of some hosts, knows the second flag by another name.
    others = OTHER_LEVEL if "-mthumb" in machine else OTHER_LEVEL[:1]
    return [*machine, *COMMON, *WARNINGS, *others]


def _compile(
    toolchain: Toolchain, unit: str, text: str, flags: list[str], common: str, source: Path, objects: Path
) -> None:
    """One object file, unless it is there already from the same text, flags and all of `common`."""
    target = objects / f"{unit}.o"
    note = objects / f"{unit}.key"
    # The prefix map holds this folder's name and changes no byte of the object: not part of the key.
    key = hashlib.sha256("\0".join((common, text, *flags[:-1])).encode()).hexdigest()
    if target.is_file() and note.is_file() and note.read_text(encoding="utf-8") == key:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".new")
    command = [str(toolchain.compiler), *flags, "-c", unit, "-o", str(temporary.resolve())]
    done = _run(command, source, "E_COMPILE")
    if done.returncode:
        temporary.unlink(missing_ok=True)
        raise BuildFailed(
            f"{toolchain.name} does not compile {unit}",
            code="E_COMPILE",
            where=source / unit,
            hint="generated code should always compile: please report this with the lines above",
            details=_first_errors(done.stderr),
        )
    temporary.replace(target)
    write_file(note, key.encode())


def _run(command: list[str], folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMPILE_TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{command[0]} did not finish within {COMPILE_TIMEOUT_S} s", code=code) from error
    except OSError as error:
        raise BuildFailed(f"{command[0]} cannot be run: {error.strerror}", code=code) from error


def _first_errors(words: str, most: int = 8) -> list[str]:
    lines = [line for line in words.splitlines() if "error" in line or "undefined" in line]
    return (lines or words.splitlines())[:most]


def _link(
    toolchain: Toolchain,
    board: Board,
    machine: tuple[str, ...],
    source: Path,
    objects: Path,
    compiled: list[Path],
    elf: Path,
) -> dict[str, int]:
    """Link the objects; bytes used by each memory region, in the linker's own words."""
    # Relative names, so that neither the image nor the map depends on the folder.
    names = [path.relative_to(objects).as_posix() for path in compiled]
    temporary = elf.with_name(elf.name + ".new")
    command = [str(toolchain.compiler), *machine, *names, "-o", str(temporary.resolve())]
    if board.cpu == "native":
        command += ["-lm"]
    else:
        # Neither start files nor system calls: a call of malloc or printf does not link.
        command += ["-nostartfiles", "-nodefaultlibs", "-T", str((source / "target/link.ld").resolve())]
        command += ["-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--fatal-warnings"]
        command += ["-Wl,--print-memory-usage", "-Xlinker", "-Map", "-Xlinker", str(_map_file(elf).resolve())]
        command += ["-Wl,--start-group", "-lc", "-lm", "-lgcc", "-Wl,--end-group"]
    done = _run(command, objects, "E_LINK")
    if done.returncode:
        temporary.unlink(missing_ok=True)
        overflow = _overflow(done.stderr, board, source, objects, compiled)
        if overflow:
            raise overflow
        raise BuildFailed(
            f"{toolchain.name} does not link the image for {board.name}",
            code="E_LINK",
            where=elf,
            details=_first_errors(done.stderr),
        )
    temporary.replace(elf)
    return {
        name: int(count) * {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}[unit]
        for name, count, unit in re.findall(r"^\s*(\w+):\s+(\d+) ([KMG]?B)\s", done.stdout, re.MULTILINE)
    }


def _map_file(elf: Path) -> Path:
    return elf.with_suffix(".map")


def _overflow(
    words: str, board: Board, source: Path, objects: Path, compiled: list[Path]
) -> DoesNotFit | None:
    over = {
        name: int(count) for name, count in re.findall(r"region `(\w+)' overflowed by (\d+) bytes", words)
    }
    if not over:
        return None
    name, count = max(over.items(), key=lambda item: item[1])
    symbols = sorted(_object_symbols(objects, compiled), key=lambda symbol: -symbol.bytes)
    script = (source / "target/link.ld").read_text(encoding="utf-8")
    given = re.search(rf"^ +{name} .*LENGTH = (\d+)", script, re.MULTILINE)
    holds_code = any(region.zero_wait_fetch and region.name == name for region in board.memory)
    return DoesNotFit(
        f"{name} of {board.name} is {count} bytes too small (it has {given[1] if given else 'none'})",
        code=CODE_OVERFLOW if holds_code else "E_LINK_OVERFLOW",
        hint="leave the code in flash with --code-in-ram never"
        if holds_code
        else "choose a larger board, or a smaller model",
        details=[f"{over[other]} bytes over in {other}" for other in over if other != name]
        + [f"{s.bytes} bytes: {s.name} ({s.source})" for s in symbols if name in s.region.split("+")][:5],
    )


def build_library(sources: Sequence[Path], flags: Sequence[str], folder: Path) -> Path:
    """A shared library for this computer from C that belongs to the pipeline; kept while nothing changes.

    The sources' headers lie beside them. Raises BuildFailed: E_HOST_COMPILER, E_COMPILE.
    """
    name = os.environ.get("CC") or "cc"
    compiler = shutil.which(name)
    if compiler is None:
        raise BuildFailed(
            f"the C compiler {name} of this computer was not found", code="E_HOST_COMPILER", hint=HOST_HINT
        )
    command = [compiler, "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", *WARNINGS[:-1], "-fPIC", "-shared"]
    if platform.system() == "Darwin":
        command += ["-undefined", "dynamic_lookup"]
    command += flags
    texts = [path.read_bytes() for path in sources]
    texts += [path.read_bytes() for path in sorted(sources[0].parent.glob("*.h"))]
    digest = hashlib.sha256(b"\0".join([*texts, "\0".join(command).encode()])).hexdigest()
    library = folder / f"{sources[-1].stem}-{digest[:16]}.so"
    if not library.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = library.with_name(f"{library.name}.{os.getpid()}.new")
        done = _run(
            [*command, "-o", str(temporary.resolve()), *(str(path.resolve()) for path in sources)],
            folder,
            "E_COMPILE",
        )
        if done.returncode:
            temporary.unlink(missing_ok=True)
            raise BuildFailed(
                f"{Path(compiler).name} does not compile {sources[-1].name}",
                code="E_COMPILE",
                details=_first_errors(done.stderr),
            )
        temporary.replace(library)
    return library


# ---- sizes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sizes:
    sections: tuple[tuple[str, int, int], ...]
    symbols: tuple[Symbol, ...]
    flash: dict[str, int]
    ram: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one object file contributes to one output section, by the linker's map."""

    name: str
    address: int
    bytes: int
    source: str


def _read_sizes(elf: Path, board: Board, usage: Mapping[str, int]) -> _Sizes:
    """Sizes from the ELF file, sorted by whose they are with the help of the map.

    The sums are held against the linker's --print-memory-usage.
    """
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as file:
        image = ELFFile(file)
        sections = [s for s in image.iter_sections() if s["sh_flags"] & 2 and s["sh_size"]]
        stored = {s.name for s in sections if s["sh_type"] != "SHT_NOBITS"}
        extents = [(s.name, int(s["sh_addr"]), int(s["sh_size"])) for s in sections]
        named = [
            # Bit 0 of a function's address says Thumb.
            (
                symbol.name,
                int(symbol["st_value"]) & ~int(symbol["st_info"]["type"] == "STT_FUNC"),
                int(symbol["st_size"]),
            )
            for symbol in _symbol_table(image).iter_symbols()
            if symbol["st_info"]["type"] in {"STT_FUNC", "STT_OBJECT"} and symbol["st_size"]
        ]
        loaded = [p for p in image.iter_segments() if p["p_type"] == "PT_LOAD" and p["p_filesz"]]
        # .data is stored behind the constants: physical addresses tell where.
        flash_end = max(int(p["p_paddr"] + p["p_filesz"]) for p in loaded)
    map_text = _map_file(elf).read_text(encoding="utf-8", errors="replace")
    used = {
        name: _extent(origin, origin + length, extents) for name, origin, length in _linker_regions(map_text)
    }
    used["flash"] = flash_end - board.region("flash").origin
    if used != usage:
        raise PipelineError(f"the ELF file claims {used} bytes, the linker printed {dict(usage)}", where=elf)

    parts: dict[str, dict[str, int]] = {"flash": defaultdict(int), "ram": defaultdict(int)}
    symbols = []
    pieces = _pieces(map_text)
    for name, address, size in extents:
        regions = [r.name for r in board.memory if address in range(r.origin, r.end)]
        if name in stored and "flash" not in regions:
            regions.insert(0, "flash")
        region = "+".join(regions)
        kinds = ["flash" if r == "flash" else "ram" for r in regions]
        for piece in pieces.get(name, []):
            start, end = piece.address, piece.address + piece.bytes
            if start < address or end > address + size:
                raise PipelineError(f"{piece.name} of {piece.source} lies outside of {name}", where=elf)
            part = IN_RAM_PARTS.get(name) or _part(piece.source, piece.name)
            for kind in kinds:
                parts[kind][part] += piece.bytes
            inside = _without_aliases([(n, v, b) for n, v, b in named if start <= v < end])
            symbols += [Symbol(n, b, region, part, piece.source) for n, _, b in inside]
            if not inside:  # strings, and assembly without sizes
                symbols.append(Symbol(piece.name, piece.bytes, region, part, piece.source))
        if name == ".stack":
            parts["ram"]["stack"] += size
            symbols.append(Symbol("stack", size, region, "stack", "target/link.ld"))
    for kind, total in (("flash", used["flash"]), ("ram", sum(n for r, n in used.items() if r != "flash"))):
        padding = total - sum(parts[kind].values())
        if padding < 0:
            raise PipelineError(f"{-padding} bytes of {kind} are counted twice", where=elf)
        if padding:
            parts[kind]["other"] += padding
    return _Sizes(
        tuple(extents),
        tuple(sorted(symbols, key=lambda s: (-s.bytes, s.name))),
        dict(sorted(parts["flash"].items())),
        dict(sorted(parts["ram"].items())),
    )


def _linker_regions(text: str) -> list[tuple[str, int, int]]:
    """(name, origin, bytes) of each memory region that the map says the linker was given."""
    table = text.partition("\nMemory Configuration\n")[2].partition("\nLinker script and memory map")[0]
    return [
        (name, int(origin, 16), int(length, 16))
        for name, origin, length in re.findall(r"^(\w+) +0x([0-9a-f]+) +0x([0-9a-f]+)", table, re.MULTILINE)
    ]


def _extent(origin: int, end: int, extents: Iterable[tuple[str, int, int]]) -> int:
    """Bytes from a region's start to the end of the last section in it."""
    ends = [address + size for _, address, size in extents if address in range(origin, end)]
    return max(ends, default=origin) - origin


def _without_aliases(symbols: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """One symbol for each address: libraries give some functions several names."""
    by_address: dict[int, tuple[str, int, int]] = {}
    for name, value, size in sorted(symbols, key=lambda s: (s[1], -s[2], s[0])):
        by_address.setdefault(value, (name, value, size))
    return list(by_address.values())


def _pieces(text: str) -> dict[str, list[_Piece]]:
    """For each output section the input sections that the map lists in it, by address, none overlapping."""
    text = text.partition("\nLinker script and memory map")[2]
    heading = re.compile(r"^(\.[\w.$-]+)", re.MULTILINE)
    line = re.compile(r"^ (\.?[\w.$-]+|COMMON)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S.*)$", re.MULTILINE)
    _, *blocks = heading.split(text)
    found: dict[str, list[_Piece]] = {}
    for name, block in zip(blocks[::2], blocks[1::2], strict=True):
        claims = sorted(
            (int(address, 16), int(size, 16), file, piece)
            for piece, address, size, file in line.findall(block)
        )
        held = found.setdefault(name, [])
        for number, (address, size, file, piece) in enumerate(claims):
            # Equal strings are merged, yet each of their sections is listed: the next one's start is the end.
            following = claims[number + 1][0] if number + 1 < len(claims) else address + size
            if count := min(size, following - address):
                held.append(_Piece(piece, address, count, _source_of(file)))
    return found


def _source_of(file: str) -> str:
    """`model/x.c.o` is `model/x.c`; `/usr/.../libc.a(memcpy.o)` is `libc.a`."""
    library = re.search(r"([^/]+\.a)\(", file)
    return library[1] if library else file.removesuffix(".o")


def _part(source: str, section: str) -> str:
    if section == WEIGHTS_MADE_AT_START:
        return IN_RAM_PARTS[RAM_WEIGHTS]
    if section.startswith(".arena"):
        return "arena"
    if source.endswith("_weights.c"):
        return "weights"
    if source.startswith("model/"):
        # The kernels' parameters are constants too, but of the code: what calls the kernels needs them.
        return "model data" if section.startswith((".bss", ".data", "COMMON")) else "model code"
    return next((part for prefix, part in PARTS if source.startswith(prefix)), "C library")


def _symbol_table(image: ELFFile) -> SymbolTableSection:
    from elftools.elf.sections import SymbolTableSection

    table = image.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        raise PipelineError("an ELF file without a symbol table: was it stripped?")
    return table


def load_image(firmware: Firmware, board: Board) -> bytes:
    """What the image stores in flash, from the region's start on; gaps hold what erased flash reads as."""
    from elftools.elf.elffile import ELFFile

    origin = board.region("flash").origin
    content = bytearray(b"\xff" * firmware.flash_bytes)
    with firmware.elf.open("rb") as file:
        for segment in ELFFile(file).iter_segments():
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                start = segment["p_paddr"] - origin
                content[start : start + segment["p_filesz"]] = segment.data()
    return bytes(content)


def function_at(elf: Path, address: int) -> str | None:
    """The function that holds an address of the image, with the offset into it, or None."""
    from elftools.elf.elffile import ELFFile

    if not elf.is_file():
        return None
    with elf.open("rb") as file:
        for symbol in _symbol_table(ELFFile(file)).iter_symbols():
            start = int(symbol["st_value"]) & ~1
            if symbol["st_info"]["type"] == "STT_FUNC" and start <= address < start + symbol["st_size"]:
                return f"{symbol.name} + {address - start}"
    return None


def _object_symbols(objects: Path, compiled: Iterable[Path]) -> Iterator[Symbol]:
    """Every function and object of the object files, before the linker leaves out what nobody needs."""
    from elftools.elf.elffile import ELFFile

    for path in compiled:
        source = path.relative_to(objects).as_posix().removesuffix(".o")
        with path.open("rb") as file:
            if file.read(4) != b"\x7fELF":
                continue  # another system's format: no sizes
            image = ELFFile(file)
            for symbol in _symbol_table(image).iter_symbols():
                if symbol["st_info"]["type"] not in {"STT_FUNC", "STT_OBJECT"} or not symbol["st_size"]:
                    continue
                if not isinstance(symbol["st_shndx"], int):
                    continue
                section = image.get_section(symbol["st_shndx"])
                writable = bool(section["sh_flags"] & 1)
                empty = section["sh_type"] == "SHT_NOBITS" or section.name.startswith(
                    (".arena", ".prepared", ".noinit")
                )
                region = ("ram" if empty else "flash+ram") if writable else "flash"
                yield Symbol(symbol.name, int(symbol["st_size"]), region, _part(source, section.name), source)


def _native_sizes(objects: Path, compiled: list[Path]) -> _Sizes:
    """Of the project's own objects: what the operating system adds says nothing about a target."""
    symbols = sorted(_object_symbols(objects, compiled), key=lambda s: (-s.bytes, s.name))
    parts: dict[str, dict[str, int]] = {"flash": defaultdict(int), "ram": defaultdict(int)}
    for symbol in symbols:
        for region in symbol.region.split("+"):
            parts[region][symbol.part] += symbol.bytes
    return _Sizes(
        (), tuple(symbols), dict(sorted(parts["flash"].items())), dict(sorted(parts["ram"].items()))
    )


# ---- what is installed ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolStatus:
    """One tool of this computer, found or not."""

    name: str
    purpose: str
    path: str | None
    version: str | None
    found: bool
    needed: bool
    """Without it the default run (an STM32 board's image, on the virtual Nucleo) is not possible."""
    how: str
    """How to get it on this kind of system."""


# name, purpose, needed, (Debian and Ubuntu, macOS, Windows)
TOOLS = (
    ("arm-none-eabi-gcc", "compiles and links for ARM", True,
     ("sudo apt install gcc-arm-none-eabi", "brew install --cask gcc-arm-embedded",
      "winget install Arm.GnuArmEmbeddedToolchain")),
    ("newlib", "the C library for ARM", True,
     ("sudo apt install libnewlib-arm-none-eabi", "comes with gcc-arm-embedded",
      "comes with Arm.GnuArmEmbeddedToolchain")),
    ("qemu-system-arm", "runs QEMU's boards; the virtual Nucleo needs none", False,
     ("sudo apt install qemu-system-arm", "brew install qemu",
      "winget install SoftwareFreedomConservancy.QEMU")),
    ("cc", "builds for this computer: estimates of cycles, layer dumps, sanitizers", False,
     ("sudo apt install gcc libc6-dev", "xcode-select --install", "use WSL")),
    ("openocd", "flashes a board", False,
     ("sudo apt install openocd", "brew install open-ocd", "winget install xpack-dev-tools.openocd-xpack")),
    ("st-flash", "flashes a board", False,
     ("sudo apt install stlink-tools", "brew install stlink", "see github.com/stlink-org/stlink")),
    ("STM32_Programmer_CLI", "flashes a board (ST's own tool)", False,
     ("see st.com, STM32CubeProgrammer",) * 3),
    ("pyocd", "flashes a board", False, ("pipx install pyocd",) * 3),
    ("probe-rs", "flashes a board", False, ("see probe.rs",) * 3),
)  # fmt: skip


# Variables that name a tool which is not the one on PATH.
NAMED_BY = {"arm-none-eabi-gcc": "ARM_GCC", "cc": "CC", "qemu-system-arm": "QEMU_SYSTEM_ARM"}


def tools_status() -> tuple[ToolStatus, ...]:
    """Every tool that the pipeline can use, with its version, and how to get it here."""
    found = []
    for name, purpose, needed, _ in TOOLS:
        path, version = _probe(name)
        found.append(ToolStatus(name, purpose, path, version, path is not None, needed, how_to_get(name)))
    return tuple(found)


def how_to_get(tool: str) -> str:
    """How one of TOOLS is installed on this kind of system."""
    system = {"Darwin": 1, "Windows": 2}.get(platform.system(), 0)
    return next(how[system] for name, _, _, how in TOOLS if name == tool)


def _probe(name: str) -> tuple[str | None, str | None]:
    if name == "newlib":
        return _probe_newlib()
    wanted = os.environ.get(NAMED_BY.get(name, "")) or name
    path = shutil.which(wanted)
    if path is None:
        return None, None
    words = first_line([path, "--version"]) or ""
    number = re.search(r"\d+(?:\.\d+)+", words)
    return path, _full_version(words, number[0]) if number else None


def _probe_newlib() -> tuple[str | None, str | None]:
    compiler = shutil.which(os.environ.get("ARM_GCC") or "arm-none-eabi-gcc")
    archive = first_line([compiler, "-print-file-name=libc.a"]) if compiler else None
    if archive is None or not Path(archive).is_absolute():
        return None, None
    library = Path(archive).resolve().parent
    for folder in (library.parent / "include", library.parents[1] / "include" / "newlib"):
        header = folder / "_newlib_version.h"
        if header.is_file():
            match = re.search(r'_NEWLIB_VERSION "([^"]+)"', header.read_text(encoding="utf-8"))
            return archive, match[1] if match else None
    return archive, None
