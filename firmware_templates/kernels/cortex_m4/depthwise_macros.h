/* GNU as macros that the depthwise kernels share: how bytes of four channels become pairs of int16. */
#ifndef KERNELS_DEPTHWISE_MACROS_H
#define KERNELS_DEPTHWISE_MACROS_H

/* Bits behind the point where a scaled sum is rounded, and what marks a channel whose sums are not scaled but shifted;
 * as pipeline/kernels/cortex_m4/depthwise.py has them. */
    .equ FRACTION, 10
    .equ ANY_SHIFT, 0x80

    .macro words_of base, step, next
    str    r9, [\base, #\step]
    str    r10, [\base, #2 * \step]
    str    r11, [\base, #3 * \step]
    str    r8, [\base], #\next
    .endm

/* One position of four channels: of each a word, with the int16 of two places of the input. `step` bytes lie between
 * channels, `next` between positions. */
    .macro lay_position step, next, twice
    ldr    r8, [r4]
    ldr    r9, [r5]
    add    r4, r4, r6
    add    r5, r5, r7
    pkhtb  r10, r9, r8, asr #16
    pkhbt  r8, r8, r9, lsl #16
    sxtb16 r11, r10, ror #8
    sxtb16 r10, r10
    sxtb16 r9, r8, ror #8
    sxtb16 r8, r8
    words_of r2, \step, \next
    .if    \twice
    words_of r3, \step, \next
    .endif
    .endm

/* r12 positions, two a round; the loop is entered in the middle for an odd number. r2 where they go, r3 where they go
 * as well, r4 and r5 bytes of both places, r6 and r7 their steps, r8 to r11 temporary. */
    .macro lay_positions step, next, twice
    subs   r12, r12, #1
    lsrs   r12, r12, #1
    bcc.w  2f
    .balign 4
1:  lay_position \step, \next, \twice
2:  lay_position \step, \next, \twice
    subs   r12, r12, #1
    bpl.w  1b
    .endm

#endif
