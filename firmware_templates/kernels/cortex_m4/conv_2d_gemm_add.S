/* The store of conv_2d_gemm that adds a residual, which lies where the results go.
 *
 * A result q of the convolution is rounded to int8; with the residual r, f * q + g * r + c of ADD's factors and constant
 * is ADD's result above 22 bits, which the generator has tried for all q and r. Saturating is all that is clamped.
 *
 * Records end with the multipliers of both channels. Behind all records stand f, g and c, and then, of each channel,
 *
 *   uint8  right shift less one
 *
 * Of a block's pixels the last may be there several times: all residuals are read before anything is stored.
 */
#include "gemm_macros.h"

/* What conv_2d_gemm.S keeps on the stack. */
    .equ CHANNEL, 8
    .equ START, 16              /* 2 * output zero point + 1: nothing is taken off */
    .equ Y, 28
    .equ BEHIND, 48
    .equ NEXT, 56

    .equ SHIFTS, 12             /* behind f, g and c */
    .equ ADD_SHIFT, 22

/* As `requantize` of gemm_macros.h, with signs. In: lr START, r12 begins with the shift less one. */
    .macro round_to_int8 multiplier, sums:vararg
    lsl    lr, lr, r12
    .irp   sum, \sums
    add    r0, lr, \sum, asr #31
    smmlar \sum, \sum, \multiplier, r0
    asr    \sum, \sum, r12
    ssat   \sum, #8, \sum, asr #1
    .endr
    .endm

/* Both channels of a pixel, from the halves of what is loaded at its place: r10 f, r12 g, lr c. */
    .macro add_residual a, b, residuals, low, high
    sxtb   r1, \residuals, ror #\low
    mla    \a, \a, r10, lr
    mla    \b, \b, r10, lr
    mla    \a, r1, r12, \a
    sxtb   r1, \residuals, ror #\high
    mla    \b, r1, r12, \b
    ssat   \a, #8, \a, asr #ADD_SHIFT
    ssat   \b, #8, \b, asr #ADD_SHIFT
    bfi    \a, \b, #8, #8
    .endm

    routine conv_2d_gemm_add_store
    ldr    r0, [sp, #BEHIND]
    ldr    r12, [sp, #CHANNEL]
    ldr    lr, [sp, #START]
    ldr    r10, [r1], #4
    ldr    r11, [r1], #4
    add    r12, r12, r0
    ldrh   r12, [r12, #SHIFTS]
    round_to_int8 r10, r2, r4, r6, r8
    ldr    lr, [sp, #START]
    lsrs   r12, r12, #8
    round_to_int8 r11, r3, r5, r7, r9
    push   {r1}
    ldr    lr, [sp, #CHANNEL + 4]
    ldr    r0, [sp, #Y + 4]
    ldr    r1, [sp, #Y + 8]
    ldr    r10, [sp, #Y + 12]
    ldr    r11, [sp, #Y + 16]
    ldrh   r0, [r0, lr]
    ldrh   r1, [r1, lr]
    ldrh   r10, [r10, lr]
    ldrh   r11, [r11, lr]
    orr    r0, r0, r1, lsl #16
    orr    r11, r10, r11, lsl #16
    ldr    lr, [sp, #BEHIND + 4]
    ldr    r10, [lr]
    ldr    r12, [lr, #4]
    ldr    lr, [lr, #8]
    add_residual r2, r3, r0, 0, 8
    add_residual r4, r5, r0, 16, 24
    add_residual r6, r7, r11, 0, 8
    add_residual r8, r9, r11, 16, 24
    pop    {r1}
    ldr    lr, [sp, #CHANNEL]
    ldr    r3, [sp, #Y]
    ldr    r5, [sp, #Y + 4]
    ldr    r7, [sp, #Y + 8]
    ldr    r9, [sp, #Y + 12]
    strh   r2, [r3, lr]
    strh   r4, [r5, lr]
    strh   r6, [r7, lr]
    strh   r8, [r9, lr]
    ldr    pc, [sp, #NEXT]
    .size  conv_2d_gemm_add_store, . - conv_2d_gemm_add_store
    .end
