#include "harness/console.h"

#include "board/soc/hal.h"

static bool checked;
static uint32_t sum;

uint32_t crc32(uint32_t crc, const void *bytes, uint32_t count)
{
    /* Four bits at a time: a table of 64 bytes instead of 1024, and no need for speed. */
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    const uint8_t *next = bytes;

    crc = ~crc;
    while (count-- != 0) {
        crc ^= *next++;
        crc = table[crc & 15u] ^ (crc >> 4);
        crc = table[crc & 15u] ^ (crc >> 4);
    }
    return ~crc;
}

void console_begin(bool with_crc, uint32_t seed)
{
    checked = with_crc;
    sum = seed;
}

bool console_checked(void)
{
    return checked;
}

static void put(const char *bytes, uint32_t count)
{
    sum = crc32(sum, bytes, count);
    hal_write(bytes, count);
}

void console_text(const char *text)
{
    uint32_t count = 0;

    while (text[count] != '\0')
        count++;
    put(text, count);
}

uint32_t divide(uint64_t *value, uint32_t divisor)
{
    uint64_t quotient = *value;
    uint32_t rest = 0;

    for (uint32_t bit = 64; bit-- != 0;) {
        rest = rest << 1 | (uint32_t)(quotient >> 63);
        quotient <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            quotient++;
        }
    }
    *value = quotient;
    return rest;
}

void console_decimal(uint64_t value)
{
    char digits[20];
    uint32_t first = sizeof digits;

    do {
        digits[--first] = (char)('0' + divide(&value, 10u));
    } while (value != 0);
    put(digits + first, (uint32_t)sizeof digits - first);
}

void console_hex(uint64_t value, uint32_t digits)
{
    while (digits-- != 0)
        put(&"0123456789abcdef"[value >> (4u * digits) & 15u], 1u);
}

void console_bytes(const void *bytes, uint32_t count)
{
    const uint8_t *next = bytes;

    while (count-- != 0)
        console_hex(*next++, 2u);
}

void console_end_line(void)
{
    if (checked) {
        uint32_t crc = sum;

        console_text(" *");
        console_hex(crc, 8u);
        sum = crc32(crc, "\n", 1u);
    }
    hal_write("\r\n", 2u);
}

void console_line(const char *begin, const char *text, const char *end)
{
    console_text(begin);
    console_text(text);
    console_text(end);
    console_end_line();
}

void console_number(const char *begin, uint64_t value, const char *end)
{
    console_text(begin);
    console_decimal(value);
    console_line(end, "", "");
}

void console_hex_number(const char *begin, uint64_t value, uint32_t digits)
{
    console_text(begin);
    console_hex(value, digits);
    console_line("]", "", "");
}
