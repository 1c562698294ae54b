/* Instructions of the DSP extension that C has no operator for, one a function.
 *
 * Words hold two int16 lanes (low half first) or four bytes (lowest first). The assembler's names are kept; `_high`
 * takes bytes 1 and 3 where the plain form takes bytes 0 and 2. Accumulation wraps modulo 2^32. SMLAD and the
 * saturating instructions set the sticky Q flag, which nothing here reads.
 */
#ifndef KERNELS_DSP_H
#define KERNELS_DSP_H

#include <stdint.h>

#define INSTRUCTION static inline __attribute__((always_inline))

#define UNARY(name, text)                                      \
    INSTRUCTION uint32_t name(uint32_t a)                      \
    {                                                          \
        uint32_t y;                                            \
        __asm__(text : "=r"(y) : "r"(a));                      \
        return y;                                              \
    }
#define BINARY(name, text)                                     \
    INSTRUCTION uint32_t name(uint32_t a, uint32_t b)          \
    {                                                          \
        uint32_t y;                                            \
        __asm__(text : "=r"(y) : "r"(a), "r"(b));              \
        return y;                                              \
    }

UNARY(sxtb16, "sxtb16 %0, %1")
UNARY(sxtb16_high, "sxtb16 %0, %1, ror #8")
UNARY(uxtb16, "uxtb16 %0, %1")
UNARY(uxtb16_high, "uxtb16 %0, %1, ror #8")

/* each lane saturated to [0, 255] */
UNARY(usat8_lanes, "usat16 %0, #8, %1")

/* a + bytes of b, by lanes */
BINARY(sxtab16, "sxtab16 %0, %1, %2")
BINARY(sxtab16_high, "sxtab16 %0, %1, %2, ror #8")
BINARY(uxtab16, "uxtab16 %0, %1, %2")
BINARY(uxtab16_high, "uxtab16 %0, %1, %2, ror #8")

BINARY(sadd16, "sadd16 %0, %1, %2")
BINARY(ssub16, "ssub16 %0, %1, %2")
BINARY(uadd8, "uadd8 %0, %1, %2")
BINARY(usub8, "usub8 %0, %1, %2")
BINARY(qadd8, "qadd8 %0, %1, %2")
BINARY(qsub8, "qsub8 %0, %1, %2")
BINARY(uqadd8, "uqadd8 %0, %1, %2")
BINARY(uqsub8, "uqsub8 %0, %1, %2")
BINARY(qadd16, "qadd16 %0, %1, %2")

/* low half of a, low half of b above it; low half of a below the high half of b; both high halves */
BINARY(pkhbt_low, "pkhbt %0, %1, %2, lsl #16")
BINARY(pkhbt, "pkhbt %0, %1, %2")
BINARY(pkhtb_high, "pkhtb %0, %2, %1, asr #16")

/* The larger of each byte, the smaller. In one piece: SEL reads the flags that the subtraction sets, and both operands
 * once more, so that the difference needs a register of its own. */
#define CHOICE(name, chosen)                                   \
    INSTRUCTION uint32_t name(uint32_t a, uint32_t b)          \
    {                                                          \
        uint32_t y, difference;                                \
        __asm__("ssub8 %1, %2, %3\n\tsel %0, " chosen         \
                : "=r"(y), "=&r"(difference)                   \
                : "r"(a), "r"(b));                             \
        return y;                                              \
    }

CHOICE(max_s8, "%2, %3")
CHOICE(min_s8, "%3, %2")

#define PRODUCT(name)                                          \
    INSTRUCTION int32_t name(uint32_t a, uint32_t b)           \
    {                                                          \
        int32_t y;                                             \
        __asm__(#name " %0, %1, %2" : "=r"(y) : "r"(a), "r"(b)); \
        return y;                                              \
    }

/* a.low * b.low; a.low * b.high; a.high * b.high */
PRODUCT(smulbb)
PRODUCT(smulbt)
PRODUCT(smultt)

#undef PRODUCT
#undef CHOICE
#undef UNARY
#undef BINARY

/* sum + a.low * b.low + a.high * b.high */
INSTRUCTION int32_t smlad(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t y;

    __asm__("smlad %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(sum));
    return y;
}

/* sum + a.low * b.low; sum + a.low * b.high */
INSTRUCTION int32_t smlabb(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t y;

    __asm__("smlabb %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(sum));
    return y;
}

INSTRUCTION int32_t smlabt(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t y;

    __asm__("smlabt %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(sum));
    return y;
}

/* a.low * b.low + a.high * b.high */
INSTRUCTION int32_t smuad(uint32_t a, uint32_t b)
{
    int32_t y;

    __asm__("smuad %0, %1, %2" : "=r"(y) : "r"(a), "r"(b));
    return y;
}

/* sum + the upper word of a * b */
INSTRUCTION int32_t smmla(int32_t a, int32_t b, int32_t sum)
{
    int32_t y;

    __asm__("smmla %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(sum));
    return y;
}

/* sum + the upper word of a * b + 2^31 */
INSTRUCTION int32_t smmlar(int32_t a, int32_t b, int32_t sum)
{
    int32_t y;

    __asm__("smmlar %0, %1, %2, %3" : "=r"(y) : "r"(a), "r"(b), "r"(sum));
    return y;
}

/* the upper word of a * b + 2^31 */
INSTRUCTION int32_t smmulr(int32_t a, int32_t b)
{
    int32_t y;

    __asm__("smmulr %0, %1, %2" : "=r"(y) : "r"(a), "r"(b));
    return y;
}

/* a saturated to [-128, 127], to [0, 255] */
INSTRUCTION int32_t ssat8(int32_t a)
{
    int32_t y;

    __asm__("ssat %0, #8, %1" : "=r"(y) : "r"(a));
    return y;
}

INSTRUCTION int32_t usat8(int32_t a)
{
    int32_t y;

    __asm__("usat %0, #8, %1" : "=r"(y) : "r"(a));
    return y;
}

/* a >> 22, saturated to [0, 255] */
INSTRUCTION int32_t usat8_asr22(int32_t a)
{
    int32_t y;

    __asm__("usat %0, #8, %1, asr #22" : "=r"(y) : "r"(a));
    return y;
}

/* Four bytes at any address: one instruction, also where the compiler may take no function for a known one. */
INSTRUCTION uint32_t load_word(const void *from)
{
    uint32_t word;

    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

INSTRUCTION void store_word(void *to, uint32_t word)
{
    __builtin_memcpy(to, &word, sizeof word);
}

#undef INSTRUCTION

#endif
