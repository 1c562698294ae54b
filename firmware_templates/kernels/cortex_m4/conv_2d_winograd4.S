/* The inner loops of conv_2d_winograd4.c: both transforms of F(4x4, 3x3), and the products between them. */
#include "winograd_macros.h"

/* ---- input: V = B^T d B of a patch d of 6 x 6 pixels --------------------------------------------------
 *
 *         [4  0 -5  0  1  0]
 *         [0 -4 -4  1  1  0]      Two channels are in one word, as the 32-bit integer high * 65536 + low:
 *   B^T = [0  4 -4 -1  1  0]      additions and shifts of words are those of both numbers at once, and exact
 *         [0 -2 -1  2  1  0]      modulo 2^32, as long as the low one is not negative in the end.
 *         [0  2 -1 -2  1  0]
 *         [0  4  0 -5  0  1]
 *
 * SXTAB16 makes bytes 0, 2 (or 1, 3, rotated) of four channels unsigned by adding 128. It also adds BIAS to the low
 * lane of the four pixels in the last two rows and columns: that adds BIAS to the low lane of all of V, since
 * B^T (0, 0, 0, 0, BIAS, BIAS) is BIAS in every row. V of bytes is in [-12750, 17340], so that the low lane is in
 * [1586, 31676], positive and an int16. What it is too large by is taken off in the starts of U. */
    .equ BIAS, 0x3800

    /* x[0..5] = B^T x, in place. */
    .macro transform_input x0, x1, x2, x3, x4, x5, u, v
    sub  \u, \x4, \x2, lsl #2
    sub  \v, \x3, \x1, lsl #2
    add  \x0, \u, \x0, lsl #2
    sub  \x0, \x0, \x2
    sub  \x5, \x5, \x3, lsl #2
    sub  \x5, \x5, \v
    sub  \x4, \x4, \x2
    sub  \x3, \x3, \x1
    add  \x1, \u, \v
    sub  \x2, \u, \v
    add  \x3, \x4, \x3, lsl #1
    rsb  \x4, \x3, \x4, lsl #1
    .endm

    /* Six pixels of a row, transformed, to T: bytes 0, 2 of the four channels, or 1, 3. */
    .macro transform_row rotation
    ldm.w r0, {r2-r7}
    .irp r, 2, 3, 4, 5, 6, 7
    ldr  r\r, [r\r, r12]
    .endr
    .irp r, 2, 3, 4, 5
    sxtab16 r\r, r10, r\r, ror #\rotation
    .endr
    sxtab16 r6, r11, r6, ror #\rotation
    sxtab16 r7, r11, r7, ror #\rotation
    transform_input r2, r3, r4, r5, r6, r7, r8, r9
    stm.w r1!, {r2-r7}
    .endm

    /* A column of T, transformed, to V. */
    .macro transform_column t, v
    ldr.w r2, [r0, #\t]
    ldr.w r3, [r0, #\t + 48]
    ldr.w r4, [r0, #\t + 96]
    ldr.w r5, [r0, #\t + 144]
    ldr.w r6, [r0, #\t + 192]
    ldr.w r7, [r0, #\t + 240]
    transform_input r2, r3, r4, r5, r6, r7, r8, r9
    str.w r2, [r1, #\v]
    str.w r3, [r1, #\v + 96]
    str.w r4, [r1, #\v + 192]
    str.w r5, [r1, #\v + 288]
    str.w r6, [r1, #\v + 384]
    str.w r7, [r1, #\v + 480]
    .endm

/* void conv_2d_winograd4_input(const int8_t *const pixels[36 + 72], int32_t *v, int32_t channels)
 *
 * pixels: pointers to 36 pixels, row by row; behind them room for T[row][parity][column], 288 bytes.
 * v: V[k][6 * row + column][tile 0..3], from the tile on that is made. k counts pairs of channels.
 * r0: pixels, then T; r1: T, then V; r10: 128 in both lanes; r11: the same, or with BIAS; r12: channel.
 * On the stack: V, channels. */
    begin_function conv_2d_winograd4_input
    push {r1, r2, r4-r11, lr}
    movs r3, #0
    mov  r12, r3
    mov  r10, #0x00800080
    .balign 4
.Lfour_channels:
    add  r1, r0, #144
    mov  r11, r10
    add  lr, r0, #4 * 24
    .balign 4
.Ltwo_rows:
    transform_row 0
    transform_row 8
    add.w r0, r0, #24
    transform_row 0
    transform_row 8
    adds r0, #24
    cmp  r0, lr
    bne  .Ltwo_rows
    cmp  r11, r10
    bne  .Lcolumns
    add  r11, r10, #BIAS
    add  lr, lr, #2 * 24
    b    .Ltwo_rows
.Lcolumns:                          /* r0 is T now */
    ldr  r1, [sp]
    add  lr, r0, #24
.Ltwo_columns:
    transform_column 0, 0
    transform_column 24, 576
    transform_column 4, 16
    transform_column 28, 592
    adds r0, #8
    adds r1, #32
    cmp  r0, lr
    bne  .Ltwo_columns
    add  r1, r1, #2 * 576 - 6 * 16
    str  r1, [sp]
    sub  r0, r0, #144 + 24
    ldr  r2, [sp, #4]
    add  r12, r12, #4
    cmp  r12, r2
    bne.w .Lfour_channels
    pop  {r1, r2, r4-r11, pc}
    end_function conv_2d_winograd4_input

/* ---- weights: U = G w G^T, G times 24, its last row times 12 ------------------------------------------------
 *
 *       [ 6  0  0]
 *       [-4 -4 -4]
 *   G = [-4  4 -4]       Two channels are in the lanes of a word. U is an int16; what wraps on the way does no harm.
 *       [ 1  2  4]
 *       [ 1 -2  4]
 *       [ 0  0 12]
 */
    /* G (r7, r8, r9): each row, as `store row, register` takes it. Uses r7 to r11. */
    .macro transform_filter store
    sadd16 r10, r7, r9
    ssub16 r10, r8, r10
    sadd16 r10, r10, r10
    sadd16 r10, r10, r10
    sadd16 r8, r8, r8
    sadd16 r11, r8, r8
    \store 2, r10
    ssub16 r10, r10, r11            /* less 8 times the middle tap */
    ssub16 r10, r10, r11
    \store 1, r10
    sadd16 r10, r9, r9
    sadd16 r10, r10, r10
    sadd16 r11, r7, r10
    sadd16 r9, r11, r8
    \store 3, r9
    ssub16 r11, r11, r8
    \store 4, r11
    sadd16 r9, r10, r10
    sadd16 r9, r9, r10
    \store 5, r9
    sadd16 r10, r7, r7
    sadd16 r7, r7, r10
    sadd16 r7, r7, r7
    \store 0, r7
    .endm

    made_weights conv_2d_winograd4_weights, 6

    multiply_positions conv_2d_winograd4_multiply, 36

/* ---- output: 576 * sum = A^T m A, four by four, then scaled, clamped, pooled ------------------------------
 *
 *         [1 1  1 1  1 0]
 *   A^T = [0 1 -1 2 -2 0]         All modulo 2^32. 576 is 64 * 9, and 9 has an inverse modulo 2^32: times
 *         [0 1  1 4  4 0]         NINTH, 576 * sum becomes 64 * sum exactly, as that is an int32.
 *         [0 1 -1 8 -8 2]
 */
    .equ NINTH, 0x38E38E39

    /* A^T x: rows 0, 1, 2, 3 are left in x0, x2, x1, x5. */
    .macro transform_output x0, x1, x2, x3, x4, x5
    add  \x1, \x1, \x2
    sub  \x2, \x1, \x2, lsl #1
    add  \x3, \x3, \x4
    sub  \x4, \x3, \x4, lsl #1
    add  \x0, \x0, \x1
    add  \x0, \x0, \x3
    add  \x1, \x1, \x3, lsl #2
    add  \x5, \x2, \x5, lsl #1
    add  \x5, \x5, \x4, lsl #3
    add  \x2, \x2, \x4, lsl #1
    .endm

    /* The next row of T as 64 * sum of four outputs: r2, r4, r3, r7. */
    .macro four_sums
    ldm.w r0!, {r2-r7}
    transform_output r2, r3, r4, r5, r6, r7
    .irp r, 2, 4, 3, 7
    mul  r\r, r\r, r8
    .endr
    .endm

    /* Saturates and stores the four outputs of the row r1. To the next row, which it loads; Z: there is none. */
    .macro store_four
    .irp r, 2, 4, 3, 7
    ssat r\r, #8, r\r
    .endr
    strb r2, [r1]
    adds r5, r1, #1
    add  r6, r1, r12, lsl #1
    str  r5, [lr], #4
    ldr  r5, [lr]
    strb.w r4, [r1, r12]
    strb r3, [r6]
    strb.w r7, [r6, r12]
    movs r1, r5
    .endm

    /* To the tile behind the null that ends this one's rows, if there is one. */
    .macro next_tile
    ldr  r2, [lr, #4]!
    ldr  r0, [sp, #NEXT_M]
    cmp  r2, #0
    bne.w conv_2d_winograd4_tile
    b.w  conv_2d_winograd4_channel_done
    .endm

/* void conv_2d_winograd4_{plain, signed, clamped, pooled}(const int32_t *m, const int32_t *rescaling, int8_t **rows,
 *                                                         int32_t step, int32_t channels, int32_t offset)
 *
 * m: M[position][tile][o]. rescaling: {multiplier, bytes shift, away, down, up} of each channel; offset: what goes with
 * it (see load_rescaling).
 * rows: where the rows of the first tile go, null, those of the second ..., null, null; each is moved on by one byte
 * for each channel. step: bytes from one pixel of the output to the next. channels: one or two.
 * signed: no clamp but that of int8. plain: nor any but that, which ends at the output's zero point; there ties need no
 * care, because all negative sums end there. pooled: the maximum of 2 x 2 sums; a row of `rows` is one of the pooled output.
 *
 * r0: M, then T; r1: an output row; r8: NINTH; lr: rows.
 * On the stack: T[row][column] of a tile; M of the next tile; M; rescaling, rows, step; code for the rows. */
    .equ T_BYTES, 4 * 24
    .equ NEXT_M, T_BYTES
    .equ M, T_BYTES + 4
    .equ RESCALING, T_BYTES + 8
    .equ ROWS, T_BYTES + 12
    .equ STEP, T_BYTES + 16
    .equ CODE, T_BYTES + 20
    .equ CHANNELS, T_BYTES + 28 + 36
    .equ OFFSET, CHANNELS + 4

/* What all forms share; code for the rows in r12. */
    begin_function conv_2d_winograd4_output
    push {r4-r11, lr}
    sub  sp, #T_BYTES + 28
    add  r4, sp, #M
    stm  r4, {r0-r3, r12}
    movw r8, #NINTH & 0xFFFF
    movt r8, #NINTH >> 16
.Lchannel:
    load_rescaling RESCALING, OFFSET
    ldr  lr, [sp, #ROWS]
    ldr  r12, [sp, #STEP]
    ldr  r0, [sp, #M]
    .balign 4
    entry conv_2d_winograd4_tile
    .irp column, 0, 1, 2, 3, 4, 5
    ldr.w r2, [r0, #32 * \column]
    ldr.w r3, [r0, #32 * \column + 192]
    ldr.w r4, [r0, #32 * \column + 384]
    ldr.w r5, [r0, #32 * \column + 576]
    ldr.w r6, [r0, #32 * \column + 768]
    ldr.w r7, [r0, #32 * \column + 960]
    transform_output r2, r3, r4, r5, r6, r7
    str  r2, [sp, #4 * \column]
    str  r4, [sp, #4 * \column + 24]
    str  r3, [sp, #4 * \column + 48]
    str  r7, [sp, #4 * \column + 72]
    .endr
    adds r0, #8
    str  r0, [sp, #NEXT_M]
    mov  r0, sp
    ldr.w pc, [sp, #CODE]
    entry conv_2d_winograd4_channel_done
    ldr  r0, [sp, #M]
    adds r0, #4
    str  r0, [sp, #M]
    ldr  r1, [sp, #CHANNELS]
    subs r1, #1
    str  r1, [sp, #CHANNELS]
    bne.w .Lchannel
    add  sp, #T_BYTES + 28
    pop  {r4-r11, pc}
    end_function conv_2d_winograd4_output

    begin_form 4, plain
    ldr  r1, [lr]
.Lplain_row:
    four_sums
    .irp r, 2, 4, 3, 7
    smmla r\r, r\r, r9, r10
    .endr
    .irp r, 2, 4, 3, 7
    asr  r\r, r\r, r11
    .endr
    store_four
    bne  .Lplain_row
    next_tile
    end_function conv_2d_winograd4_plain

    begin_form 4, signed
    ldr  r1, [lr]
.Lsigned_row:
    four_sums
    uxtb r5, r11, ror #8
    .irp r, 2, 4, 3, 7
    scaled r\r, r5, r6
    .endr
    store_four
    bne  .Lsigned_row
    next_tile
    end_function conv_2d_winograd4_signed

    begin_form 4, clamped
    four_sums
    uxtb r5, r11, ror #8
    uxtb r12, r11, ror #16
    lsr  r1, r11, #24
    .irp r, 2, 4, 3, 7
    clamped_output r\r, r5, r12, r1, r6
    .endr
    ldr  r1, [lr]
    ldr  r5, [sp, #STEP]
    ldr  r12, [lr, #4]
    strb r4, [r1, r5]
    strb r2, [r1]
    add  r6, r1, r5, lsl #1
    adds r1, #1
    str  r1, [lr], #4
    strb r3, [r6]
    strb r7, [r6, r5]
    cmp  r12, #0
    bne  .Lclamped
    next_tile
    end_function conv_2d_winograd4_clamped

    begin_form 4, pooled
    four_sums
    larger r2, r4
    larger r3, r7
    mov  r1, r2
    mov  r12, r3
    four_sums
    larger r2, r4
    larger r2, r1
    larger r3, r7
    larger r3, r12
    uxtb r5, r11, ror #8
    uxtb r6, r11, ror #16
    lsr  r7, r11, #24
    clamped_output r2, r5, r6, r7, r4
    clamped_output r3, r5, r6, r7, r4
    ldr  r1, [lr]
    ldr  r4, [sp, #STEP]
    ldr  r5, [lr, #4]
    strb r3, [r1, r4]
    strb r2, [r1]
    adds r1, #1
    str  r1, [lr], #4
    cmp  r5, #0
    bne  .Lpooled
    next_tile
    end_function conv_2d_winograd4_pooled
