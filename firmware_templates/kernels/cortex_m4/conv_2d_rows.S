/* The inner loops of conv_2d_rows.c: all channels of a piece of the output, row by row, strips of six or four columns.
 *
 *   void conv_2d_rows_<columns>(const struct conv_2d_rows_piece *piece)         each filter widened once for the piece
 *   void conv_2d_rows_<columns>_bytes(const struct conv_2d_rows_piece *piece)   its bytes read for each row; no pooling
 *
 * A step is a pair of input channels of one row of the filter: three words of it (two lanes each, for SMLAD), and the
 * words of six or four columns of pixels and two more, each of which is multiplied by up to three words of the filter.
 * Both lie as they are read, from the first step of a row of outputs to its last. Of neighbouring single loads all but
 * the first take one cycle, LDM one for each word and one more: 32 cycles for 36 products of six columns, 23 for 24 of
 * four. Of bytes two steps have six words of the filter in three: SXTB16 takes two out of each, and the one that both
 * steps share is loaded twice, as no register is left for it. That is two cycles more for each step, where widening its
 * words first takes 9, once for all rows of the piece.
 *
 * Registers in the loops: r0 pixels, r1 filter, r2 to r5 or r7 the sums of the columns, r8 to r10 the filter's words,
 * r11, r12, lr (and, with four columns, r6 and r7) pixels. Nothing is left for a count: the loop ends where the filter
 * ends. All arithmetic wraps modulo 2^32; only the final sums have to fit, which the generator proves.
 */
#include "routine.h"

/* A strip of the piece; struct conv_2d_rows_piece, copied to the stack; what is added to it */
    .equ WORDS, 0               /* beneath the next row of outputs */
    .equ OUTPUTS, 4             /* where the next row of outputs goes */
    .equ OUTPUTS_END, 8
    .equ STRIPS, 12
    .equ STRIPS_END, 16
    .equ ROW_BYTES, 20
    .equ FILTER, 24             /* widened; or the channel's bytes */
    .equ FILTER_END, 28
    .equ WEIGHTS, 32            /* of the next channel, to be widened */
    .equ RECORDS, 36
    .equ CHANNELS, 40           /* which are bytes from column to column, too */
    .equ OFFSET, 44
    .equ POOL, 48
    .equ CHANNEL, 52
    .equ STORE, 56              /* what becomes of a row's sums */
    .equ START, 60              /* of the sums; then what requantize loads */
    .equ SCALING, 64
    .equ NEXT_STRIP, 84
    .equ LARGEST, 88            /* of pairs of columns, in the first row of two */
    .equ FRAME, 100

