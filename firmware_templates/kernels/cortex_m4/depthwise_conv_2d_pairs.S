/* The loops of DEPTHWISE_CONV_2D with windows of any size:
 *
 *   void depthwise_conv_2d_pairs_channels(const struct call *call)
 *
 * makes some lines of the output, four channels after the other. What lies beneath is laid out as pairs: a word holds
 * the int16 of one channel in two neighbouring places of the input, (0, 1), (2, 3) and so on. A window that begins at
 * an even place meets the pairs (w0, w1), (w2, w3) ... of its weights, one that begins at an odd place (0, w0),
 * (w1, w2) ...; so both forms are made of each channel's weights, and pixels are laid once.
 *
 * A window's words are cut into segments, of 1 to 5 words side by side. A segment of four outputs takes its weights
 * and so many words of pixels that all four find theirs: for 5 words and stride 1, 13 loads and 20 SMLAD. A form of
 * the weights is a stream of segments,
 *
 *   the words of weights; int32 distance in bytes from this segment's pixels to those of the next, 0 behind the last
 *
 * Words of pixels lie POSITION bytes apart, those of the other three channels between them.
 *
 * Rescaling is that of depthwise_conv_2d_3x3.S: two instructions where a channel's weights are taken times 2^e, five
 * else (`any shift`). Only the latter also clamps. All arithmetic wraps modulo 2^32; the generator proves that the
 * final sums fit.
 */
#include "routine.h"
#include "depthwise_macros.h"

    .equ POSITION, 16

/* struct call */
    .equ JOBS, 0
    .equ PLACES, 8
    .equ PLACES_END, 12
    .equ LINES, 16
    .equ FILTERS, 24            /* and what follows: CHANNELS, TAPS, CLAMPS, OUTPUT_ZERO, STEP */
    .equ CHANNELS, 28
    .equ WIDEN, 48
    .equ RUNS, 52

/* On the stack. The first seven are read at once, when four sums are there. */
    .equ MULTIPLIER, 0
    .equ ADDEND, 4              /* of the rescaled sum */
    .equ STEP, 8                /* from an output to the next */
    .equ Y, 12                  /* the next output */
    .equ COUNT, 16              /* outputs left of the line behind the next four */
    .equ DATA, 20               /* pixels of the next output */
    .equ SHIFT, 24              /* negative where the channel is scaled */
    .equ WEIGHTS, 28
    .equ START, 32              /* of the sum */
    .equ UP, 36                 /* what makes the floor 0, and what makes it the floor again */
    .equ CALL, 44
    .equ OFFSET, 48             /* the first of four channels */
    .equ DONE, 52               /* channels before it */
    .equ CHANNEL, 56            /* of four */
    .equ LINE, 60               /* the next one */
    .equ LINES_END, 64
    .equ DATA_OFFSET, 68        /* of the channel, in the words of pixels */
    .equ Y_OFFSET, 72           /* in the output */
    .equ RETURN, 76
    .equ FRAME, 80

