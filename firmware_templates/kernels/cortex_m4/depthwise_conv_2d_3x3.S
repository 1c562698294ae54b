/* The loops of DEPTHWISE_CONV_2D, 3 x 3, stride 1 or 2:
 *
 *   void depthwise_conv_2d_3x3_lines_<stride>(const struct lines *lines)
 *
 * makes some lines of the output, four channels after the other. A line is a row or a column. What lies beneath is
 * laid out as pairs: a word holds the int16 of one channel in two neighbouring input lines. For stride 1, two output
 * lines need two pairs,
 *
 *   even line    P = (0, 1)  and the lower half of  Q = (2, 3)
 *   odd line     Q           and the upper half of  P
 *
 * so that a column of taps is one SMLAD and one multiplication of halves. P and Q lie side by side, once for each
 * position along the line and each of four channels (8 bytes times 4). With stride 2 all lines are even ones; there
 * each pair lies alone (4 bytes times 4). Lines follow each other without a break: an output whose window would reach
 * into the next line is made as well, and left out when bytes are stored.
 *
 * Rescaling. A filter's multiplier m and shift to the right s turn a sum into x = floor((sum * m + 2^30) / 2^31), then
 * x / 2^s with halves away from zero. Weights are taken times 2^e, e = FRACTION + 1 - s, so that sums A are as well:
 *
 *   SMMLA(A, m, c) >> FRACTION,   c = 2^(FRACTION - 1) + 2^(e - 2) + 2^FRACTION * zero point
 *
 * is both roundings at once, half up, since nested floors merge; the shift is part of SSAT. Half up is right for all
 * results that are not below zero, and where a layer has a ReLU no other one shows. All other filters (`any shift`)
 * have e = 1, with which SMMULR(A, m) is x; x - 1 for a negative x rounds halves away from zero. Without a shift there
 * is no second rounding; a ReLU then hides the x - 1.
 *
 * All arithmetic wraps modulo 2^32; the generator proves that the final sums fit.
 */
    .syntax unified
    .thumb
    .section .ramcode, "ax", %progbits
#include "depthwise_macros.h"

/* struct lines */
    .equ PAIRS, 0
    .equ TO, 4
    .equ POSITIONS, 8
    .equ LINE_BYTES, 12
    .equ MORE, 16
    .equ LAST, 20
    .equ LAID, 24
    .equ EVEN, 28
    .equ EVEN_COUNT, 32
    .equ ODD, 36
    .equ ODD_COUNT, 40
    .equ FILTERS, 44
    .equ CHANNELS, 48
    .equ CLAMPS, 52
    .equ OUTPUT_ZERO, 56
    .equ STORED, 60             /* r0 to r9 of the third pass */

/* On the stack */
    .equ CALL, 0                /* struct lines */
    .equ OFFSET, 4              /* the first of four channels */
    .equ DONE, 8                /* channels before it */
    .equ P, 12                  /* first pass: where the last pair went */
    .equ LEFT, 16               /* pairs to come */
    .equ FILTER, 12             /* second pass: the first of four channels */
    .equ CHANNEL, 16            /* of four */
    .equ START, 20              /* of the sum, for any shift */
    .equ ZERO, 24               /* of the output */
    .equ ABOVE, 28              /* 127 - ceiling of each channel, a byte */
    .equ LASTS, 32              /* weight 8 of each channel */
    .equ EXPONENTS, 36          /* e, or the shift */
    .equ LINE_STEP, 12          /* third pass */
    .equ DOWN, 16
    .equ UP, 20
    .equ RETURN, 24
    .equ FRAME, 44

