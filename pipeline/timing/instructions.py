"""The instructions of an image, each with what decides its cost: decoded by capstone from the ELF file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from capstone import (
    CS_ARCH_ARM,
    CS_MODE_MCLASS,
    CS_MODE_THUMB,
    Cs,
    arm,
)
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

NONE = -1


class Kind(IntEnum):
    """`enum instruction_class` of native/cycles.h."""

    ALU = 0
    LOAD = 1
    STORE_IMMEDIATE = 2
    STORE_REGISTER = 3
    LOAD_MULTIPLE = 4
    STORE_MULTIPLE = 5
    BRANCH = 6
    BRANCH_INDIRECT = 7
    DIVIDE = 8
    IF_THEN = 9
    VFP = 10
    VFP_MULTIPLY_ADD = 11
    VFP_DIVIDE = 12
    VFP_LOAD = 13
    VFP_STORE = 14
    VFP_MOVE_TWO = 15
    TABLE_BRANCH = 16
    LOAD_PC = 17
    LOAD_MULTIPLE_PC = 18


BRANCHING = frozenset(
    {Kind.BRANCH, Kind.BRANCH_INDIRECT, Kind.TABLE_BRANCH, Kind.LOAD_PC, Kind.LOAD_MULTIPLE_PC}
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """`struct instruction` of native/cycles.h, and where a direct branch goes."""

    address: int
    bytes: int
    kind: Kind
    words: int = 1
    loaded: int = NONE
    vfp_result: int = NONE
    bases: int = 0
    written: int = 0
    vfp_operands: int = 0
    target: int | None = None

    @property
    def end(self) -> int:
        return self.address + self.bytes

    @property
    def branches(self) -> bool:
        """Whether another instruction than the next in memory may follow."""
        return self.kind in BRANCHING

    def row(self) -> str:
        """As native/profile.c reads it."""
        fields = (self.address, self.bytes, self.kind, self.words, self.loaded, self.vfp_result,
                  self.bases, self.written, self.vfp_operands)  # fmt: skip
        return " ".join(str(int(field)) for field in fields)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the image, from its symbol."""

    name: str
    address: int
    end: int


def _ids(names: str) -> frozenset[int]:
    return frozenset(getattr(arm, f"ARM_INS_{name}") for name in names.split())


LOADS = _ids("LDR LDRB LDRH LDRSB LDRSH LDRT LDRBT LDRHT LDRSBT LDRSHT LDREX LDREXB LDREXH")
STORES = _ids("STR STRB STRH STRT STRBT STRHT STREX STREXB STREXH")
LOADS_OF_MANY = _ids("LDM LDMDB POP VLDMIA VLDMDB VPOP LDRD")
STORES_OF_MANY = _ids("STM STMDB PUSH VSTMIA VSTMDB VPUSH STRD")
OF_TWO = _ids("LDRD STRD")
TABLE_BRANCHES = _ids("TBB TBH")
BRANCHES = _ids("B BL CBZ CBNZ")
BRANCHES_TO_REGISTERS = _ids("BX BLX")
DIVISIONS = _ids("SDIV UDIV")
MULTIPLY_ADDS = _ids("VMLA VMLS VFMA VFMS VNMLA VNMLS VNMUL VFNMA VFNMS")
VFP_DIVISIONS = _ids("VDIV VSQRT")
# They write no register that the next instruction could wait for.
COMPARISONS = _ids("CMP CMN TST TEQ NOP")
LONG_PRODUCTS = _ids(
    "SMULL UMULL SMLAL UMLAL UMAAL SMLALD SMLALDX SMLSLD SMLSLDX SMLALBB SMLALBT SMLALTB SMLALTT"
)
VFP_COMPARISONS = _ids("VCMP VCMPE")
VFP_SYSTEM = _ids("VMRS VMSR FMSTAT")
VFP_MOVES = _ids("VMOV FCONSTS FCONSTD")


