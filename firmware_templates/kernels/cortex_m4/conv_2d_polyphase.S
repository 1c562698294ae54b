/* The inner loops of conv_2d_polyphase.c: the products of a block of 4 tiles of 2 x 2 outputs, 2 output channels at a
 * time, and behind them the vectors of pixels.
 *
 *   void conv_2d_polyphase_multiply(const struct conv_2d_polyphase_block *block, const void *weights)
 *
 * A tile's outputs are sums of nine products of vectors, named by their place in the tile, vertically and
 * horizontally (L first, C middle, R last):
 *
 *   y00 = LL + LC + CL + CC    y01 = LR + LC + CR + CC
 *   y10 = RL + RC + CL + CC    y11 = RR + RC + CR + CC
 *
 * The sums of one product go on from those of another, so that most additions cost nothing; what is used twice is
 * kept on the stack meanwhile. In the order CC, CL, CR, LC, LR, LL, RC, RR, RL the pixels and the weights lie one
 * behind the other. `steps` being half the input channels, these are 1, 2, 2, 2, 4, 4, 2, 4 and 4 times `steps`
 * groups of four words of pixels, one word a tile: two values of int16 for the lanes of SMLAD.
 *
 * Weights are a stream of records, one for each pair of channels o and o + 1:
 *
 *   int32  start of both sums
 *   int32  multipliers of both
 *   uint8  right shifts of both less one, floors of both plus 128
 *   int16  of each step one word (two lanes) for each channel
 *
 * Registers in the loop are those of gemm_macros.h. All arithmetic wraps modulo 2^32; only the final sums have to
 * fit, which the generator proves.
 */
#include "gemm_macros.h"

