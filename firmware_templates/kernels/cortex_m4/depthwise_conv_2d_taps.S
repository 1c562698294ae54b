/* DEPTHWISE_CONV_2D of any kind, one output pixel:
 *
 *   void depthwise_conv_2d_taps_pixel(const struct pixel *pixel)
 *
 * The pixel's taps are given by a list of pointers, an even number. Four channels at a time: two taps are two words of
 * bytes, which PKHBT, PKHTB and SXTB16 turn into a word for each channel, with the int16 of both taps. Weights lie so
 * that SXTB16 pairs them likewise. Of each four channels there is a record:
 *
 *   int32  starts of the sums
 *   for each two taps a and b, int8  a0 a1 b0 b1, a2 a3 b2 b3
 *   for each channel  int32 multiplier; uint8 shift to the right, less one; at the upper half int16 2 * zero point + 1
 *
 * With a sum A doubled, SMMULR(A, m) is x, the first rounding of the reference; x - 1 for a negative x rounds halves
 * away from zero. A shift by all but one bit, twice the zero point and 1 added, and the last bit shifted out by SSAT
 * are the second rounding.
 *
 * r0 list, r1 record, r2 channel, r3 to r6 sums, r7 to r12 temporary, lr end of the list.
 */
    .syntax unified
    .thumb
    .section .ramcode, "ax", %progbits

    .equ LIST, 0                /* struct pixel, copied to the stack */
    .equ LIST_END, 4
    .equ FILTERS, 8
    .equ Y, 12
    .equ CHANNELS, 16
    .equ CLAMPS, 20
    .equ LARGEST, 24
    .equ DONE, 28               /* channels before these four */
    .equ FRAME, 32

    .macro two_taps
    ldrd   r7, r8, [r0], #8
    ldrd   r9, r10, [r1], #8
    ldr    r7, [r7, r2]
    ldr    r8, [r8, r2]
    pkhtb  r12, r8, r7, asr #16
    pkhbt  r11, r7, r8, lsl #16
    sxtb16 r7, r11
    sxtb16 r8, r9
    smlad  r3, r7, r8, r3
    sxtb16 r7, r11, ror #8
    sxtb16 r8, r9, ror #8
    smlad  r4, r7, r8, r4
    sxtb16 r7, r12
    sxtb16 r8, r10
    smlad  r5, r7, r8, r5
    sxtb16 r7, r12, ror #8
    sxtb16 r8, r10, ror #8
    smlad  r6, r7, r8, r6
    .endm

    .macro requantize sum
    ldrd   r7, r8, [r1], #8
    lsls   \sum, \sum, #1
    asrs   r9, r8, #16
    smmulr \sum, \sum, r7
    add    \sum, \sum, \sum, asr #31
    asr    \sum, \sum, r8
    add    \sum, \sum, r9
    ssat   \sum, #8, \sum, asr #1
    .endm

    .balign 4
    .global depthwise_conv_2d_taps_pixel
    .thumb_func
    .type  depthwise_conv_2d_taps_pixel, %function
depthwise_conv_2d_taps_pixel:
    push   {r4-r11, lr}
    sub    sp, #FRAME
    ldm    r0, {r3-r9}
    movs   r10, #0
    stm    sp, {r3-r10}
    mov    r1, r5
four:
    ldr    r7, [sp, #DONE]
    ldr    r2, [sp, #CHANNELS]
    ldr    r0, [sp, #LIST]
    ldr    lr, [sp, #LIST_END]
    subs   r2, r2, #4                   /* the last channels overlap where no full four are left */
    cmp    r2, r7
    it     gt
    movgt  r2, r7
    ldm    r1!, {r3-r6}
    .balign 4
taps:
    two_taps
    cmp    r0, lr
    bne    taps
    requantize r3
    requantize r4
    requantize r5
    requantize r6
    bfi    r3, r4, #8, #8
    bfi    r5, r6, #8, #8
    pkhbt  r3, r3, r5, lsl #16
    ldr    r7, [sp, #CLAMPS]
    ldr    r4, [sp, #Y]
    cbz    r7, 1f
    ldr    r5, [r7], #4
    ldr    r6, [r7], #4
    str    r7, [sp, #CLAMPS]
    eor    r3, r3, #0x80808080
    uqsub8 r3, r3, r5
    uqadd8 r3, r3, r6
    eor    r3, r3, #0x80808080
1:  ldr    r7, [sp, #LARGEST]
    cbz    r7, 2f
    ldr    r5, [r4, r2]
    ssub8  r6, r3, r5
    sel    r3, r3, r5
2:  str    r3, [r4, r2]
    ldr    r7, [sp, #DONE]
    ldr    r5, [sp, #CHANNELS]
    adds   r7, r7, #4
    str    r7, [sp, #DONE]
    cmp    r7, r5
    blt    four
    add    sp, #FRAME
    pop    {r4-r11, pc}
    .size  depthwise_conv_2d_taps_pixel, . - depthwise_conv_2d_taps_pixel
    .end
