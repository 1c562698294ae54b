/* GNU as macros that the Winograd kernels share.
 *
 * multiply_positions: the products of transformed tiles with transformed weights, summed over input channels,
 * for 4 tiles and 2 output channels at a time, position by position of the transformed tile:
 *
 *     m[position][tile][o] = u[position].start[o] + sum over k of u[position][k][o] . v[k][position][tile]
 *
 * modulo 2^32, where k counts words of two input channels and . is SMLAD. A position takes 11 instructions and
 * 17 cycles for each k: eight SMLAD, and three LDRD for the four V and two U words. (Single loads for the first two
 * of these would take one cycle less, and two instructions more.) The first k also brings the start, in one group of loads with it. The loop over the
 * other k is entered in the middle, so that every number of them can be done.
 */
#ifndef KERNELS_WINOGRAD_MACROS_H
#define KERNELS_WINOGRAD_MACROS_H

    .syntax unified
    .thumb

    .macro begin_function name
    .section .ramcode.\name, "ax", %progbits
    .balign 4
    .global \name
    .thumb_func
    .type \name, %function
\name:
    .endm

    .macro end_function name
    .size \name, . - \name
    .endm

    /* A place within a function that is jumped to from elsewhere. */
    .macro entry name
    .global \name
    .thumb_func
    .type \name, %function
\name:
    .endm

    /* A form: what makes bytes of a tile's sums, jumped to from what all forms share, which it is the entry of as well.
     * A section of its own, so that the linker leaves out the forms that no layer has. */
    .macro begin_form size, form
    begin_function conv_2d_winograd\size\()_\form
    adr  r12, .L\form + 1
    b.w  conv_2d_winograd\size\()_output
    .balign 4