/* --- All channels --- */
    routine depthwise_conv_2d_pairs_channels
    push   {r4-r11, lr}
    sub    sp, #FRAME
    movs   r1, #0
    str    r0, [sp, #CALL]
    str    r1, [sp, #DONE]
four:
    ldr    r0, [sp, #CALL]
    ldr    r3, [sp, #DONE]
    ldr    r2, [r0, #CHANNELS]
    subs   r2, r2, #4                   /* the last channels are made twice where no full four are left */
    cmp    r3, r2
    it     gt
    movgt  r3, r2
    str    r3, [sp, #OFFSET]
    ldrd   r0, lr, [r0, #JOBS]
    b      jobs
job:                                    /* r0 job, r3 offset, lr end of the jobs; the others as lay_positions has them */
    ldm    r0!, {r2, r4-r7, r12}
    add    r4, r4, r3
    add    r5, r5, r3
    lay_positions 4, POSITION, 0
jobs:
    cmp    r0, lr
    bne    job
    movs   r3, #0
channel:
    ldr    r0, [sp, #CALL]
    ldr    r1, [sp, #OFFSET]
    str    r3, [sp, #CHANNEL]
    lsls   r2, r3, #2
    adds   r1, r1, r3
    strd   r2, r1, [sp, #DATA_OFFSET]
    add    r12, r0, #FILTERS
    ldm    r12, {r4-r9}
    add    r10, r4, r1, lsl #3
    ldrd   r10, r11, [r10]              /* start, multiplier */
    add    r4, r4, r5, lsl #3
    mla    r2, r1, r6, r4               /* weights */
    mla    r3, r5, r6, r4
    ldrb   r3, [r3, r1]                 /* e */
    movs   r6, #128
    mvn    r12, #127
    cbz    r7, 1f
    ldrb   lr, [r7, r1]
    add    r7, r7, r5
    ldrb   r12, [r7, r1]
    subs   r7, lr, r12                  /* what lies above the ceiling */
    add    r8, r8, r7
    sub    r6, r6, lr
    sub    r12, r12, #128
1:  strd   r6, r12, [sp, #UP]
    subs   r6, r3, #ANY_SHIFT
    bpl    2f
    lsls   r8, r8, #FRACTION
    movs   r7, #1
    lsls   r7, r7, r3
    add    r8, r8, r7, lsr #2
    add    r8, r8, #1 << (FRACTION - 1)
    b      3f
2:  lsls   r8, r8, #1
    adds   r8, r8, #1
    lsls   r8, r8, r6
    asrs   r8, r8, #1
    movs   r3, #1
3:  str    r11, [sp, #MULTIPLIER]
    str    r8, [sp, #ADDEND]
    str    r9, [sp, #STEP]
    str    r6, [sp, #SHIFT]
    str    r10, [sp, #START]
    ldr    r1, [r0, #PLACES_END]
    ldr    r12, [r0, #WIDEN]
    ldr    r0, [r0, #PLACES]
    blx    r12
    ldr    r0, [sp, #CALL]
    ldrd   r2, r3, [r0, #LINES]
    strd   r2, r3, [sp, #LINE]
    ldr    r12, [r0, #RUNS]
    blx    r12
    ldr    r3, [sp, #CHANNEL]
    adds   r3, r3, #1
    cmp    r3, #4
    bne    channel
    ldr    r0, [sp, #CALL]
    ldr    r3, [sp, #DONE]
    ldr    r2, [r0, #CHANNELS]
    adds   r3, r3, #4
    str    r3, [sp, #DONE]
    cmp    r3, r2
    blt.w  four
    add    sp, #FRAME
    pop    {r4-r11, pc}
    .size  depthwise_conv_2d_pairs_channels, . - depthwise_conv_2d_pairs_channels

/* --- Weights of a channel ---
 *
 * r0 places: of each row of taps side by side, where it goes in the form for even places and in that for odd ones;
 * r1 their end, r2 weights, r3 e; r4 and r5 the places, r6 to r10 taps.
 */
    .macro widen taps
    routine depthwise_conv_2d_pairs_widen_\taps
1:  ldrd   r4, r5, [r0], #8
    .irp   tap, 0, 1, 2, 3, 4
    .if    \tap < \taps
    ldrsb  tap\tap, [r2], #1
    .endif
    .endr
    .irp   tap, 0, 1, 2, 3, 4
    .if    \tap < \taps
    lsl    tap\tap, tap\tap, r3
    .endif
    .endr
    .irp   tap, 0, 1, 2, 3, 4
    .if    \tap < \taps
    strh   tap\tap, [r4, #4 * \tap]
    strh   tap\tap, [r5, #4 * \tap]
    .endif
    .endr
    cmp    r0, r1
    bne    1b
    bx     lr
    .size  depthwise_conv_2d_pairs_widen_\taps, . - depthwise_conv_2d_pairs_widen_\taps
    .endm

tap0 .req r6
tap1 .req r7
tap2 .req r8
tap3 .req r9
tap4 .req r10

    widen  1
    widen  2
    widen  3
    widen  4
    widen  5

/* --- Outputs of a channel ---
 *
 * r0 pixels, r1 weights, r2 to r5 sums of four outputs. The pool holds the weights of the segment, then words of
 * pixels, as many as there is room for; those are used up before the next ones are loaded. The distance to the next
 * segment is the last of these words.
 */
sum0 .req r2
sum1 .req r3
sum2 .req r4
sum3 .req r5
pool0 .req r6
pool1 .req r7
pool2 .req r8
pool3 .req r9
pool4 .req r10
pool5 .req r11
pool6 .req r12
pool7 .req lr

    .macro load_pool place, address:vararg
    .irp   n, 0, 1, 2, 3, 4, 5, 6, 7
    .if    (\place) == \n
    ldr    pool\n, \address
    .endif
    .endr
    .endm

/* Word number `word` of pixels is in `place`: output o has its first word in number stride * o. */
    .macro multiply columns, stride, word, place
    .irp   output, 0, 1, 2, 3
    .irp   column, 0, 1, 2, 3, 4
    .if    (\column < \columns) && (\stride * \output + \column == \word)
    .irp   n, 0, 1, 2, 3, 4, 5, 6, 7
    .if    (\place) == \n
    smlad  sum\output, pool\n, pool\column, sum\output
    .endif
    .endr
    .endif
    .endr
    .endr
    .endm

    .macro segment columns, stride
    .irp   column, 0, 1, 2, 3, 4
    .if    \column < \columns
    ldr    pool\column, [r1, #4 + 4 * \column]
    .endif
    .endr
    .irp   word, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    .if    \word < 3 * \stride + \columns
    load_pool \columns + \word % (8 - \columns), [r0, #POSITION * \word]
    .endif
    .if    \word == 3 * \stride + \columns
    load_pool \columns + \word % (8 - \columns), [r1, #4 + 4 * \columns]!
    .endif
    .if    (\word <= 3 * \stride + \columns) && ((\word == 3 * \stride + \columns) || ((\word + 1) % (8 - \columns) == 0))
    .irp   used, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    .if    (\used <= \word) && (\used / (8 - \columns) == \word / (8 - \columns))
    multiply \columns, \stride, \used, \columns + \used % (8 - \columns)
    .endif
    .endr
    .endif
    .endr
    .endm

/* Adds the distance to r0; flags: whether there was one. */
    .macro to_next_segment place
    .irp   n, 0, 1, 2, 3, 4, 5, 6, 7
    .if    (\place) == \n
    add    r0, r0, pool\n
    cmp    pool\n, #0
    .endif
    .endr
    .endm

/* r9 where the first goes, then the third; r8 from one to the next. Leaves the flags as they are. */
    .macro store_four
    strb   r2, [r9]
    strb   r3, [r9, r8]
    add    r9, r9, r8, lsl #1
    strb   r4, [r9]
    strb   r5, [r9, r8]
    .endm

    .macro runs columns, stride
    routine depthwise_conv_2d_pairs_runs_\columns\()_\stride
    str    lr, [sp, #RETURN]
1:  ldr    r12, [sp, #LINE]             /* a line */
    ldm    r12!, {r1, r9-r11}
    ldrd   r2, r3, [sp, #DATA_OFFSET]
    str    r12, [sp, #LINE]
    str    r1, [sp, #WEIGHTS]
    add    r9, r9, r3
    add    r11, r11, r2
    subs   r10, r10, #4
2:  str    r9, [sp, #Y]                 /* four outputs */
    str    r10, [sp, #COUNT]
    str    r11, [sp, #DATA]
    ldrd   r1, r2, [sp, #WEIGHTS]
    mov    r0, r11
    mov    r3, r2
    mov    r4, r2
    mov    r5, r2
    .balign 4
3:  segment \columns, \stride
    to_next_segment \columns + (3 * \stride + \columns) % (8 - \columns)
    bne    3b
    ldm    sp, {r6-r12}
    cmp    r12, #0
    bge    7f
    smmla  r2, r2, r6, r7
    smmla  r3, r3, r6, r7
    smmla  r4, r4, r6, r7
    smmla  r5, r5, r6, r7
    ssat   r2, #8, r2, asr #FRACTION
    ssat   r3, #8, r3, asr #FRACTION
    ssat   r4, #8, r4, asr #FRACTION
    ssat   r5, #8, r5, asr #FRACTION
4:  subs   r10, r10, #4
    blt    5f                           /* less than four are left behind these */
    store_four
    add    r9, r9, r8, lsl #1
    add    r11, r11, #4 * \stride * POSITION
    b      2b
5:  cmn    r10, #4
    blt    6f
    store_four
    beq    8f
    adds   r10, r10, #4                 /* the last four begin so much earlier that they end the line */
    sub    r6, r10, #2
    mla    r9, r6, r8, r9
    add    r11, r11, r10, lsl #3 + \stride
    movs   r10, #0
    b      2b
6:  strb   r2, [r9]                     /* a line of less than four */
    adds   r10, r10, #7
    beq    8f
    strb   r3, [r9, r8]
    cmp    r10, #1
    beq    8f
    strb   r4, [r9, r8, lsl #1]
    b      8f
7:  bl     depthwise_conv_2d_pairs_any_shift
    b      4b
8:  ldrd   r0, r1, [sp, #LINE]
    cmp    r0, r1
    bne    1b
    ldr    pc, [sp, #RETURN]
    .size  depthwise_conv_2d_pairs_runs_\columns\()_\stride, . - depthwise_conv_2d_pairs_runs_\columns\()_\stride
    .endm

    .irp   columns, 1, 2, 3, 4, 5
    runs   \columns, 1
    runs   \columns, 2
    .endr

/* Four sums of a channel that is not scaled become bytes, clamped: r2 to r5, with multiplier r6, addend r7, shift r12.
 * r0 and r1 for the clamps. */
    routine depthwise_conv_2d_pairs_any_shift
    ldrd   r0, r1, [sp, #UP]
    .irp   sum, r2, r3, r4, r5
    smmulr \sum, \sum, r6
    add    \sum, \sum, \sum, asr #31
    add    \sum, \sum, r7
    asr    \sum, \sum, r12
    ssat   \sum, #8, \sum
    add    \sum, \sum, r0
    usat   \sum, #8, \sum
    add    \sum, \sum, r1
    .endr
    bx     lr
    .size  depthwise_conv_2d_pairs_any_shift, . - depthwise_conv_2d_pairs_any_shift
    .end
