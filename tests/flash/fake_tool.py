"""The five programs that flash a board, imitated: strict about their options, and a chip that remembers.

A copy of this file stands on PATH under each program's name. The folder FAKE_CHIP holds `state.json`
(device_id, serial, trouble), and gets `commands.jsonl` and, after a write, `flash.elf` or `flash.bin`.
Options are those of OpenOCD 0.12, stlink 1.7, UM2237, probe-rs 0.27 and pyOCD 0.46. What is said without an
ST-LINK was recorded from OpenOCD 0.12, st-flash 1.7 and pyOCD 0.46; the rest follows published logs.
"""

import argparse
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

CHIP = Path(os.environ["FAKE_CHIP"])
STATE = json.loads((CHIP / "state.json").read_text())
NAME = Path(sys.argv[0]).name
WORD = int(STATE["device_id"], 16)
SERIAL = STATE["serial"]
TROUBLE = STATE["trouble"]


def end(status, *lines):
    print("\n".join(lines))
    sys.exit(status)


def trouble(words):
    """Say what this program says in this trouble, and end; `words` maps troubles to (status, lines)."""
    if TROUBLE == "hang":
        print("waiting for the target", flush=True)
        time.sleep(60)
    if TROUBLE in words:
        status, *lines = words[TROUBLE]
        end(status, *lines)


def keep(image, kind):
    assert Path(image).is_file(), f"there is no {image}"
    shutil.copy(image, CHIP / f"flash.{kind}")


def options(*flags, **valued):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    for name, choices in valued.items():
        parser.add_argument("--" + name.replace("_", "-"), choices=choices)
    return parser


def wrong_serial(given):
    return given != SERIAL


def openocd():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--version", action="store_true")
    parser.add_argument("-f", action="append", default=[])
    parser.add_argument("-c", action="append", default=[])
    given = parser.parse_args()
    if given.version:
        print("Open On-Chip Debugger " + STATE.get("openocd", "0.12.0"), file=sys.stderr)
        sys.exit()
    head = ["Open On-Chip Debugger 0.12.0", "Licensed under GNU GPL v2", "Info : clock speed 500 kHz"]
    assert given.f, "no configuration"
    old = STATE.get("openocd", "0.12.0") < "0.12"
    serial = "hla_serial " if old else "adapter serial "
    # The one at a place in a rack is told by where it is plugged in.
    serial = "adapter usb location " if "location" in STATE else serial
    assert any(order.startswith(serial) for order in given.c), "which adapter?"
    under_reset = "reset_config srst_only srst_nogate connect_assert_srst" in given.c
    gone = [*head, "Error: open failed", "in procedure 'program'", "** OpenOCD init failed **"]
    if TROUBLE == "no probe" or next(o for o in given.c if o.startswith(serial)).split()[-1] != STATE.get(
        "location", SERIAL
    ):
        end(1, *gone)
    found = [*head, "Info : STLINK V2J40M27 (API v2) VID:PID 0483:374B", "Info : Target voltage: 3.265833"]
    deaf = (1, *found, "Error: init mode failed (unable to connect to the target)")
    trouble({
        "permission": (1, *head, "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS", *gone[3:]),
        "busy": (1, *head, "Error: libusb_claim_interface() failed with LIBUSB_ERROR_BUSY", *gone[3:]),
        "no answer": deaf,
        **({} if under_reset else {"deaf": deaf}),
    })  # fmt: skip
    print("\n".join(found))
    for order in given.c:
        if order.startswith("mdw "):
            assert order == f"mdw {STATE['register']}", order
            print(f"{STATE['register']}: {WORD:08x} ")
        elif match := re.fullmatch(r"program \{(.+)\} verify reset exit", order):
            print("** Programming Started **")
            trouble({
                "locked": (1, "Error: stm32x device protected", "Error: failed erasing sectors 0 to 9",
                           "** Programming Failed **"),
                "verify": (1, "** Programming Finished **", "** Verify Started **", "** Verify Failed **"),
                "silent failure": (0, "** Programming Finished **"),
                "odd": (1, "Error: the cat sat on the keyboard"),
            })  # fmt: skip
            keep(match[1], "elf")
            print(
                "** Programming Finished **\n** Verify Started **\n** Verified OK **\n** Resetting Target **"
            )
        elif "flash erase_sector" in order:
            print("erased sectors 0 through 255 on flash bank 0 in 0.4 s")
            (CHIP / "flash.elf").unlink(missing_ok=True)
        else:
            known = (
                r"(adapter (serial|usb location)|hla_serial|reset_config) .+"
                r"|transport select dapdirect_swd|\w+_port disabled|init|reset (run|halt)|shutdown"
            )
            assert re.fullmatch(known, order), f"invalid command name {order!r}"