/* --- First pass: bytes of four channels become pairs ---
 *
 * r0 pairs, r1 struct lines; the others as lay_positions has them.
 */
    .macro lay_pair step, next, twice
    ldm    r0!, {r4-r7}
    ldr    r8, [sp, #OFFSET]
    ldr    r12, [r1, #POSITIONS]
    add    r4, r4, r8
    add    r5, r5, r8
    lay_positions \step, \next, \twice
    .endm

/* P goes to the next line; Q to where P went before. */
    .macro next_line
    ldr    r3, [sp, #P]
    ldr    r8, [r1, #LINE_BYTES]
    add    r2, r3, r8
    str    r2, [sp, #P]
    adds   r3, r3, #4
    .endm

    .macro begin_laying
    ldr    r1, [sp, #CALL]
    ldr    r0, [r1, #PAIRS]
    ldr    r2, [r1, #TO]
    ldr    r3, [r1, #MORE]
    strd   r2, r3, [sp, #P]
    .endm

/* The first pair is P only, all between are both, and the last one, where it is not left out, is Q only. */
    .macro lay_1
    begin_laying
    bl     lay_once_1
    b      2f
    .balign 4
1:  str    r4, [sp, #LEFT]
    next_line
    bl     lay_twice_1
2:  ldr    r4, [sp, #LEFT]
    subs   r4, r4, #1
    bpl    1b
    ldr    r3, [r1, #LAST]
    cbz    r3, 3f
    ldr    r2, [sp, #P]
    adds   r2, r2, #4
    bl     lay_once_1
3:
    .endm

    .macro lay_2
    begin_laying
    b      2f
    .balign 4
1:  str    r4, [sp, #LEFT]
    next_line
2:  bl     lay_once_2
    ldr    r4, [sp, #LEFT]
    subs   r4, r4, #1
    bpl    1b
    .endm

    .balign 4
    .thumb_func
    .type  lay_once_1, %function
lay_once_1:
    lay_pair 8, 32, 0
    bx     lr
    .size  lay_once_1, . - lay_once_1
    .balign 4
    .thumb_func
    .type  lay_twice_1, %function
lay_twice_1:
    lay_pair 8, 32, 1
    bx     lr
    .size  lay_twice_1, . - lay_twice_1
    .balign 4
    .thumb_func
    .type  lay_once_2, %function
lay_once_2:
    lay_pair 4, 16, 0
    bx     lr
    .size  lay_once_2, . - lay_once_2

/* --- Second pass: channel after channel, a byte of each word of outputs ---
 *
 * r0 pairs, r1 bytes of the output; r2 to r4 weights of the pairs, one for each column of taps; r5 those of the third
 * line for the first two columns, r6 for the last one in its lower half and what is left to do in its upper half; r7
 * start of the sum, or the shift where it is any; r8 multiplier, r9 c, r10 P, r11 Q, r12 and lr sums. With stride 2,
 * lr is where the Q lie.
 */
    .macro start sum, any_shift, pair
    .if    \any_shift
    ldr    \sum, [sp, #START]
    smlad  \sum, \pair, r2, \sum
    .else
    smlad  \sum, \pair, r2, r7
    .endif
    .endm

    .macro store sum, any_shift
    .if    \any_shift
    smmulr \sum, \sum, r8
    add    \sum, \sum, \sum, asr #31
    add    \sum, \sum, r9
    asr    \sum, \sum, r7
    ssat   \sum, #8, \sum
    .else
    smmla  \sum, \sum, r8, r9
    ssat   \sum, #8, \sum, asr #FRACTION
    .endif
    strb   \sum, [r1], #4
    .endm

/* One more position: it ends the window of `sum`, is the middle of that of `next`, and begins another one. */
    .macro output_1 sum, next, any_shift, pair, third, half
    ldrd   r10, r11, [r0], #32
    smlad  \sum, \pair, r4, \sum
    smla\half\()b \sum, \third, r6, \sum
    store  \sum, \any_shift
    smlad  \next, \pair, r3, \next
    smla\half\()t \next, \third, r5, \next
    start  \sum, \any_shift, \pair
    smla\half\()b \sum, \third, r5, \sum
    .endm

/* r11 counts halves of a round, two outputs each; the loop is entered in the middle for an odd number. For any shift,
 * a round is no more than that half. */
    .macro count_rounds any_shift
    subs   r11, r11, #1
    .if    \any_shift == 0
    lsrs   r11, r11, #1
    .endif
    add    r6, r6, r11, lsl #16
    .endm

    .macro line_1 any_shift, pair, third, half
    count_rounds \any_shift
    ldrd   r10, r11, [r0], #32
    start  r12, \any_shift, \pair
    smla\half\()b r12, \third, r5, r12
    ldrd   r10, r11, [r0], #32
    smlad  r12, \pair, r3, r12
    smla\half\()t r12, \third, r5, r12
    start  lr, \any_shift, \pair
    smla\half\()b lr, \third, r5, lr
    .if    \any_shift == 0
    bcc.w  2f
    .endif
    .balign 4
1:
    .if    \any_shift == 0
    output_1 r12, lr, \any_shift, \pair, \third, \half
    output_1 lr, r12, \any_shift, \pair, \third, \half
    .endif
2:  output_1 r12, lr, \any_shift, \pair, \third, \half
    output_1 lr, r12, \any_shift, \pair, \third, \half
    subs   r6, r6, #0x10000
    bcs.w  1b
    .endm

/* The same with stride 2: two more positions, of which the second also begins the next window. */
    .macro load_2
    ldr    r10, [r0], #16
    ldr    r11, [lr], #16
    .endm

    .macro output_2 any_shift
    load_2
    smlad  r12, r10, r3, r12
    smlabt r12, r11, r5, r12
    load_2
    smlad  r12, r10, r4, r12
    smlabb r12, r11, r6, r12
    store  r12, \any_shift
    start  r12, \any_shift, r10
    smlabb r12, r11, r5, r12
    .endm

    .macro line_2 any_shift
    ldr    lr, [r10, #LINE_BYTES]
    add    lr, lr, r0
    count_rounds \any_shift
    load_2
    start  r12, \any_shift, r10
    smlabb r12, r11, r5, r12
    .if    \any_shift == 0
    bcc.w  2f
    .endif
    .balign 4
1:
    .if    \any_shift == 0
    output_2 \any_shift
    .endif
2:  output_2 \any_shift
    subs   r6, r6, #0x10000
    bcs.w  1b
    .endm

/* r0 and r1 at the channel's first position and output, r10 struct lines, r11 what the loop counts */
    .macro load_line stride, to, count
    ldr    r10, [sp, #CALL]
    ldr    lr, [sp, #CHANNEL]
    ldr    r0, [r10, #LAID]
    ldr    r1, [r10, #\to]
    ldr    r11, [r10, #\count]
    add    r0, r0, lr, lsl #4 - \stride
    add    r1, r1, lr
    .endm

/* Both lanes times 2^r12: r11 takes off what the lower one leaves in the upper one. */
    .macro scale lanes
    lsl    \lanes, \lanes, r12
    and    \lanes, \lanes, r11
    .endm

/* Weights of filter r1 of four as the loops want them, times 2^e; r9 the output's zero point and what lies above the
 * ceiling, r12 e. Not negative, and r1 the shift, where that is any. */
    .balign 4
    .thumb_func
    .type  load_filter, %function
load_filter:
    add    r0, sp, r1
    ldr    r12, [sp, #FILTER]
    ldr    r9, [sp, #ZERO]
    ldrb   r2, [r0, #ABOVE]
    ldrsb  r6, [r0, #LASTS]
    ldrb   r0, [r0, #EXPONENTS]
    add    r12, r12, r1, lsl #4
    ldm    r12, {r7, r8, r10, r11}      /* start, multiplier, weights 0 1 3 4, 6 2 7 5 */
    add    r9, r9, r2
    sxtb16 r2, r10
    sxtb16 r3, r10, ror #8
    sxtb16 r4, r11, ror #8
    sxtb16 r5, r11
    subs   r1, r0, #ANY_SHIFT
    ite    pl
    movpl  r12, #1
    movmi  r12, r0
    movw   r11, #0xFFFF
    lsl    r11, r11, r12
    pkhbt  r11, r11, r11, lsl #16
    scale  r2
    scale  r3
    scale  r4
    scale  r5
    lsl    r6, r6, r12
    uxth   r6, r6
    bx     lr
    .size  load_filter, . - load_filter

    .macro multiply stride
    ldr    r1, [sp, #CALL]
    ldr    r2, [sp, #OFFSET]
    ldr    r0, [r1, #FILTERS]
    ldr    r3, [r1, #CHANNELS]
    ldr    r4, [r1, #CLAMPS]
    add    r5, r2, r3, lsl #4
    add    r5, r5, r0                   /* their last weights, and the exponents behind all of these */
    ldr    r6, [r5]
    ldr    r7, [r5, r3]
    movs   r5, #0
    cbz    r4, 1f
    add    r4, r4, r2
    ldr    r5, [r4]
    ldr    r3, [r4, r3]
    usub8  r5, r5, r3                   /* (127 - ceiling + floor + 128) - (floor + 128) */
1:  ldr    r4, [r1, #OUTPUT_ZERO]
    add    r0, r0, r2, lsl #4
    movs   r1, #0
    strd   r0, r1, [sp, #FILTER]
    add    r0, sp, #ZERO
    stm    r0, {r4-r7}
channel_\stride:
    bl     load_filter
    bpl.w  any_shift_\stride
    movs   r10, #1
    lsl    r10, r10, r12
    lsl    r9, r9, #FRACTION
    add    r9, r9, r10, lsr #2
    add    r9, r9, #1 << (FRACTION - 1)
    both_lines_\stride 0
next_\stride:
    ldr    r1, [sp, #CHANNEL]
    adds   r1, r1, #1
    str    r1, [sp, #CHANNEL]
    cmp    r1, #4
    bne.w  channel_\stride
    .endm

    .macro multiply_any_shift stride
any_shift_\stride:
    str    r7, [sp, #START]
    mov    r7, r1
    lsl    r9, r9, #1
    add    r9, r9, #1
    lsl    r9, r9, r1
    asr    r9, r9, #1
    both_lines_\stride 1
    b      next_\stride
    .endm

    .macro both_lines_1 any_shift
    load_line 1, EVEN, EVEN_COUNT
    line_1 \any_shift, r10, r11, b
    load_line 1, ODD, ODD_COUNT
    cmp    r11, #0
    beq.w  next_1
    pkhbt  r10, r2, r3, lsl #16         /* of an odd line: the last two lines in pairs, and the first one */
    uxth   r12, r4
    lsl    lr, r5, #16
    pkhtb  r2, lr, r2, asr #16
    pkhtb  r3, r5, r3, asr #16
    lsls   r6, r6, #16
    pkhtb  r4, r6, r4, asr #16
    mov    r5, r10
    mov    r6, r12
    line_1 \any_shift, r11, r10, t
    .endm

    .macro both_lines_2 any_shift
    load_line 2, EVEN, EVEN_COUNT
    line_2 \any_shift
    .endm

/* --- Third pass: words of four channels go to the output, line by line; even and odd lines take turns ---
 *
 * r0 the line's words, r1 the other lines', r2 where the line begins in the output, r3 from a word to the next there,
 * r4 from a line to the next, r5 end of the output, r6 its bytes (lines may lie in a ring), r7 words of a line, r8
 * lines left, r9 bytes of words that are left out behind each line; r10, r11 words, r12 where they go, lr words left.
 */
    .macro words_to_output clamped
1:  mov    r12, r2
    subs   lr, r7, #2
    blt    3f
    .balign 4
2:  ldr    r10, [r0], #4
    ldr    r11, [r0], #4
    .if    \clamped
    clamp_words
    .endif
    str    r10, [r12]
    str    r11, [r12, r3]
    add    r12, r12, r3, lsl #1
    subs   lr, lr, #2
    bge    2b
3:  adds   lr, lr, #1
    bne    4f
    ldr    r10, [r0], #4
    .if    \clamped
    clamp_words
    .endif
    str    r10, [r12]
4:  ldr    r4, [sp, #LINE_STEP]
    add    r10, r0, r9
    mov    r0, r1
    mov    r1, r10
    add    r2, r2, r4
    cmp    r2, r5
    it     hs
    subhs  r2, r2, r6
    subs   r8, r8, #1
    bne    1b
    .endm

/* r10 and r11. What is above the ceiling is cut already: down to the floor, which becomes 0, and up again. */
    .macro clamp_words
    ldr    r4, [sp, #DOWN]
    eor    r10, r10, #0x80808080
    eor    r11, r11, #0x80808080
    uqsub8 r10, r10, r4
    uqsub8 r11, r11, r4
    ldr    r4, [sp, #UP]
    uqadd8 r10, r10, r4
    uqadd8 r11, r11, r4
    eor    r10, r10, #0x80808080
    eor    r11, r11, #0x80808080
    .endm

    .balign 4
    .thumb_func
    .type  store_lines, %function
store_lines:
    ldr    r12, [sp, #CALL]
    str    lr, [sp, #RETURN]
    ldr    r11, [r12, #CLAMPS]
    add    r10, r12, #STORED
    ldm    r10, {r0-r9}
    ldr    r10, [sp, #OFFSET]
    str    r4, [sp, #LINE_STEP]
    add    r2, r2, r10
    cmp    r11, #0
    bne    5f
    words_to_output 0
    ldr    pc, [sp, #RETURN]
5:  ldr    r12, [r12, #CHANNELS]
    add    r10, r10, r11
    ldr    r11, [r10]
    ldr    r10, [r10, r12]
    strd   r11, r10, [sp, #DOWN]
    words_to_output 1
    ldr    pc, [sp, #RETURN]
    .size  store_lines, . - store_lines

/* --- All channels --- */
    .macro lines stride
    .balign 4
    .global depthwise_conv_2d_3x3_lines_\stride
    .thumb_func
    .type  depthwise_conv_2d_3x3_lines_\stride, %function
depthwise_conv_2d_3x3_lines_\stride:
    push   {r4-r11, lr}
    sub    sp, #FRAME
    movs   r1, #0
    strd   r0, r1, [sp, #CALL]
    str    r1, [sp, #DONE]
four_\stride:
    lay_\stride
    multiply \stride
    bl     store_lines
    ldr    r0, [sp, #CALL]
    ldr    r2, [sp, #DONE]
    ldr    r1, [r0, #CHANNELS]
    adds   r2, r2, #4
    str    r2, [sp, #DONE]
    subs   r3, r1, #4                   /* the last channels are made twice where no full four are left */
    cmp    r2, r3
    ite    lt
    strlt  r2, [sp, #OFFSET]
    strge  r3, [sp, #OFFSET]
    cmp    r2, r1
    blt.w  four_\stride
    add    sp, #FRAME
    pop    {r4-r11, pc}
    multiply_any_shift \stride
    .size  depthwise_conv_2d_3x3_lines_\stride, . - depthwise_conv_2d_3x3_lines_\stride
    .endm

    lines  1
    lines  2
    .end
