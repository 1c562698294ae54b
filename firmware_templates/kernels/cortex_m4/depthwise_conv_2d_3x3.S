/* One channel of a row of DEPTHWISE_CONV_2D, 3 x 3:
 *
 *   void depthwise_conv_2d_3x3_channel(const void *column, const struct depthwise_conv_2d_3x3_filter *filter,
 *                                      int8_t *y, const struct depthwise_conv_2d_3x3_row *row)
 *
 * Weights lie in the filter so that SXTB16 makes the pairs of them. They are doubled, and with them the sums, so that
 *
 *   SMMLAR(2 * sum, m, c) = floor((sum * m + 2^30) / 2^31) + c
 *
 * is the first rounding of the reference; a shift to the right by s, with 2^(s - 1) in c, is the second, half up, and
 * half away from zero takes one off below zero (for a sum that is rescaled to zero that changes nothing). Output
 * zero point and floor stand in c as well: USAT cuts at the floor. That no sum leaves int32 the generator proves.
 *
 * In the loop: r0 columns, r1 output, r2 its end, r3 to r5 weights of the first two rows by column, r6 the first two
 * of the third row, r7 its last, r8 start of the sum, r9 multiplier, r10 and r11 a column, r12 the sum, lr c.
 */
    .syntax unified
    .thumb
    .section .ramcode, "ax", %progbits

    .equ Y_STEP, 0              /* struct depthwise_conv_2d_3x3_row, copied to the stack */
    .equ X_STEP, 4
    .equ SHIFT, 8               /* less 1 */
    .equ FLOOR, 12              /* both plus 128 */
    .equ CEILING, 16
    .equ FRAME, 20

    .equ COLUMN, 32             /* bytes of a column: four channels */

/* All outputs of the row, `stride` bytes of columns apart (0: X_STEP of them). UQADD8 saturates at a ceiling of 127. */
    .macro outputs stride, clamped
    .balign 4
1:
    .if    \stride
    ldrd   r10, r11, [r0], #\stride
    .else
    ldrd   r10, r11, [r0]
    .endif
    smlad  r12, r10, r3, r8
    smlabb r12, r11, r6, r12
    .if    \stride
    ldrd   r10, r11, [r0, #COLUMN - \stride]
    .else
    ldrd   r10, r11, [r0, #COLUMN]
    .endif
    smlad  r12, r10, r4, r12
    smlabt r12, r11, r6, r12
    .if    \stride
    ldrd   r10, r11, [r0, #2 * COLUMN - \stride]
    .else
    ldrd   r10, r11, [r0, #2 * COLUMN]
    .endif
    smlad  r12, r10, r5, r12
    smlabb r12, r11, r7, r12
    add    r10, lr, r12, asr #31
    smmlar r12, r12, r9, r10
    ldr    r10, [sp, #SHIFT]
    ldr    r11, [sp, #FLOOR]
    asr    r12, r12, r10
    usat   r12, #8, r12, asr #1
    uqadd8 r12, r12, r11
    .if    \clamped
    ldr    r11, [sp, #CEILING]
    ldr    r10, [sp, #X_STEP]
    cmp    r12, r11
    it     gt
    movgt  r12, r11
    add    r0, r0, r10
    .endif
    ldr    r10, [sp, #Y_STEP]
    eor    r12, r12, #0x80
    strb   r12, [r1]
    add    r1, r1, r10
    cmp    r1, r2
    bne    1b
    b      done
    .endm

    .balign 4
    .global depthwise_conv_2d_3x3_channel
    .thumb_func
    .type  depthwise_conv_2d_3x3_channel, %function
depthwise_conv_2d_3x3_channel:
    push   {r4-r11, lr}
    sub    sp, #FRAME
    ldm    r3, {r4, r5, r6, r7}         /* steps, zero point, bytes */
    strd   r4, r5, [sp, #Y_STEP]
    ldm    r1, {r8, r9, r10, r11, r12}
    mov    r1, r2
    add    r2, r2, r7
    uxtb   r4, r12, ror #8
    str    r4, [sp, #SHIFT]
    uxtb   r5, r12, ror #16
    str    r5, [sp, #FLOOR]
    lsr    r3, r12, #24
    str    r3, [sp, #CEILING]
    subs   r6, r6, r5
    lsls   r6, r6, #1
    adds   r6, r6, #1
    lsl    lr, r6, r4                   /* (2 * (zero point - floor) + 1) * 2^(s - 1) */
    sxtb16 r3, r10
    sxtb16 r4, r10, ror #8
    sxtb16 r5, r11
    sxtb16 r6, r11, ror #8
    sxtb   r7, r12
    sadd16 r3, r3, r3
    sadd16 r4, r4, r4
    sadd16 r5, r5, r5
    sadd16 r6, r6, r6
    lsls   r7, r7, #1
    ldr    r10, [sp, #X_STEP]
    ldr    r11, [sp, #CEILING]
    cmp    r11, #255
    bne    any_ceiling
    cmp    r10, #COLUMN
    bne    two_columns
    outputs COLUMN, 0
two_columns:
    outputs 2 * COLUMN, 0
any_ceiling:
    outputs 0, 1
done:
    add    sp, #FRAME
    pop    {r4-r11, pc}
    .size  depthwise_conv_2d_3x3_channel, . - depthwise_conv_2d_3x3_channel