def st_flash():
    parser = options("--version", "--debug", "--reset", "--connect-under-reset", serial=None)
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    if given.version:
        end(0, "v1.7.0")
    print("st-flash 1.7.0")
    stamp = "2024-05-14T22:10:23"
    if TROUBLE == "no probe" or wrong_serial(given.serial):
        end(255, f"{stamp} WARN usb.c: Couldn't find any ST-Link devices")
    trouble({
        "permission": (255, "libusb: error [_get_usbfs_fd] libusb couldn't open USB device, errno=13",
                       "libusb requires write access to USB device nodes: LIBUSB_ERROR_ACCESS"),
        "busy": (255, "libusb: error: LIBUSB_ERROR_BUSY"),
        "no answer": (255, f"{stamp} ERROR common.c: Can not connect to target. Please use 'connect under "
                      "reset' and try again", "Failed to connect to target"),
    })  # fmt: skip
    print(f"{stamp} INFO common.c: STM32L4Rx: 640 KiB SRAM, 2048 KiB flash in at least 4 KiB pages.")
    verb, *rest = given.words
    if verb == "write":
        image, address = rest
        assert address == "0x08000000", address
        trouble({
            "locked": (255, f"{stamp} WARN common_flash.c: Failed to unlock flash!"),
            "verify": (255, f"{stamp} ERROR common_flash.c: Verification of flash failed at offset: 6144",
                       "stlink_fwrite_flash() == -1"),
            "silent failure": (0, "done"),
            "odd": (255, "ERROR: the cat sat on the keyboard"),
        })  # fmt: skip
        keep(image, "bin")
        print(f"{stamp} INFO common_flash.c: Flash written and verified! jolly good!")
    else:
        assert verb in {"erase", "reset"}, verb
        assert not rest


def st_info():
    assert sys.argv[1:] == ["--probe"], sys.argv
    if TROUBLE == "no probe":
        end(0, "Found 0 stlink programmers")
    print("Found 2 stlink programmers")
    for serial, word in (("0670FF000000000000000001", 0x415), (SERIAL, WORD & 0xFFF)):
        print(f"  version:    V2J40S27\n  serial:     {serial}\n  flash:      2097152 (pagesize: 4096)\n"
              f"  sram:       655360\n  chipid:     0x{word:04x}\n  descr:      STM32L4Rx")  # fmt: skip


def cube():
    words = sys.argv[1:]
    if words == ["--version"]:
        end(0, "STM32CubeProgrammer version: 2.17.0")
    assert words[:2] == ["-c", "port=SWD"], words
    assert words[3] == "mode=UR", words
    banner = ["      STM32CubeProgrammer v2.17.0", ""]
    if TROUBLE == "no probe" or wrong_serial(words[2].removeprefix("sn=")):
        end(1, *banner, "Error: No debug probe detected.")
    trouble({
        "permission": (1, *banner, "Error: ST-LINK error (DEV_CONNECT_ERR): Permission denied"),
        "busy": (1, *banner, "ST-LINK error (DEV_USB_COMM_ERR)"),
        "no answer": (1, *banner, f"ST-LINK SN  : {SERIAL}", "Voltage     : 3.23V",
                      "Error: No STM32 target found! If your product embeds Debug Authentication, ..."),
    })  # fmt: skip
    print("\n".join([*banner, f"ST-LINK SN  : {SERIAL}", "Voltage     : 3.23V", "SWD freq    : 4000 KHz",
                     "Connect mode: Under Reset", f"Device ID   : 0x{WORD & 0xFFF:X}",
                     "Revision ID : Rev W", "Device CPU  : Cortex-M4"]))  # fmt: skip
    rest = words[4:]
    if rest[:1] == ["-w"]:
        assert rest[2:] == ["-v", "-rst"], rest
        failed = "Error: Failed to download data! If it's a Flash memory, it may be not erased or protected"
        trouble({
            "locked": (1, "Error: failed to erase memory"),
            "verify": (1, "Error: Data mismatch found at address 0x08000040 (byte = 0xFF instead of 0x00)",
                       "Error: Download verification failed"),
            "silent failure": (0, failed, "Download verified successfully"),
            "odd": (1, "Error: the cat sat on the keyboard"),
        })  # fmt: skip
        keep(rest[1], "elf")
        print(
            "File download complete\nDownload verified successfully\nMCU Reset\nSoftware reset is performed"
        )
    else:
        assert rest in ([], ["-e", "all"], ["-rst"]), rest


