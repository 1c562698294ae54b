/* The inner loop of FULLY_CONNECTED: four outputs, a word of four inputs at a time, then their rescaling.
 *
 *   const int32_t *fully_connected_pairs_groups(const struct fully_connected_pairs_job *job, const int32_t *weights)
 *
 * returns where the weights of the next part begin. r0 the widened inputs, r1 the weights, r2 to r5 the sums, r6 to r9
 * four words of weights, r10 and r11 the inputs (x1, x3) and (x0, x2), r12 a sum of both, lr where the inputs end.
 *
 * A step takes 14 instructions and 20 cycles for 16 products.
 */
    .syntax unified
    .thumb
    .section .ramcode, "ax", %progbits

/* struct fully_connected_pairs_job, copied to the stack */
    .equ X, 0
    .equ X_END, 4
    .equ ENTRY, 8               /* into the loop */
    .equ NEXT, 12               /* behind it: one of the routines below */
    .equ PAIRS, 16              /* what all sums are too large by */
    .equ FROM, 20               /* the next group's starting values */
    .equ LEFT, 24               /* outputs */
    .equ Y, 28
    .equ MULTIPLIER, 32         /* and the step to the next group's */
    .equ ROUNDING, 40           /* and SHIFT */
    .equ ABOVE, 48              /* and BASE */
    .equ FRAME, 56

    .equ UNROLLED, 8

    .macro product sum, w
    sxtab16 r12, r10, \w                /* x1 + w0, x3 + w2 */
    sxtab16 \w, r11, \w, ror #8         /* x0 + w1, x2 + w3 */
    smlad   \sum, r12, \w, \sum
    .endm

    .macro function name
    .global \name
    .thumb_func
    .type \name, %function
\name:
    .endm

    .balign 4
    function fully_connected_pairs_groups
    push    {r4-r11, lr}
    sub     sp, #FRAME
    ldm     r0!, {r2-r8}
    stm     sp, {r2-r8}
    ldm     r0, {r2-r8}
    add     r0, sp, #FRAME / 2
    stm     r0, {r2-r8}
    ldr     lr, [sp, #X_END]

.Lgroup:
    ldr     r12, [sp, #FROM]            /* loads in a row take a cycle each but for the first */
    ldr     r6, [sp, #PAIRS]
    ldr     r0, [sp, #X]
    ldm     r12!, {r2-r5}
    str     r12, [sp, #FROM]
    subs    r2, r6
    subs    r3, r6
    subs    r4, r6
    subs    r5, r6
    ldr     pc, [sp, #ENTRY]

    .balign 4
.Lloop:
    .rept UNROLLED                      /* STEP_BYTES each: no short forms */
    ldmia.w r1!, {r6-r9}
    ldrd    r10, r11, [r0], #8
    product r2, r6
    product r3, r7
    product r4, r8
    product r5, r9
    .endr
    function fully_connected_pairs_end
    cmp     r0, lr
    bne     .Lloop
    ldr     r0, [sp, #Y]                /* also where sums are kept */
    ldr     pc, [sp, #NEXT]

/* Sums wait for the next part of the inputs. */
    function fully_connected_pairs_keep
    stm     r0!, {r2-r5}
    ldr     r3, [sp, #LEFT]
    subs    r3, #4
    b       .Lnext

    function fully_connected_pairs_rescale
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
    ldr     r3, [sp, #LEFT]
    orr     r2, r2, r4, lsl #16
    uqadd8  r2, r2, r10                 /* cut at maximum */
    uadd8   r2, r2, r11
    subs    r3, #4
    blt     .Lrest
    str     r2, [r0], #4
.Lnext:
    str     r3, [sp, #LEFT]
    str     r0, [sp, #Y]
    bgt     .Lgroup
.Lend:
    mov     r0, r1
    add     sp, #FRAME
    pop     {r4-r11, pc}

.Lrest:                                 /* r3: 4 less than the outputs that are left */
    adds    r3, #4
1:  strb    r2, [r0], #1
    lsrs    r2, #8
    subs    r3, #1
    bgt     1b
    b       .Lend
    .size fully_connected_pairs_groups, . - fully_connected_pairs_groups