/* struct conv_2d_polyphase_block, copied to the stack, and what is added to it */
    .equ X, 0                   /* first pixel word */
    .equ RUN, 4                 /* bytes of pixels of CC */
    .equ CHANNEL, 8             /* of the pair, as an offset from the pointers of the pixels */
    .equ CHANNEL_END, 12
    .equ START, 16              /* 2 * (output zero point + 128) + 1 */
    .equ ABOVE, 20              /* 127 - ceiling, and in the next word ceiling + 1, by bytes */
    .equ STORE, 28              /* one of the routines below */
    .equ ROWS, 32               /* of the tiles: 2, or 1 where there is no second one */
    .equ Y, 36                  /* where outputs 01, 00, 11, 10 go, of four tiles each */
    .equ ENTRY, 40              /* into the loop, for the steps that do not fill a round; of runs of 1, 2, 4 */
    .equ END, 52                /* of the run's pixels */
    .equ NEXT, 56               /* what comes after the run */
    .equ PIXELS, 60             /* of the next run, while sums are stored */
    .equ RESCALING, 64          /* multipliers, shifts and floors of the pair */
    .equ ROWS_LEFT, 76
    .equ Y_LEFT, 80
    .equ LEFT, 84               /* sums that are wanted again: CC, then CC + CL */
    .equ RIGHT, 116             /* CC + CR */
    .equ MIDDLE, 148            /* LC, then RC */
    .equ FRAME, 180

    .equ UNROLLED, 16

    .macro keep_sums at
    add    r12, sp, #\at
    stm    r12, {r2-r9}
    .endm

    .macro take_sums at
    add    r12, sp, #\at
    ldm    r12, {r2-r9}
    .endm

    .macro add_sums at
    .irp   quarter, 0, 1
    ldr    r10, [sp, #\at + 16 * \quarter]
    ldr    r11, [sp, #\at + 16 * \quarter + 4]
    ldr    r12, [sp, #\at + 16 * \quarter + 8]
    ldr    lr, [sp, #\at + 16 * \quarter + 12]
    .if    \quarter
    add    r6, r6, r10
    add    r7, r7, r11
    add    r8, r8, r12
    add    r9, r9, lr
    .else
    add    r2, r2, r10
    add    r3, r3, r11
    add    r4, r4, r12
    add    r5, r5, lr
    .endif
    .endr
    .endm

    .macro clear_sums
    .irp   sum, r2, r3, r4, r5, r6, r7, r8, r9
    movs.w \sum, #0
    .endr
    .endm

/* 1, 2 or 4 (2^log) times `steps` of the loop, from r0 and r1 on. */
    .macro run log
    ldr    r12, [sp, #RUN]
    ldr    lr, [sp, #ENTRY + 4 * \log]
    add    r12, r0, r12, lsl #\log
    str    r12, [sp, #END]
    adr.w  r12, .Lafter\@ + 1
    str    r12, [sp, #NEXT]
    bx     lr
    .balign 4
.Lafter\@:
    .endm

/* Where the store routine goes on. */
    .macro store
    adr.w  r12, .Lstored\@ + 1
    str    r12, [sp, #NEXT]
    ldr    pc, [sp, #STORE]
    .balign 4
.Lstored\@:
    .endm

    routine conv_2d_polyphase_multiply
    push   {r4-r11, lr}
    sub    sp, #FRAME
    ldm    r0, {r2-r11}
    stm    sp, {r2-r11}
    /* Steps of the first round: 1 to UNROLLED. */
    adr    r12, .Lround + 1
    lsrs   r3, r3, #4
    movs   r5, #STEP_INT16_BYTES
    .irp   log, 0, 1, 2
    lsl    r4, r3, #\log
    subs   r4, r4, #1
    and    r4, r4, #UNROLLED - 1
    adds   r4, r4, #1
    mls    r4, r4, r5, r12
    str    r4, [sp, #ENTRY + 4 * \log]
    .endr
    b      .Lpair

    .balign 4
.Lloop:
    .rept  UNROLLED
    step   load_int16
    .endr
.Lround:
    .if    .Lround - .Lloop - UNROLLED * STEP_INT16_BYTES
    .error "a step has another size"
    .endif
    ldr    r12, [sp, #END]
    cmp    r0, r12
    bne.w  .Lloop
    ldr    pc, [sp, #NEXT]

    .balign 4
.Lpair:
    ldr    r2, [r1], #4
    ldr    r3, [r1], #4
    ldr    r10, [r1], #4
    ldr    r11, [r1], #4
    ldr    r12, [r1], #4
    add    r0, sp, #RESCALING
    stm    r0, {r10-r12}
    ldr    r0, [sp, #ROWS]
    str    r0, [sp, #ROWS_LEFT]
    ldr    r0, [sp, #Y]
    str    r0, [sp, #Y_LEFT]
    ldr    r0, [sp, #X]
    mov    r4, r2
    mov    r5, r3
    mov    r6, r2
    mov    r7, r3
    mov    r8, r2
    mov    r9, r3
    run    0                            /* CC */
    keep_sums RIGHT
    run    1                            /* CC + CL */
    keep_sums LEFT
    take_sums RIGHT
    run    1                            /* CC + CR */
    keep_sums RIGHT
.Lrow:
    clear_sums
    run    1                            /* LC, RC */
    keep_sums MIDDLE
    add_sums RIGHT
    run    2                            /* y01, y11 */
    store
    take_sums MIDDLE
    add_sums LEFT
    run    2                            /* y00, y10 */
    store
    ldr    r12, [sp, #ROWS_LEFT]
    subs   r12, r12, #1
    str    r12, [sp, #ROWS_LEFT]
    bne    .Lrow
    ldr    r12, [sp, #ROWS]
    cmp    r12, #2
    beq    1f
    ldr    r12, [sp, #RUN]              /* weights of the row that is left out: 10 of 25 runs */
    add    r12, r12, r12, lsl #2
    add    r1, r1, r12
1:  ldr    r12, [sp, #CHANNEL_END]
    ldr    lr, [sp, #CHANNEL]
    add    lr, lr, #2
    str    lr, [sp, #CHANNEL]
    cmp    lr, r12
    bne.w  .Lpair
    add    sp, #FRAME
    pop    {r4-r11, pc}
    .size  conv_2d_polyphase_multiply, . - conv_2d_polyphase_multiply

    .macro store_four name, signed
    routine \name
    str    r0, [sp, #PIXELS]
    ldr    r0, [sp, #START]
    ldr    r10, [sp, #RESCALING]
    ldr    r11, [sp, #RESCALING + 4]
    ldr    r12, [sp, #RESCALING + 8]
    requantize_pairs \signed
    ldr    r0, [sp, #Y_LEFT]
    ldr    r11, [sp, #ABOVE]
    ldr    r12, [sp, #ABOVE + 4]
    ldr    lr, [sp, #CHANNEL]
    ldr    r3, [r0], #4
    ldr    r4, [r0], #4
    ldr    r5, [r0], #4
    ldr    r7, [r0], #4
    str    r0, [sp, #Y_LEFT]
    ldr    r0, [sp, #PIXELS]
    store_pairs
    ldr    pc, [sp, #NEXT]
    .size  \name, . - \name
    .endm

    store_four conv_2d_polyphase_store_half_up, 0
    store_four conv_2d_polyphase_store, 1

/* void conv_2d_polyphase_transform(const int8_t *const pixels[25], uint32_t *const streams[9], int32_t channels)
 *
 * All vectors of one tile. Two channels are in the lanes of a word: 4n and 4n + 2, then 4n + 1 and 4n + 3. A stream
 * takes the words of one of the nine products, one group of four words behind the other; for each row of the
 * patch there are three, CC CL CR, LC LL LR or RC RL RR.
 * r0 pixels, r1 channel, r2 to r6 the middle row, r7 to r11 another one, r12 and lr temporary. */
    .equ CHANNELS, 36
    .equ SHIFT, 40
    .equ TRANSFORM_FRAME, 44

/* A row's e0 - e1, o0, e1, o1, e2 - e1. */
    .macro read_row row, e0, o0, e1, o1, e2
    add    r12, r0, #20 * \row
    ldm    r12, {\e0, \o0, \e1, \o1, \e2}
    ldr    r12, [sp, #SHIFT]
    .irp   pixel, \e0, \o0, \e1, \o1, \e2
    ldr    \pixel, [\pixel, r1]
    .endr
    .irp   pixel, \e0, \o0, \e1, \o1, \e2
    lsr    \pixel, \pixel, r12
    .endr
    .irp   pixel, \e0, \o0, \e1, \o1, \e2
    sxtb16 \pixel, \pixel
    .endr
    ssub16 \e0, \e0, \e1
    ssub16 \e2, \e2, \e1
    .endm

    .macro write_row streams, e0, o0, e1, o1, e2
    ldr    r12, [sp, #4 * \streams]
    ldr    lr, [sp, #4 * \streams + 4]
    str    \e1, [r12], #16
    str    \e0, [lr], #16
    str    \o0, [lr], #16
    str    r12, [sp, #4 * \streams]
    str    lr, [sp, #4 * \streams + 4]
    ldr    r12, [sp, #4 * \streams + 8]
    str    \e2, [r12], #16
    str    \o1, [r12], #16
    str    r12, [sp, #4 * \streams + 8]
    .endm

    .macro minus_middle
    ssub16 r7, r7, r2
    ssub16 r8, r8, r3
    ssub16 r9, r9, r4
    ssub16 r10, r10, r5
    ssub16 r11, r11, r6
    .endm

    routine conv_2d_polyphase_transform
    push   {r4-r11, lr}
    sub    sp, #TRANSFORM_FRAME
    ldm    r1, {r3-r11}
    stm    sp, {r3-r11}
    str    r2, [sp, #CHANNELS]
    movs   r1, #0
    str    r1, [sp, #SHIFT]
    .balign 4
.Ltwo_channels:
    read_row 2, r2, r3, r4, r5, r6
    write_row 0, r2, r3, r4, r5, r6
    read_row 0, r7, r8, r9, r10, r11
    minus_middle
    write_row 3, r7, r8, r9, r10, r11
    read_row 1, r7, r8, r9, r10, r11
    write_row 3, r7, r8, r9, r10, r11
    read_row 4, r7, r8, r9, r10, r11
    minus_middle
    write_row 6, r7, r8, r9, r10, r11
    read_row 3, r7, r8, r9, r10, r11
    write_row 6, r7, r8, r9, r10, r11
    ldr    r12, [sp, #SHIFT]
    ldr    lr, [sp, #CHANNELS]
    eors   r12, r12, #8
    str    r12, [sp, #SHIFT]
    bne    .Ltwo_channels
    adds   r1, r1, #4
    cmp    r1, lr
    bne.w  .Ltwo_channels
    add    sp, #TRANSFORM_FRAME
    pop    {r4-r11, pc}
    .size  conv_2d_polyphase_transform, . - conv_2d_polyphase_transform
    .end
