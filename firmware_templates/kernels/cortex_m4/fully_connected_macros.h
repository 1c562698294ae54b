/* The inner loop of FULLY_CONNECTED: four outputs, a word of four inputs at a time, then their rescaling.
 *
 *   void <kernel>_groups(const struct fully_connected_job *job, const int32_t *weights)
 *
 * r0 the inputs, r1 the weights, r2 to r5 the sums, r6 to r9 four words of weights, r10 and r11 the inputs (x1, x3) and
 * (x0, x2), r12 a sum of both, lr where the inputs end. A kernel defines `step`, which loads r6 to r11 and has `products`
 * behind it, and calls `groups`.
 */
    .syntax unified
    .thumb
    .section .ramcode, "ax", %progbits

/* struct fully_connected_job, copied to the stack */
    .equ X, 0
    .equ X_END, 4
    .equ ENTRY, 8
    .equ PAIRS, 12              /* what all sums are too large by */
    .equ BIAS, 16               /* the next group's */
    .equ LEFT, 20               /* outputs */
    .equ Y, 24
    .equ MULTIPLIER, 28         /* and the step to the next group's */
    .equ ROUNDING, 36           /* and SHIFT */
    .equ ABOVE, 44              /* and BASE */
    .equ FRAME, 52

    .macro product sum, w
    sxtab16 r12, r10, \w                /* x1 + w0, x3 + w2 */
    sxtab16 \w, r11, \w, ror #8         /* x0 + w1, x2 + w3 */
    smlad   \sum, r12, \w, \sum
    .endm

    .macro products
    product r2, r6
    product r3, r7
    product r4, r8
    product r5, r9
    .endm

    .macro groups kernel, unrolled
    .balign 4
    .global \kernel\()_groups
    .thumb_func
    .type \kernel\()_groups, %function
\kernel\()_groups:
    push    {r4-r11, lr}
    sub     sp, #FRAME
    ldm     r0!, {r2-r8}
    stm     sp, {r2-r8}
    ldm     r0, {r2-r7}
    add     r0, sp, #28
    stm     r0, {r2-r7}
    ldr     lr, [sp, #X_END]

.Lgroup:
    ldr     r12, [sp, #BIAS]            /* loads in a row take a cycle each but for the first */
    ldr     r6, [sp, #PAIRS]
    ldr     r0, [sp, #X]
    ldm     r12!, {r2-r5}
    str     r12, [sp, #BIAS]
    subs    r2, r6
    subs    r3, r6
    subs    r4, r6
    subs    r5, r6
    ldr     pc, [sp, #ENTRY]

    .balign 4
.Lloop:
    .rept \unrolled
    step
    .endr
    .global \kernel\()_end
    .thumb_func
    .type \kernel\()_end, %function
\kernel\()_end:
    cmp     r0, lr
    bne     .Lloop

    ldrd    r10, r11, [sp, #MULTIPLIER]
    ldm     r10, {r6-r9}
    add     r10, r11
    str     r10, [sp, #MULTIPLIER]
    ldrd    r10, r11, [sp, #ROUNDING]
    smmla   r2, r2, r6, r10
    smmla   r3, r3, r7, r10
    smmla   r4, r4, r8, r10
    smmla   r5, r5, r9, r10
    asr     r2, r2, r11
    asr     r3, r3, r11
    asr     r4, r4, r11
    asr     r5, r5, r11
    usat    r2, #8, r2                  /* y - minimum */
    usat    r3, #8, r3
    usat    r4, #8, r4
    usat    r5, #8, r5
    ldrd    r10, r11, [sp, #ABOVE]
    orr     r2, r2, r3, lsl #8
    orr     r4, r4, r5, lsl #8
    ldrd    r3, r0, [sp, #LEFT]         /* and Y */
    orr     r2, r2, r4, lsl #16
    uqadd8  r2, r2, r10                 /* cut at maximum */
    uadd8   r2, r2, r11
    subs    r3, #4
    blt     .Lrest
    str     r2, [r0], #4
    strd    r3, r0, [sp, #LEFT]
    bgt     .Lgroup
.Ldone:
    add     sp, #FRAME
    pop     {r4-r11, pc}

.Lrest:                                 /* r3: 4 less than the outputs that are left */
    adds    r3, #4
1:  strb    r2, [r0], #1
    lsrs    r2, #8
    subs    r3, #1
    bgt     1b
    b       .Ldone
    .size \kernel\()_groups, . - \kernel\()_groups
    .endm
