/* The inner loops of conv_2d_winograd2.c: both transforms of F(2x2, 3x3), and the products between them. */
#include "winograd_macros.h"

/* ---- input: V = B^T d B of a patch d of 4 x 4 pixels --------------------------------------------------
 *
 *         [1  0 -1  0]
 *   B^T = [0  1  1  0]      Two channels are in the lanes of a word; V of bytes is in [-512, 512].
 *         [0 -1  1  0]
 *         [0  1  0 -1]
 */
    /* y = B^T x: y0 in x0, y1 in y1, y2 in x2, y3 in x3. */
    .macro transform_input x0, x1, x2, x3, y1
    ssub16 \x0, \x0, \x2
    sadd16 \y1, \x1, \x2
    ssub16 \x2, \x2, \x1
    ssub16 \x3, \x1, \x3
    .endm

    /* Four pixels of a row, in r2 to r5, to T: bytes 0, 2 of the four channels, or 1, 3. */
    .macro transform_row rotation
    sxtb16 r6, r2, ror #\rotation
    sxtb16 r7, r3, ror #\rotation
    sxtb16 r8, r4, ror #\rotation
    sxtb16 r9, r5, ror #\rotation
    transform_input r6, r7, r8, r9, r10
    str   r6, [r1, #2 * \rotation]
    str.w r10, [r1, #2 * \rotation + 4]
    str.w r8, [r1, #2 * \rotation + 8]
    str.w r9, [r1, #2 * \rotation + 12]
    .endm

    /* A column of T, transformed, to V. */
    .macro transform_column t, v
    ldr   r2, [r0, #\t]
    ldr   r3, [r0, #\t + 32]
    ldr   r4, [r0, #\t + 64]
    ldr   r5, [r0, #\t + 96]
    transform_input r2, r3, r4, r5, r6
    str.w r2, [r1, #\v]
    str.w r6, [r1, #\v + 64]
    str.w r4, [r1, #\v + 128]
    str.w r5, [r1, #\v + 192]
    .endm

/* void conv_2d_winograd2_input(const int8_t *const pixels[16 + 32], int32_t *v, int32_t channels)
 *
 * pixels: pointers to 16 pixels, row by row; behind them room for T[row][parity][column], 128 bytes.
 * v: V[k][4 * row + column][tile 0..3], from the tile on that is made. k counts pairs of channels.
 * r0: pixels, then T; r1: T, then V; r11: V; r12: channel; lr: channels. */
    begin_function conv_2d_winograd2_input
    push {r4-r11, lr}
    mov  r11, r1
    mov  lr, r2
    mov  r12, #0
    .balign 4
.Lfour_channels:
    add  r1, r0, #64
    .rept 4
    ldm  r0!, {r2-r5}
    ldr  r2, [r2, r12]
    ldr  r3, [r3, r12]
    ldr  r4, [r4, r12]
    ldr  r5, [r5, r12]
    transform_row 0
    transform_row 8
    adds r1, #32
    .endr
    mov  r1, r11
    .irp column, 0, 1, 2, 3             /* r0 is T now */
    transform_column 4 * \column, 16 * \column
    transform_column 4 * \column + 16, 16 * \column + 256
    .endr
    subs r0, #64
    add  r11, r11, #2 * 256
    add  r12, r12, #4
    cmp  r12, lr
    bne.w .Lfour_channels
    pop  {r4-r11, pc}
    end_function conv_2d_winograd2_input

/* ---- weights: U = G w G^T, G times 2 --------------------------------------------------------------------
 *
 *       [2  0  0]
 *   G = [1  1  1]       Two channels are in the lanes of a word.
 *       [1 -1  1]
 *       [0  0  2]
 */
    /* G (r7, r8, r9): each row, as `store row, register` takes it. Uses r7 to r11. */
    .macro transform_filter store
    sadd16 r10, r7, r9
    sadd16 r11, r10, r8
    ssub16 r10, r10, r8
    \store 1, r11
    \store 2, r10
    sadd16 r7, r7, r7
    sadd16 r9, r9, r9
    \store 0, r7
    \store 3, r9
    .endm

    made_weights conv_2d_winograd2_weights, 4

    multiply_positions conv_2d_winograd2_multiply, 16

/* ---- output: 4 * sum = A^T m A, two by two, then scaled, clamped, pooled ----------------------------------
 *
 *   A^T = [1 1  1  0]         All modulo 2^32.
 *         [0 1 -1 -1]
 */
    /* Of a column of M: r1 = m0 + m1 + m2, r2 = m1 - m2 - m3. */
    .macro load_column column
    ldr.w r1, [r0, #32 * \column]
    ldr.w r2, [r0, #32 * \column + 128]
    ldr.w r3, [r0, #32 * \column + 256]
    ldr.w r8, [r0, #32 * \column + 384]
    add  r1, r1, r2
    add  r1, r1, r3
    sub  r2, r2, r3
    sub  r2, r2, r8
    .endm

    /* To the tile behind the null that ends this one's rows, if there is one. */
    .macro next_tile
    ldr  r2, [lr, #4]!
    cmp  r2, #0
    bne.w conv_2d_winograd2_tile
    b.w  conv_2d_winograd2_channel_done
    .endm

    /* Stores two outputs of a row, and moves its pointer on. */
    .macro store_two a, b
    strb \a, [r1]
    strb.w \b, [r1, r12]
    adds r1, #1
    str  r1, [lr], #4
    .endm

    /* Stores the outputs of a tile of two rows, or of one; to the next tile. */
    .macro store_tile
    ldr  r1, [lr]
    store_two r4, r5
    ldr  r1, [lr]
    cbz  r1, 1f
    store_two r6, r7
1:
    next_tile
    .endm

/* void conv_2d_winograd2_{plain, signed, clamped, pooled}(const int32_t *m, const int32_t *rescaling, int8_t **rows,
 *                                                         int32_t step, int32_t channels, int32_t offset)
 *
 * As in conv_2d_winograd4.S, with tiles of 2 x 2 outputs.
 * r0: M of a tile; r4 to r7: 4 * sum of its outputs; r9 to r11: rescaling; r12: step; lr: rows. */
    .equ M, 0
    .equ RESCALING, 4
    .equ ROWS, 8
    .equ STEP, 12
    .equ CODE, 16
    .equ CHANNELS, 20 + 36
    .equ OFFSET, CHANNELS + 4

/* What all forms share; code for the tile in r12. */
    begin_function conv_2d_winograd2_output
    push {r4-r11, lr}
    sub  sp, #20
    stm  sp, {r0-r3, r12}
.Lchannel:
    load_rescaling RESCALING, OFFSET
    ldr  lr, [sp, #ROWS]
    ldr  r12, [sp, #STEP]
    ldr  r0, [sp, #M]
    .balign 4
    entry conv_2d_winograd2_tile
    load_column 0
    mov  r4, r1
    mov  r6, r2
    load_column 1
    add  r4, r4, r1
    mov  r5, r1
    add  r6, r6, r2
    mov  r7, r2
    load_column 2
    add  r4, r4, r1
    sub  r5, r5, r1
    add  r6, r6, r2
    sub  r7, r7, r2
    load_column 3
    sub  r5, r5, r1
    sub  r7, r7, r2
    adds r0, #8
    ldr.w pc, [sp, #CODE]
    entry conv_2d_winograd2_channel_done
    ldr  r0, [sp, #M]
    adds r0, #4
    str  r0, [sp, #M]
    ldr  r1, [sp, #CHANNELS]
    subs r1, #1
    str  r1, [sp, #CHANNELS]
    bne.w .Lchannel
    add  sp, #20
    pop  {r4-r11, pc}
    end_function conv_2d_winograd2_output

    begin_form 2, plain
    .irp r, 4, 5, 6, 7
    smmla r\r, r\r, r9, r10
    .endr
    .irp r, 4, 5, 6, 7
    asr  r\r, r\r, r11
    .endr
    .irp r, 4, 5, 6, 7
    ssat r\r, #8, r\r
    .endr
    store_tile
    end_function conv_2d_winograd2_plain

    begin_form 2, signed
    uxtb r1, r11, ror #8
    .irp r, 4, 5, 6, 7
    scaled r\r, r1, r2
    .endr
    .irp r, 4, 5, 6, 7
    ssat r\r, #8, r\r
    .endr
    store_tile
    end_function conv_2d_winograd2_signed

    begin_form 2, clamped
    uxtb r1, r11, ror #8
    uxtb r2, r11, ror #16
    lsr  r3, r11, #24
    .irp r, 4, 5, 6, 7
    clamped_output r\r, r1, r2, r3, r8
    .endr
    store_tile
    end_function conv_2d_winograd2_clamped

    begin_form 2, pooled
    larger r4, r5
    larger r6, r7
    larger r4, r6
    uxtb r1, r11, ror #8
    uxtb r2, r11, ror #16
    lsr  r3, r11, #24
    clamped_output r4, r1, r2, r3, r8
    ldr  r1, [lr]
    strb r4, [r1]
    adds r1, #1
    str  r1, [lr], #4
    next_tile
    end_function conv_2d_winograd2_pooled