.L\form:
    .endm

    /* A row of G w, to T[row][column]; a row of U, to where its columns go. */
    .macro store_t row, register
    str  \register, [sp, #COLUMN + 12 * \row]
    .endm

    .macro store_u column, register
    .if  \column == 0
    str  \register, [r1]
    .elseif \column == 1
    str  \register, [r1, r3]
    .elseif \column == 2
    str  \register, [r1, r3, lsl #1]
    .elseif \column == 3
    str  \register, [r6]
    .elseif \column == 4
    str  \register, [r6, r3]
    .else
    str  \register, [r6, r3, lsl #1]
    .endif
    .endm

    /* void name(const int8_t *w, uint32_t *u, int32_t channels, int32_t step): U = G w G^T of a filter, `size` rows and
     * columns of it, by the kernel's `transform_filter` of three taps.
     * w: [channels / 4][3][3][4]; u: the filter's first word in position 0; step: bytes from one position to the next.
     * r0: w; r1: U; r2: channels left; r3: step; r4 to r6: a column of w; then r4: T, r5: three steps, r6: U three columns
     * on, r12: end of T. On the stack: T[parity][row][column]: bytes 0, 2 of the four channels, or 1, 3. */
    .macro made_weights name, size
    .equ PARITY_BYTES, 12 * \size
    begin_function \name
    push {r4-r11, lr}
    sub  sp, #2 * PARITY_BYTES
    .balign 4
.Lchannels_\name:
    .irp column, 0, 1, 2
    ldr  r4, [r0, #4 * \column]
    ldr  r5, [r0, #4 * \column + 12]
    ldr  r6, [r0, #4 * \column + 24]
    .irp parity, 0, 1
    .equ COLUMN, 4 * \column + PARITY_BYTES * \parity
    sxtb16 r7, r4, ror #8 * \parity
    sxtb16 r8, r5, ror #8 * \parity
    sxtb16 r9, r6, ror #8 * \parity
    transform_filter store_t
    .endr
    .endr
    adds r0, #36
    mov  r4, sp
    add  r5, r3, r3, lsl #1
    add  r12, r4, #PARITY_BYTES
    .balign 4
.Lrows_\name:
    .rept 2
    ldm  r4!, {r7-r9}
    add  r6, r1, r5
    transform_filter store_u
    .if  \size == 6
    add  r1, r6, r5
    .else
    add  r1, r6, r3
    .endif
    .endr
    cmp  r4, r12
    bne  .Lrows_\name
    .if  \size == 6
    sub  r1, r1, r5, lsl #3         /* 36 steps */
    sub  r1, r1, r5, lsl #2
    .else
    sub  r1, r1, r3, lsl #4
    .endif
    adds r1, #8
    add  r12, r12, #PARITY_BYTES
    add  r6, sp, #3 * PARITY_BYTES
    cmp  r12, r6
    bne  .Lrows_\name
    subs r2, #4
    bne.w .Lchannels_\name
    add  sp, #2 * PARITY_BYTES
    pop  {r4-r11, pc}
    end_function \name
    .endm

    /* One k. r0: V, r1: U; r2, r3: U of both channels; r4, r5: V of two tiles;
     * (r6, r7), (r8, r9), (r10, r11), (r12, lr): sums of tile 0, 1, 2, 3. */
    .macro multiply_step stride
    ldrd  r2, r3, [r1], #8
    ldrd  r4, r5, [r0, #8]
    smlad r10, r2, r4, r10
    smlad r11, r3, r4, r11
    smlad r12, r2, r5, r12
    smlad lr, r3, r5, lr
    ldrd  r4, r5, [r0], #\stride
    smlad r6, r2, r4, r6
    smlad r7, r3, r4, r7
    smlad r8, r2, r5, r8
    smlad r9, r3, r5, r9
    .endm
    .equ MULTIPLY_STEP_BYTES, 44
    .equ MULTIPLY_STEPS, 16

    /* void name(const int32_t *v, const int32_t *u, int32_t *m, int32_t steps): steps even.
     * V is [k][position][tile], U [position]{start[2], [k][2]}.
     * On the stack: where M is written next, from the end of V's positions back to the next one, end of M, where a
     * position goes on behind its first step, further rounds of the loop for a position, rounds left, entry to the
     * loop. Products leave the flags alone: C says in the loop whether another round follows. The end of a position
     * clears it, as long as another position follows, so that one round needs no count. */
    .macro multiply_positions name, positions
    .equ STRIDE, 16 * \positions
    begin_function \name
    push {r4-r11, lr}
    sub  sp, #28
    subs r4, r3, #1                 /* the first step stands before the loop */
    rsbs r5, r4, #0
    and  r5, r5, #MULTIPLY_STEPS - 1
    movs r6, #MULTIPLY_STEP_BYTES
    muls r5, r6
    adr  r6, .Lloop_\name + 1
    adds r6, r5
    mov  r5, r6
    subs r4, #1
    lsrs r4, r4, #4                 /* / MULTIPLY_STEPS: one round less than there are */
    it   ne
    adrne r5, .Lseveral_\name + 1
    strd r4, r6, [sp, #16]
    mov  r7, #STRIDE
    muls r3, r7
    rsb  r3, r3, #16
    add  r4, r2, #32 * \positions
    stm  sp, {r2-r5}
    cmp  r2, r4

    .balign 4
.Lposition_\name:
    ldr.w r7, [r1, #4]
    ldr.w r3, [r1, #12]
    ldr.w r2, [r1, #8]
    ldr   r6, [r1], #16
    ldr.w r11, [r0, #8]
    ldr.w lr, [r0, #12]
    ldrd  r4, r5, [r0], #STRIDE
    smlad r8, r2, r5, r6
    smlad r9, r3, r5, r7
    smlad r10, r2, r11, r6
    smlad r11, r3, r11, r7
    smlad r12, r2, lr, r6
    smlad lr, r3, lr, r7
    smlad r6, r2, r4, r6
    smlad r7, r3, r4, r7
    ldr.w pc, [sp, #12]
    .balign 4
.Lseveral_\name:
    ldr  r2, [sp, #16]
    subs r2, #1
    str  r2, [sp, #24]
    ldr.w pc, [sp, #20]
    .balign 4
.Lround_\name:
    ldr  r2, [sp, #24]
    subs r2, #1
    str.w r2, [sp, #24]
.Lloop_\name:
    .rept MULTIPLY_STEPS
    multiply_step STRIDE
    .endr
    bcs.w .Lround_\name
    ldr  r2, [sp]
    ldr  r3, [sp, #4]
    ldr  r4, [sp, #8]
    stm  r2!, {r6-r12, lr}
    cmp  r2, r4
    str  r2, [sp]
    add  r0, r3
    bcc.w .Lposition_\name
    add  sp, #28
    pop  {r4-r11, pc}
    end_function \name
    .endm

    /* ---- what becomes of sums times 2^bits ---- */

    .macro larger a, b
    cmp  \a, \b
    it   lt
    movlt \a, \b
    .endm

    /* Scales a sum times 2^bits. r9: multiplier; r10: addend; r11: shift in the lowest byte. Half of the output's unit,
     * which stands in the addend, rounds ties up; `away` (half of 2^bits, or 0 where nothing is shifted) less for
     * negative sums rounds theirs away from zero. */
    .macro scaled x, away, t
    and  \t, \away, \x, asr #31
    sub  \t, r10, \t
    smmla \x, \x, r9, \t
    asr  \x, \x, r11
    .endm

    /* A sum times 2^bits to the output's byte. Clamped by unsigned saturation: at the top by USAT, at the bottom by
     * UQSUB8 of `down`, and back by `up`. */
    .macro clamped_output x, away, down, up, t
    scaled \x, \away, \t
    usat \x, #8, \x
    uqsub8 \x, \x, \down
    uqadd8 \x, \x, \up
    eor  \x, \x, #0x80
    .endm

    /* The next channel's record to r9 to r11: {multiplier, bytes shift, away, down, up}. `rescaling` and `offset` are
     * places on the stack; offset is 2 * (where the output's zero point lies among the saturated) + 1. The addend is
     * offset with what the clamp moves, times half of the output's unit, and half of `away`. */
    .macro load_rescaling rescaling, offset
    ldr  r1, [sp, #\rescaling]
    ldr  r10, [sp, #\offset]
    ldr  r9, [r1], #4
    ldr  r11, [r1], #4
    str  r1, [sp, #\rescaling]
    uxtb r2, r11, ror #16
    lsr  r3, r11, #24
    subs r2, r2, r3
    add  r10, r10, r2, lsl #1
    sub  r2, r11, #1
    lsl  r10, r10, r2
    uxtb r2, r11, ror #8
    add  r10, r10, r2, lsr #1
    .endm

#endif