def probe_rs():
    if sys.argv[1] == "--version":
        end(0, "probe-rs 0.27.0 (git commit: unknown)")
    parser = argparse.ArgumentParser(allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("read", "download", "erase", "reset"):
        verb = verbs.add_parser(name, allow_abbrev=False)
        for option in ("--chip", "--probe", "--protocol"):
            verb.add_argument(option, required=True)
        verb.add_argument("--connect-under-reset", action="store_true")
        if name == "download":
            verb.add_argument("--verify", action="store_true", required=True)
            verb.add_argument("path")
        if name == "read":
            verb.add_argument("width", choices=["b32"])
            verb.add_argument("address")
            verb.add_argument("words", type=int)
    given = parser.parse_args()
    vendor, product, serial = given.probe.split(":")
    assert (vendor, len(product)) == ("0483", 4)
    if TROUBLE == "no probe" or wrong_serial(serial):
        end(1, "Error: Failed to open the debug probe.", "", "Caused by:",
            "    0: The debug probe could not be created.", "    1: Probe was not found.")  # fmt: skip
    deaf = (1, "Error: Connecting to the chip was unsuccessful.", "", "Caused by:", "    An ARM error")
    trouble({
        "permission": (1, "Error: Failed to open the debug probe.", "Permission denied (os error 13)"),
        "busy": (1, "Error: Failed to open the debug probe.", "Resource busy (os error 16)"),
        "chip unknown": (1, f"Error: The chip '{given.chip}' was not found in the database."),
        "no answer": deaf,
        **({} if given.connect_under_reset else {"deaf": deaf}),
    })  # fmt: skip
    if given.verb == "read":
        assert given.address == STATE["register"]
        print((f"{int(given.address, 16):08x}: " if STATE.get("table") else "") + f"{WORD:08x}")
    if given.verb == "download":
        trouble({
            "locked": (1, "Error: The device is locked: read-out protection is on."),
            "verify": (1, "Error: Verification failed: the flash contents do not match"),
            "odd": (1, "Error: the cat sat on the keyboard"),
        })  # fmt: skip
        keep(given.path, "elf")
        print("      Finished in 2.51s")


def pyocd():
    if sys.argv[1] == "--version":
        end(0, "0.46.0")
    parser = argparse.ArgumentParser(allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("commander", "load", "erase", "reset"):
        verb = verbs.add_parser(name, allow_abbrev=False)
        verb.add_argument("-W", action="store_true", required=True)
        verb.add_argument("-t", required=True)
        verb.add_argument("-u", required=True)
        verb.add_argument("-M", choices=["under-reset"])
        if name == "commander":
            verb.add_argument("-c", required=True)
        if name == "load":
            verb.add_argument("--format", choices=["elf"])
            verb.add_argument("path")
        if name == "erase":
            verb.add_argument("--chip", action="store_true", required=True)
    given = parser.parse_args()
    if TROUBLE == "no probe" or wrong_serial(given.u):
        end(1, "No connected debug probes", "0000370 E No target device available [load_cmd]")
    if TROUBLE == "chip unknown" and given.t != "cortex_m":
        end(1, f"0000912 C Target type {given.t} not recognized. Use 'pyocd list --targets' to see currently "
            "available target types. [__main__]")  # fmt: skip
    trouble({
        "permission": (1, "0000370 W [Errno 13] Access denied (insufficient permissions) [usb]"),
        "busy": (1, "0000370 C [Errno 16] Resource busy [__main__]"),
        "no answer": (1, "0000912 C STLink error (9): Get IDCODE error; No ACK [__main__]"),
    })  # fmt: skip
    if given.verb == "commander":
        address = given.c.removeprefix("read32 ")
        assert address == STATE["register"]
        print(f"{int(address, 16):08x}:  {WORD:08x}    |....|")
    if given.verb == "load":
        trouble({
            "locked": (1, "0001200 C Flash is locked: device is security protected [__main__]"),
            "verify": (1, "0001200 C flash verification failed: contents differ [__main__]"),
            "odd": (1, "0001200 C the cat sat on the keyboard [__main__]"),
        })  # fmt: skip
        keep(given.path, "elf")
        print("0003000 I Erased 40960 bytes, programmed 40960 bytes [loader]")


with (CHIP / "commands.jsonl").open("a") as log:
    log.write(json.dumps([NAME, *sys.argv[1:]]) + "\n")
{"openocd": openocd, "st-flash": st_flash, "st-info": st_info, "STM32_Programmer_CLI": cube,
 "probe-rs": probe_rs, "pyocd": pyocd}[NAME]()  # fmt: skip
