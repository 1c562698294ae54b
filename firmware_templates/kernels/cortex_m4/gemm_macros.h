/* GNU as macros that the kernels of four pixels times two channels share: a step of their inner loops, and what
 * becomes of the sums.
 *
 * Sums stand doubled in r2 to r9: pixel 0 channel o, o + 1, pixel 1 ... The file that includes this defines START,
 * ABOVE and CHANNEL, offsets from sp of
 *
 *   START    2 * (output zero point + 128) + 1
 *   ABOVE    127 - ceiling, and in the next word ceiling + 1; a byte for each channel of the pair, twice
 *   CHANNEL  of the pair, as an offset from the pointers of the pixels
 */
#ifndef KERNELS_GEMM_MACROS_H
#define KERNELS_GEMM_MACROS_H

#include "routine.h"

/* Two taps of four pixels and two channels: r0 pixels, r1 weights, r10 and r11 weights of both channels, r12 and lr
 * two pixels. 17 cycles; single loads would take 16, and two instructions more. */
    .macro load_int16
    ldrd   r10, r11, [r1], #8
    ldrd   r12, lr, [r0], #8
    .endm

    .macro step load
    \load
    smlad  r2, r10, r12, r2
    smlad  r3, r11, r12, r3
    smlad  r4, r10, lr, r4
    smlad  r5, r11, lr, r5
    ldrd   r12, lr, [r0], #8
    smlad  r6, r10, r12, r6
    smlad  r7, r11, r12, r7
    smlad  r8, r10, lr, r8
    smlad  r9, r11, lr, r9
    .endm
    .equ   STEP_INT16_BYTES, 44

/* Requantization. Of each doubled sum, with multiplier m and shift s,
 *
 *   SMMLAR(2 * sum, m, c) = x + c,   x = floor((sum * m + 2^30) / 2^31)
 *
 * is the first rounding of the reference, exactly. With c = (2 * (zero point - floor) + 1) * 2^(s - 1) the shift to
 * the right is the second, half up, the zero point added and the floor taken off: USAT then cuts at the floor. For
 * a negative x, half away from zero is half up of x - 1 (`signed`); where no floor lies below the zero point, all
 * such results are cut anyway. The sign of the sum may stand for that of x: they differ for x = 0 only, which is
 * rounded to zero both ways (s > 0). */
    .macro requantize signed, multiplier, sums:vararg
    uxtb   lr, r12, ror #16             /* floor + 128 */
    sub    lr, r0, lr, lsl #1
    requantize_above \signed, \multiplier, \sums
    .endm

/* In: lr 2 * (zero point - floor) + 1. Where the reference rounds once (`signed` is ONCE), the first rounding is left
 * out: floors nest, so that what is left rounds half up. */
    .equ   ONCE, 2

    .macro requantize_above signed, multiplier, sums:vararg
    lsl    lr, lr, r12                  /* by its lowest byte, s - 1 */
    .irp   sum, \sums
    .if    \signed == ONCE
    smmla  \sum, \sum, \multiplier, lr
    .elseif \signed
    add    r0, lr, \sum, asr #31
    smmlar \sum, \sum, \multiplier, r0
    .else
    smmlar \sum, \sum, \multiplier, lr
    .endif
    asr    \sum, \sum, r12
    usat   \sum, #8, \sum, asr #1
    .endr
    .endm

/* From here on r10 is the floors of both channels, twice, and r12 begins with the second channel's shift. */
    .macro second_channel signed
    pkhtb  r10, r12, r12, asr #16
    lsr    r12, r12, #8
    .if    \signed
    ldr    r0, [sp, #START]
    .endif
    .endm

/* All eight sums, to four bytes in r2 (pixels 0 and 1) and four in r6. In: r0 START, r10 and r11 the multipliers, r12
 * shifts (less one) and floors (plus 128), a byte each. */
    .macro requantize_pairs signed
    requantize \signed, r10, r2, r4, r6, r8
    second_channel \signed
    requantize \signed, r11, r3, r5, r7, r9
    pack_pairs
    .endm

    .macro pack_pairs
    orr    r2, r2, r3, lsl #8
    orr    r4, r4, r5, lsl #8
    orr    r6, r6, r7, lsl #8
    orr    r8, r8, r9, lsl #8
    orr    r2, r2, r4, lsl #16
    orr    r6, r6, r8, lsl #16
    .endm

/* The same in two instructions a sum, where no floor lies below the zero point. With weights times 2^k,
 * A = 2^(k + 1) * sum, and the shift S = s + k the same for all channels,
 *
 *   SMMLA(A, m, c) >> S = floor((sum * m + c * 2^(31 - k)) / 2^(31 + s))
 *
 * as floors nest; with c = 2^(S - 1) + 2^(k - 1) + (zero point - floor) * 2^S these are both roundings, half up.
 * In: r10 and r11 the multipliers, r12 and lr c of both channels. */
    .equ   SCALED_SHIFT, 13

    .macro requantize_scaled saturate
    .irp   sum, r2, r4, r6, r8
    smmla  \sum, \sum, r10, r12
    \saturate \sum, #8, \sum, asr #SCALED_SHIFT
    .endr
    .irp   sum, r3, r5, r7, r9
    smmla  \sum, \sum, r11, lr
    \saturate \sum, #8, \sum, asr #SCALED_SHIFT
    .endr
    .endm

/* Clamps the bytes four at a time, UQADD8 saturating where the ceiling was, and stores them; r3, r4, r5, r7 where the
 * pixels go, r11 and r12 the words at ABOVE, lr the channel. */
    .macro store_pairs
    add    r10, r10, r11
    store_clamped
    .endm

/* r10: floor + 128 and 127 - ceiling, already added. */
    .macro store_clamped
    uqadd8 r2, r2, r10
    uqadd8 r6, r6, r10
    uadd8  r2, r2, r12
    uadd8  r6, r6, r12
    strh   r2, [r3, lr]
    lsrs   r2, r2, #16
    strh   r2, [r4, lr]
    strh   r6, [r5, lr]
    lsrs   r6, r6, #16
    strh   r6, [r7, lr]
    .endm

#endif
