/* Text on the serial line, with a running CRC-32. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

/* Continue a CRC-32 (IEEE 802.3, as zlib's crc32) that stands at `crc`; start from 0. */
uint32_t crc32(uint32_t crc, const void *bytes, uint32_t count);

/* Begin a reply. In a checked one each line ends in ` *` and the CRC of all its lines so far, which
 * begins with `seed`, the CRC of the command: so a line answers one command, at one place. */
void console_begin(bool checked, uint32_t seed);
bool console_checked(void);

void console_text(const char *text);
void console_decimal(uint64_t value);
void console_hex(uint64_t value, uint32_t digits);
void console_bytes(const void *bytes, uint32_t count);  /* two hex digits each */
void console_end_line(void);

/* Whole lines: texts, a decimal number, or a hex number and `]`. */
void console_line(const char *begin, const char *text, const char *end);
void console_number(const char *begin, uint64_t value, const char *end);
void console_hex_number(const char *begin, uint64_t value, uint32_t digits);

/* Divide bit by bit and return the rest: libgcc's 64-bit division would be larger than all of this.
 * The divisor is below 2^31. */
uint32_t divide(uint64_t *value, uint32_t divisor);

#endif