/* The three words of the filter, to r8 to r10: as they lie; or of bytes, of the first of two steps or of the second.
 * Loads stand next to those of pixels. */
    .macro load_filter kind
    .ifc   \kind, words
    ldr    r9, [r1, #4]
    ldr    r10, [r1, #8]
    ldr    r8, [r1], #12
    .endif
    .ifc   \kind, first
    ldr    r10, [r1, #4]
    ldr    r8, [r1], #12
    .endif
    .ifc   \kind, second
    ldr    r8, [r1, #-8]
    ldr    r10, [r1, #-4]
    .endif
    .endm

    .macro widen_filter kind
    .ifc   \kind, first
    sxtb16 r9, r8, ror #8
    sxtb16 r8, r8
    sxtb16 r10, r10
    .endif
    .ifc   \kind, second
    sxtb16 r8, r8, ror #8
    sxtb16 r9, r10
    sxtb16 r10, r10, ror #8
    .endif
    .endm

/* `last`: of a round; it loads FILTER_END to lr, too. */
    .macro step_six kind, last
    load_filter \kind
    ldr    r12, [r0, #4]
    ldr    lr, [r0, #8]
    ldr    r11, [r0], #12
    widen_filter \kind
    smlad  r2, r8, r11, r2
    smlad  r2, r9, r12, r2
    smlad  r3, r8, r12, r3
    smlad  r2, r10, lr, r2
    smlad  r3, r9, lr, r3
    smlad  r4, r8, lr, r4
    ldm    r0!, {r11, r12, lr}
    smlad  r3, r10, r11, r3
    smlad  r4, r9, r11, r4
    smlad  r5, r8, r11, r5
    smlad  r4, r10, r12, r4
    smlad  r5, r9, r12, r5
    smlad  r6, r8, r12, r6
    smlad  r5, r10, lr, r5
    smlad  r6, r9, lr, r6
    smlad  r7, r8, lr, r7
    .if    \last
    ldr    r12, [r0, #4]
    ldr    lr, [sp, #FILTER_END]
    ldr    r11, [r0], #8
    .else
    ldm    r0!, {r11, r12}
    .endif
    smlad  r6, r10, r11, r6
    smlad  r7, r9, r11, r7
    smlad  r7, r10, r12, r7
    .endm

    .macro step_four kind, last
    load_filter \kind
    ldr.w  r7, [r0, #4]                 /* as long as the others: the loop stays aligned */
    ldr    r11, [r0, #8]
    ldr    r12, [r0, #12]
    ldr    lr, [r0, #16]
    ldr    r6, [r0], #20
    widen_filter \kind
    smlad  r2, r8, r6, r2
    smlad  r2, r9, r7, r2
    smlad  r3, r8, r7, r3
    smlad  r2, r10, r11, r2
    smlad  r3, r9, r11, r3
    smlad  r4, r8, r11, r4
    smlad  r3, r10, r12, r3
    smlad  r4, r9, r12, r4
    smlad  r5, r8, r12, r5
    smlad  r4, r10, lr, r4
    smlad  r5, r9, lr, r5
    ldr    r6, [r0], #4
    .if    \last
    ldr    lr, [sp, #FILTER_END]
    .endif
    smlad  r5, r10, r6, r5
    .endm

/* The doubled sums to bytes. Of each sum, with multiplier m and shift s, SMMLAR(2 * sum, m, c) = x + c, where x is the
 * reference's first rounding. With c = (offset - 2 * (floor + 128)) * 2^(s - 1) the shift to the right is the second,
 * half up, the output's zero point added and the floor taken off; of a negative x - 1 it is half away from zero. The
 * sign of the sum may stand for that of x, as in conv_2d_gemm.S. USAT cuts at the floor, UQADD8 at the ceiling.
 *
 * find_scaling: of the record {r3: m, r4: bytes s - 1, floor + 128, 127 - ceiling} what requantize has in r8 to r12:
 * m, s - 1 in the lowest byte, c, what UQADD8 adds, and what is more than the byte that is wanted. */
    .macro find_scaling
    ldr    r5, [sp, #OFFSET]
    uxtb   r6, r4, ror #8
    uxtb   r7, r4, ror #16
    sub    r5, r5, r6, lsl #1
    lsl    r5, r5, r4
    add    r6, r6, r7
    adds   r7, r7, #128
    .endm

    .macro requantize sums:vararg
    add    lr, sp, #SCALING
    ldm    lr, {r8-r12}
    .irp   sum, \sums
    add    lr, r10, \sum, asr #31
    smmlar \sum, \sum, r8, lr
    asr    \sum, \sum, r9
    usat   \sum, #8, \sum, asr #1
    uqadd8 \sum, \sum, r11
    sub    \sum, \sum, r12
    .endr
    .endm

/* r0: where the next row of outputs goes; r1: from column to column */
    .macro next_output
    ldr    r0, [sp, #OUTPUTS]
    ldr    r8, [sp, #CHANNEL]
    ldr    r1, [sp, #CHANNELS]
    ldr    r9, [r0], #4
    str    r0, [sp, #OUTPUTS]
    add    r0, r9, r8
    .endm

    .macro store_two a, b
    strb   \a, [r0]
    strb   \b, [r0, r1]
    .endm

    .macro larger a, b
    cmp    \a, \b
    it     lt
    movlt  \a, \b
    .endm

/* ---- what all four are made of; `name` is six, four, six_bytes or four_bytes ---- */

/* To the first channel; r11 is what POOL is. */
    .macro begin_piece
    push   {r4-r11, lr}
    sub    sp, #FRAME
    ldm    r0, {r2-r11}                 /* all ten words */
    add    r0, sp, #STRIPS
    stm    r0, {r2-r11}
    movs   r0, #0
    str    r0, [sp, #CHANNEL]
    .endm

    .macro begin_channel
    ldr    r0, [sp, #RECORDS]
    ldm    r0!, {r2-r4}
    str    r0, [sp, #RECORDS]
    find_scaling
    add    r0, sp, #START
    stm    r0, {r2-r7}
    ldr    r0, [sp, #STRIPS]
    .endm

    .macro begin_strip
    ldm    r0!, {r1-r3}
    str    r0, [sp, #NEXT_STRIP]
    stm    sp, {r1-r3}
    .endm

    .macro begin_row sums:vararg
    ldr    r8, [sp, #ROW_BYTES]
    ldr    r1, [sp, #FILTER]
    ldr    r0, [sp, #WORDS]
    ldr    r2, [sp, #START]
    add    r8, r8, r0
    str    r8, [sp, #WORDS]
    .irp   sum, \sums
    .ifnc  \sum, r2
    mov    \sum, r2
    .endif
    .endr
    .endm

    .macro store_row columns, sums:vararg
    requantize \sums
    next_output
    store_two r2, r3
    add    r0, r0, r1, lsl #1
    store_two r4, r5
    .ifc   \columns, six
    add    r0, r0, r1, lsl #1
    store_two r6, r7
    .endif
    .endm

    .macro end_row name
    ldr    r0, [sp, #OUTPUTS]
    ldr    r1, [sp, #OUTPUTS_END]
    cmp    r0, r1
    bne.w  .Lrow_\name
    ldr    r0, [sp, #NEXT_STRIP]
    ldr    r1, [sp, #STRIPS_END]
    cmp    r0, r1
    bne.w  .Lstrip_\name
    .endm

    .macro end_channel name
    ldr    r0, [sp, #CHANNEL]
    ldr    r1, [sp, #CHANNELS]
    adds   r0, r0, #1
    str    r0, [sp, #CHANNEL]
    cmp    r0, r1
    bne.w  .Lchannel_\name
    add    sp, #FRAME
    pop    {r4-r11, pc}
    .endm

/* Filters widened first. unrolled: steps of a round, a divisor of six, as a row has six or a multiple. More would not stay
 * in 1 KB of instruction cache, with all around it. */
    .macro make_rows name, unrolled, sums:vararg
    routine conv_2d_rows_\name
    begin_piece
    adr    r1, .Lstore_\name + 1
    cmp    r11, #1
    it     ne
    adrne  r1, .Lfirst_of_two_\name + 1
    str    r1, [sp, #STORE]
    .balign 4
.Lchannel_\name:
    ldr    r0, [sp, #WEIGHTS]
    ldr    r1, [sp, #FILTER]
    bl     conv_2d_rows_widen
    str    r0, [sp, #WEIGHTS]
    begin_channel
.Lstrip_\name:
    begin_strip
    .balign 4
.Lrow_\name:
    begin_row \sums
    .balign 4
.Lloop_\name:
    .rept  \unrolled - 1
    step_\name words, 0
    .endr
    step_\name words, 1
    cmp    r1, lr
    bne.w  .Lloop_\name
    ldr    pc, [sp, #STORE]

    .balign 4
.Lstore_\name:
    store_row \name, \sums
.Lend_row_\name:
    end_row \name
    end_channel \name

    .balign 4
.Lfirst_of_two_\name:
    larger r2, r3
    larger r4, r5
    .ifc   \name, six
    larger r6, r7
    str    r6, [sp, #LARGEST + 8]
    .endif
    strd   r2, r4, [sp, #LARGEST]
    adr    r0, .Lsecond_of_two_\name + 1
    str    r0, [sp, #STORE]
    b.w    .Lrow_\name

    .balign 4
.Lsecond_of_two_\name:
    ldrd   r8, r9, [sp, #LARGEST]
    larger r2, r3
    larger r4, r5
    larger r2, r8
    larger r4, r9
    .ifc   \name, six
    ldr    r8, [sp, #LARGEST + 8]
    larger r6, r7
    larger r6, r8
    requantize r2, r4, r6
    .else
    requantize r2, r4
    .endif
    next_output
    store_two r2, r4
    .ifc   \name, six
    add    r0, r0, r1, lsl #1
    strb   r6, [r0]
    .endif
    adr    r0, .Lfirst_of_two_\name + 1
    str    r0, [sp, #STORE]
    b.w    .Lend_row_\name
    .size  conv_2d_rows_\name, . - conv_2d_rows_\name
    .endm

    make_rows six, 3, r2, r3, r4, r5, r6, r7
    make_rows four, 6, r2, r3, r4, r5

/* Filters as they lie. pairs: of steps of a round, 1 or 3, as a row has three or a multiple. */
    .macro make_byte_rows columns, pairs, sums:vararg
    routine conv_2d_rows_\columns\()_bytes
    begin_piece
    .balign 4
.Lchannel_\columns\()_bytes:
    begin_channel
.Lstrip_\columns\()_bytes:
    begin_strip
    .balign 4
.Lrow_\columns\()_bytes:
    begin_row \sums
    .balign 4
.Lloop_\columns\()_bytes:
    .rept  \pairs - 1
    step_\columns first, 0
    step_\columns second, 0
    .endr
    step_\columns first, 0
    step_\columns second, 1
    cmp    r1, lr
    bne.w  .Lloop_\columns\()_bytes
    store_row \columns, \sums
    end_row \columns\()_bytes
    ldrd   r0, r1, [sp, #FILTER]        /* the next channel's lie behind */
    sub    r0, r1, r0
    add    r0, r0, r1
    strd   r1, r0, [sp, #FILTER]
    end_channel \columns\()_bytes
    .size  conv_2d_rows_\columns\()_bytes, . - conv_2d_rows_\columns\()_bytes
    .endm

    make_byte_rows six, 1, r2, r3, r4, r5, r6, r7
    make_byte_rows four, 3, r2, r3, r4, r5

/* Makes two words of two int16 of each four bytes from r0 on: of bytes 0, 2, then of 1, 3. To r1 on, up to FILTER_END; of
 * the words there are a multiple of 18. Leaves r0 behind the bytes. */
    .macro widen_four
    ldm    r0!, {r4, r6, r8, r10}
    sxtb16 r3, r4
    sxtb16 r4, r4, ror #8
    sxtb16 r5, r6
    sxtb16 r6, r6, ror #8
    sxtb16 r7, r8
    sxtb16 r8, r8, ror #8
    sxtb16 r9, r10
    sxtb16 r10, r10, ror #8
    stm    r1!, {r3-r10}
    .endm

    routine conv_2d_rows_widen
    ldr    r2, [sp, #FILTER_END]
    .balign 4
1:  widen_four
    widen_four
    ldr    r4, [r0], #4
    sxtb16 r3, r4
    sxtb16 r4, r4, ror #8
    stm    r1!, {r3, r4}
    cmp    r1, r2
    bne    1b
    bx     lr
    .size  conv_2d_rows_widen, . - conv_2d_rows_widen
    .end