def decode(content: bytes, address: int) -> Iterator[Instruction]:
    """Instructions of a piece of Thumb code, as far as capstone knows them."""
    engine = Cs(CS_ARCH_ARM, CS_MODE_THUMB | CS_MODE_MCLASS)
    engine.detail = True
    for found in engine.disasm(content, address):
        yield _classify(found)


def read_image(elf: Path) -> tuple[tuple[Instruction, ...], tuple[Function, ...]]:
    """All instructions of an ELF image by address, and its functions by address."""
    with elf.open("rb") as file:
        image = ELFFile(file)
        symbols = _symbols(image)
        found: list[Instruction] = []
        for section in image.iter_sections():
            if section["sh_flags"] & 4 and section["sh_type"] == "SHT_PROGBITS":
                start = int(section["sh_addr"])
                content = section.data()
                for low, high in _code_ranges(symbols, start, start + len(content)):
                    found += decode(content[low - start : high - start], low)
    functions = {
        int(symbol["st_value"]) & ~1: Function(
            symbol.name, int(symbol["st_value"]) & ~1, (int(symbol["st_value"]) & ~1) + int(symbol["st_size"])
        )
        for symbol in symbols
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"]
    }
    found.sort(key=lambda instruction: instruction.address)
    return tuple(found), tuple(functions[address] for address in sorted(functions))


def read_variable(elf: Path, name: str) -> int | None:
    """The address of a variable."""
    with elf.open("rb") as file:
        found = [symbol for symbol in _symbols(ELFFile(file)) if symbol.name == name]
    return int(found[0]["st_value"]) if found else None


def _symbols(image: ELFFile) -> list[Any]:
    table = image.get_section_by_name(".symtab")
    return list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []


def function_of(functions: tuple[Function, ...], address: int) -> Function | None:
    """The function that holds an address."""
    position = bisect_right([function.address for function in functions], address) - 1
    if position >= 0 and address < functions[position].end:
        return functions[position]
    return None


