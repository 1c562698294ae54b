"""The programs that write a board's flash: what each is told, and what its answers mean."""

from __future__ import annotations

import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.boards import Board, FlashNames
from pipeline.build import first_line, how_to_get
from pipeline.errors import FlashFailed, UsageError
from pipeline.flash.probes import VENDOR_ID, Probe
from pipeline.registry import nearest

# Where ST's installers put their programmer, which they do not add to PATH.
CUBE_FOLDERS = (
    Path.home() / "STMicroelectronics/STM32Cube/STM32CubeProgrammer/bin",
    Path("/usr/local/STMicroelectronics/STM32Cube/STM32CubeProgrammer/bin"),
    Path("/Applications/STMicroelectronics/STM32Cube/STM32CubeProgrammer/STM32CubeProgrammer.app/Contents/MacOs/bin"),
    Path("C:/Program Files/STMicroelectronics/STM32Cube/STM32CubeProgrammer/bin"),
)  # fmt: skip
Command = list[str]

# What their words mean, the first that fits: (words, code, problem, what to try).
MEANINGS = (
    (r"LIBUSB_ERROR_ACCESS|insufficient permissions|Permission denied|Access denied",
     "E_FLASH_PERMISSION", "you may not talk to the ST-LINK",
     "take the permission by the udev rule in docs/hardware.md, then plug the board in again"),
    (r"LIBUSB_ERROR_BUSY|Resource busy|is being used by another|already in use|DEV_USB_COMM_ERR",
     "E_FLASH_PROBE_BUSY", "another program uses the ST-LINK",
     "end the debugger or IDE that is connected to the board, or plug it in again"),
    (r"target type \S+ not recognized|chip '?\S+ was not found in the (?:database|list)|ChipNotFound",
     "E_FLASH_CHIP_UNKNOWN", "it does not know this chip",
     "pyocd pack install CHIP, or bring the program up to date, or take another with --with"),
    (r"failed to erase memory|read-?out[ -]protect|device (?:is )?(?:security )?protected|flash is locked"
     r"|device is locked|write[ -]protect|failed to unlock flash|core is locked|RDP (?:level )?[12]",
     "E_FLASH_LOCKED", "the chip's flash is protected",
     "take the protection off, which erases the chip: STM32_Programmer_CLI -c port=SWD mode=UR -ob RDP=0xAA"),
    (r"verify failed|verification (?:of flash )?failed|contents? (?:do(?:es)? not match|differ)|mismatch at",
     "E_FLASH_VERIFY", "what was written does not read back the same",
     "try again; if it stays, the flash is worn or the supply is weak: take another cable or port"),
    (r"target voltage may be too low|no target voltage|voltage *: *0[.,]0",
     "E_FLASH_NO_POWER", "the chip has no supply",
     "put the board's power jumpers back as they came (IDD closed, supply from the ST-LINK)"),
    (r"unable to connect to the target|no STM32 target found|can ?not connect to (?:the )?target"
     r"|unable to get core id|failed to attach|failed to connect to target|no ack|unable to reset target"
     r"|unknown chip ?id|timed out while waiting for target halted|init mode failed"
     r"|connecting to the chip was unsuccessful",
     "E_FLASH_CONNECT", "the ST-LINK is there, and the chip behind it does not answer",
     "hold the board's black RESET button, start again, let go after a second; are its CN4 jumpers set?"),
    (r"open failed|couldn't find any st-?link|no debug probe|no st-?link|no device found"
     r"|no connected (?:debug )?probes?|no available debug probes?|probe was not found"
     r"|no probes? (?:was|were) found|no target device available",
     "E_FLASH_NO_PROBE", "it does not find the ST-LINK",
     "plug the board in again; if another program finds it, choose that one with --with"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chip:
    """What a programmer is told of the board."""

    names: FlashNames
    flash_origin: int
    flash_bytes: int


class Site:
    """Where a program runs: on this computer."""

    def command(self, command: Command) -> Command:
        """What runs the command there."""
        return command

    def image(self, path: Path) -> Path:
        """Where the program finds a file of this computer."""
        return path


class Programmer(ABC):
    """One program that can write a board's flash through an ST-LINK."""

    name: ClassVar[str]
    """As --with takes it: the program's own name."""
    proof: ClassVar[str] = ""
    """Words without which an image is not believed to be written, whatever the exit status says."""
    image: ClassVar[str] = "elf"
    """`elf`, or `bin` for a program that wants bytes."""
    retries_under_reset: ClassVar[bool] = False
    """Whether to connect without a reset at first, and with the reset held only where that fails."""

    def __init__(self, path: str, site: Site | None = None) -> None:
        """`site`: where it is installed; None for this computer."""
        self.path = path
        self.site = site or Site()
        words = first_line(self.site.command([path, "--version"]))
        self.answers = words is not None
        number = re.search(r"\d+(?:\.\d+)+", words or "")
        self.version = number[0] if number else "of unknown version"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @classmethod
    def find(cls) -> str | None:
        """Where the program is."""
        return shutil.which(cls.name)

    @classmethod
    def knows(cls, names: FlashNames) -> bool:
        """Whether board.toml says what this program calls the chip."""
        return True

    @abstractmethod
    def identify(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        """The command whose output tells the device id."""

    @abstractmethod
    def device_id(self, words: str, chip: Chip, probe: Probe) -> int | None:
        """DEV_ID from that output."""

    @abstractmethod
    def write(self, chip: Chip, probe: Probe, image: Path, under_reset: bool) -> Command:
        """Erase as far as needed, write, verify, start."""

    @abstractmethod
    def erase(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        """Erase the whole flash."""

    @abstractmethod
    def reset(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        """Start what the flash holds."""


class CubeProgrammer(Programmer):
    """ST's own, in its command line form (UM2237). It connects under reset, whatever runs on the chip."""

    name = "STM32_Programmer_CLI"
    proof = r"Download verified successfully"

    @classmethod
    def find(cls) -> str | None:
        return shutil.which(cls.name) or shutil.which(cls.name, path=os.pathsep.join(map(str, CUBE_FOLDERS)))

    def _base(self, probe: Probe) -> Command:
        return [self.path, "-c", "port=SWD", f"sn={probe.serial}", "mode=UR"]

    def identify(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return self._base(probe)

    def device_id(self, words: str, chip: Chip, probe: Probe) -> int | None:
        return _last_hex(r"Device ID\s*: *0x([0-9A-Fa-f]+)", words)

    def write(self, chip: Chip, probe: Probe, image: Path, under_reset: bool) -> Command:
        return [*self._base(probe), "-w", str(image), "-v", "-rst"]

    def erase(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return [*self._base(probe), "-e", "all"]

    def reset(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return [*self._base(probe), "-rst"]


class OpenOcd(Programmer):
    """OpenOCD 0.11 and newer, with its own board files."""

    name = "openocd"
    proof = r"\*\* Verified OK \*\*"
    retries_under_reset = True

    @classmethod
    def knows(cls, names: FlashNames) -> bool:
        return bool(names.openocd)

    def _base(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        old = re.match(r"0\.(\d+)", self.version)
        by_serial = "hla_serial" if old and int(old[1]) < 12 else "adapter serial"
        which = f"{by_serial} {probe.serial}" if probe.serial else f"adapter usb location {probe.location}"
        files = []
        for file in chip.names.openocd:
            files += ["-f", file]
            if file == "interface/stlink-dap.cfg":  # its first transport is JTAG, which no Nucleo has wired
                files += ["-c", "transport select dapdirect_swd"]
        orders = [which]
        # Its servers are not needed, and their ports may be taken by a debugger of another board.
        orders += ["gdb_port disabled", "tcl_port disabled", "telnet_port disabled"]
        if under_reset:
            orders.append("reset_config srst_only srst_nogate connect_assert_srst")
        return [self.path, *files, *_orders(orders)]

    def identify(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        orders = ["init", f"mdw {chip.names.device_id_register:#010x}", "shutdown"]
        return [*self._base(chip, probe, under_reset), *_orders(orders)]

    def device_id(self, words: str, chip: Chip, probe: Probe) -> int | None:
        return _last_hex(rf"^{chip.names.device_id_register:#010x}: ([0-9a-f]{{8}})\b", words)

    def write(self, chip: Chip, probe: Probe, image: Path, under_reset: bool) -> Command:
        orders = [f"program {{{image.as_posix()}}} verify reset exit"]
        return [*self._base(chip, probe, under_reset), *_orders(orders)]

    def erase(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        # Every bank in the flash's region: some chips have two, and others' lists hold one-time memory.
        # Only a bank that was probed tells its base; one that cannot be probed is none of ours.
        end = chip.flash_origin + chip.flash_bytes
        banks = (
            "for {set bank 0} {$bank < [llength [flash list]]} {incr bank} { catch {flash probe $bank}; "
            "set base [dict get [lindex [flash list] $bank] base]; "
            f"if {{$base >= {chip.flash_origin:#x} && $base < {end:#x}}} "
            "{ flash erase_sector $bank 0 last } }"
        )
        return [*self._base(chip, probe, under_reset), *_orders(["init", "reset halt", banks, "shutdown"])]

    def reset(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return [*self._base(chip, probe, under_reset), *_orders(["init", "reset run", "shutdown"])]


class StFlash(Programmer):
    """st-flash of stlink-tools 1.7 and newer; its companion st-info tells the device id."""

    name = "st-flash"
    proof = r"jolly good"
    image = "bin"

    def _base(self, probe: Probe) -> Command:
        return [self.path, "--serial", probe.serial, "--connect-under-reset"]

    def identify(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        path = Path(self.path)
        return [str(path.with_name("st-info" + path.suffix)), "--probe"]

    def device_id(self, words: str, chip: Chip, probe: Probe) -> int | None:
        """It lists every ST-LINK: the chip is told a few lines below the serial number."""
        _, _, after = words.partition(probe.serial)
        return _last_hex(r"chipid: +0x([0-9a-f]+)", after.partition("serial:")[0])

    def write(self, chip: Chip, probe: Probe, image: Path, under_reset: bool) -> Command:
        return [*self._base(probe), "--reset", "write", str(image), f"{chip.flash_origin:#010x}"]

    def erase(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return [*self._base(probe), "erase"]

    def reset(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return [self.path, "--serial", probe.serial, "reset"]


class ProbeRs(Programmer):
    """probe-rs, the command line tool."""

    name = "probe-rs"
    retries_under_reset = True

    @classmethod
    def knows(cls, names: FlashNames) -> bool:
        return bool(names.probe_rs)

    def _command(self, verb: str, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        selector = f"{VENDOR_ID:04x}:{probe.product_id:04x}:{probe.serial}"
        options = ["--chip", chip.names.probe_rs, "--protocol", "swd", "--probe", selector]
        return [self.path, verb, *options, *(["--connect-under-reset"] if under_reset else [])]

    def identify(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        address = f"{chip.names.device_id_register:#010x}"
        return [*self._command("read", chip, probe, under_reset), "b32", address, "1"]

    def device_id(self, words: str, chip: Chip, probe: Probe) -> int | None:
        """Newer ones put the address before the word."""
        return _last_hex(r"^(?:[0-9a-f]{8}: )?([0-9a-f]{8})\s*$", words)

    def write(self, chip: Chip, probe: Probe, image: Path, under_reset: bool) -> Command:
        return [*self._command("download", chip, probe, under_reset), "--verify", str(image)]

    def erase(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return self._command("erase", chip, probe, under_reset)

    def reset(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return self._command("reset", chip, probe, under_reset)


class PyOcd(Programmer):
    """pyOCD; for most chips it needs a CMSIS pack, `pyocd pack install CHIP`."""

    name = "pyocd"

    @classmethod
    def knows(cls, names: FlashNames) -> bool:
        return bool(names.pyocd)

    def _command(self, verb: str, target: str, probe: Probe) -> Command:
        # Without -W it would wait for a probe for ever.
        return [self.path, verb, "-W", "-t", target, "-u", probe.serial, "-M", "under-reset"]

    def identify(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        order = f"read32 {chip.names.device_id_register:#010x}"
        return [*self._command("commander", "cortex_m", probe), "-c", order]

    def device_id(self, words: str, chip: Chip, probe: Probe) -> int | None:
        return _last_hex(rf"^{chip.names.device_id_register:08x}: +([0-9a-f]{{8}})\b", words)

    def write(self, chip: Chip, probe: Probe, image: Path, under_reset: bool) -> Command:
        return [*self._command("load", chip.names.pyocd, probe), "--format", "elf", str(image)]

    def erase(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return [*self._command("erase", chip.names.pyocd, probe), "--chip"]

    def reset(self, chip: Chip, probe: Probe, under_reset: bool) -> Command:
        return self._command("reset", chip.names.pyocd, probe)


# In the order in which they are tried: ST's own first, then the ones that need nothing besides themselves.
PROGRAMMERS: dict[str, type[Programmer]] = {
    kind.name: kind for kind in (CubeProgrammer, OpenOcd, StFlash, ProbeRs, PyOcd)
}


@dataclass(frozen=True, slots=True)
class Flashed:
    """What was done to a board."""

    board: str
    programmer: str
    """With its version."""
    probe: Probe
    commands: tuple[tuple[str, ...], ...]
    seconds: float
    notes: tuple[str, ...] = ()


def find_programmer(board: Board, wanted: str | None = None) -> Programmer:
    """The program of this name, else the first that is installed and knows the chip.

    Raises FlashFailed E_FLASH_NO_TOOL, UsageError E_FLASH_TOOL_UNKNOWN or E_FLASH_BOARD.
    """
    names = flash_names(board)
    if wanted is not None and wanted not in PROGRAMMERS:
        near = nearest(wanted, PROGRAMMERS)
        raise UsageError(
            f"there is no programmer {wanted!r}",
            code="E_FLASH_TOOL_UNKNOWN",
            hint=(f"did you mean {near}? " if near else "") + f"known: {', '.join(PROGRAMMERS)}",
        )
    kinds = [PROGRAMMERS[wanted]] if wanted else list(PROGRAMMERS.values())
    kinds = [kind for kind in kinds if kind.knows(names)]
    if not kinds:
        raise UsageError(
            f"{wanted} does not know the chip of {board.name}: its [flash] table has no name for it",
            code="E_FLASH_TOOL_UNKNOWN",
            hint=f"one of: {', '.join(name for name, kind in PROGRAMMERS.items() if kind.knows(names))}",
        )
    for kind in kinds:
        path = kind.find()
        if path:
            return kind(path)
    raise FlashFailed(
        f"{wanted} is not installed" if wanted else f"no program that can flash {board.name} is installed",
        code="E_FLASH_NO_TOOL",
        hint=how_to_get(wanted or OpenOcd.name),
        details=() if wanted else [f"{kind.name}: {how_to_get(kind.name)}" for kind in kinds],
    )


def flash_names(board: Board) -> FlashNames:
    """What tools call the board's chip. UsageError E_FLASH_BOARD."""
    if board.flash is None:
        raise UsageError(
            f"{board.name} has no flash to write: it is no hardware",
            code="E_FLASH_BOARD",
            hint="name the board that you have with --board; stm32-deploy boards lists them",
        )
    return board.flash


def failure(programmer: Programmer, board: Board, words: str, status: int) -> FlashFailed:
    """What a programmer's words mean; the words themselves follow."""
    facts = [line.strip() for line in words.splitlines() if line.strip()]
    telling = [line for line in facts if re.search(r"error|fail|\*\*|warn|not ", line, re.IGNORECASE)]
    details = list(dict.fromkeys(telling or facts))[-6:]
    for pattern, code, problem, hint in MEANINGS:
        if re.search(pattern, words, re.IGNORECASE):
            chip = board.flash.pyocd if board.flash else board.name
            return FlashFailed(
                f"{programmer}: {problem}", code=code, hint=hint.replace("CHIP", chip), details=details
            )
    return FlashFailed(
        f"{programmer} ended with status {status}" if status else f"{programmer} did not confirm its work",
        code="E_FLASH_FAILED",
        hint="what it said follows; -v shows the command, to try by hand, and --with takes another program",
        details=details,
    )


def _orders(orders: Sequence[str]) -> list[str]:
    return [word for order in orders for word in ("-c", order)]


def _last_hex(pattern: str, words: str) -> int | None:
    """DEV_ID: the lower twelve bits of the last number that fits."""
    found = re.findall(pattern, words, re.MULTILINE)
    return int(found[-1], 16) & 0xFFF if found else None