def _code_ranges(symbols: Iterable[Any], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where code stands between data: the mapping symbols $t and $d (ELF for the Arm Architecture)."""
    marks = sorted(
        (int(symbol["st_value"]), symbol.name[:2])
        for symbol in symbols
        if symbol.name[:2] in {"$t", "$d"} and start <= symbol["st_value"] < end
    )
    for (low, kind), (high, _) in zip(marks, [*marks[1:], (end, "")], strict=True):
        if kind == "$t" and low < high:
            yield low, high


def _classify(found: Any) -> Instruction:
    number = found.id
    operands = found.operands
    registers = [operand.reg for operand in operands if operand.type == arm.ARM_OP_REG]
    memory = next((operand.mem for operand in operands if operand.type == arm.ARM_OP_MEM), None)
    bases = _core_mask([memory.base, memory.index]) if memory else 0
    fields: dict[str, Any] = {}
    if number in TABLE_BRANCHES:
        kind, fields = Kind.TABLE_BRANCH, {"bases": bases}
    elif number == arm.ARM_INS_IT:
        kind = Kind.IF_THEN
    elif number in BRANCHES:
        kind = Kind.BRANCH
        fields = {"target": operands[-1].imm & 0xFFFFFFFF}
    elif number in BRANCHES_TO_REGISTERS:
        kind = Kind.BRANCH_INDIRECT
    elif number in DIVISIONS:
        kind = Kind.DIVIDE
    elif number in LOADS:
        to_pc = registers[0] == arm.ARM_REG_PC
        kind = Kind.LOAD_PC if to_pc else Kind.LOAD
        fields = {"bases": bases, "loaded": NONE if to_pc else _core(registers[0])}
    elif number in STORES:
        kind = Kind.STORE_REGISTER if memory and memory.index else Kind.STORE_IMMEDIATE
        fields = {"bases": bases}
    elif number in LOADS_OF_MANY or number in STORES_OF_MANY:
        kind, fields = _several(number, registers, bases)
    elif number == arm.ARM_INS_VLDR:
        kind = Kind.VFP_LOAD
        fields = {"bases": bases, "words": _vfp_words(registers[0])}
    elif number == arm.ARM_INS_VSTR:
        kind = Kind.VFP_STORE
        fields = {"bases": bases, "words": _vfp_words(registers[0]), "vfp_operands": _vfp_mask(registers[:1])}
    elif number in VFP_MOVES:
        two = sum(_core(register) != NONE for register in registers) == 2
        kind = Kind.VFP_MOVE_TWO if two else Kind.VFP
        fields = {"vfp_operands": _vfp_mask(registers[1:])}
    elif number in MULTIPLY_ADDS or number in VFP_DIVISIONS:
        kind = Kind.VFP_MULTIPLY_ADD if number in MULTIPLY_ADDS else Kind.VFP_DIVIDE
        fields = {"vfp_result": _vfp(registers[0]), "vfp_operands": _vfp_mask(registers[1:])}
    elif number in VFP_COMPARISONS or number in VFP_SYSTEM:
        kind, fields = Kind.VFP, {"vfp_operands": _vfp_mask(registers)}
    elif registers and _vfp(registers[0]) != NONE:
        kind = Kind.VFP
        fields = {"vfp_result": _vfp(registers[0]), "vfp_operands": _vfp_mask(registers[1:])}
    else:
        written = registers[: 2 if number in LONG_PRODUCTS else 1]
        to_pc = arm.ARM_REG_PC in written
        kind = Kind.BRANCH_INDIRECT if to_pc else Kind.ALU
        fields = {"written": 0 if to_pc or number in COMPARISONS else _core_mask(written)}
    return Instruction(found.address, found.size, kind, **fields)


def _several(number: int, registers: list[int], bases: int) -> tuple[Kind, dict[str, Any]]:
    """Loads and stores of more than one register."""
    loads = number in LOADS_OF_MANY
    if number in OF_TWO:
        return (Kind.LOAD_MULTIPLE if loads else Kind.STORE_MULTIPLE), {"words": 2, "bases": bases}
    # LDM, STM, VLDM and VSTM name their base first; PUSH and POP have none.
    implied = number in _ids("POP PUSH VPOP VPUSH")
    moved = registers if implied else registers[1:]
    words = sum(1 if _core(register) != NONE else _vfp_words(register) for register in moved)
    to_pc = loads and arm.ARM_REG_PC in moved
    kind = Kind.LOAD_MULTIPLE_PC if to_pc else Kind.LOAD_MULTIPLE if loads else Kind.STORE_MULTIPLE
    return kind, {"words": words}


def _core_number() -> dict[int, int]:
    numbers = {getattr(arm, f"ARM_REG_R{n}"): n for n in range(13)}
    return numbers | {arm.ARM_REG_SP: 13, arm.ARM_REG_LR: 14, arm.ARM_REG_PC: 15}


CORE = _core_number()


def _core(register: int) -> int:
    return CORE.get(register, NONE)


def _core_mask(registers: Iterable[int]) -> int:
    return sum(1 << number for number in {_core(register) for register in registers} if number != NONE)


def _vfp(register: int) -> int:
    """The number of a single register; of a double one, that of its lower half."""
    if arm.ARM_REG_S0 <= register <= arm.ARM_REG_S31:
        return register - arm.ARM_REG_S0
    if arm.ARM_REG_D0 <= register <= arm.ARM_REG_D15:
        return 2 * (register - arm.ARM_REG_D0)
    return NONE


def _vfp_words(register: int) -> int:
    return 2 if arm.ARM_REG_D0 <= register <= arm.ARM_REG_D31 else 1


def _vfp_mask(registers: Iterable[int]) -> int:
    return sum(1 << number for number in {_vfp(register) for register in registers} if number != NONE)
