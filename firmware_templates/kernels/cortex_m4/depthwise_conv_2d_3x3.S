/* The loops of DEPTHWISE_CONV_2D, 3 x 3, stride 1 or 2: four channels of some output lines.
 *
 * A line is a row of the output, or a column of it. What lies beneath is laid out as pairs: a word holds the int16 of
 * one channel in two neighbouring input lines. For stride 1, two output lines need two pairs,
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
 * x / 2^s with halves away from zero. Weights are stored times 2^e, e = FRACTION + 1 - s, so that sums A are as well:
 *
 *   SMMLA(A, m, c) >> FRACTION,   c = 2^(FRACTION - 1) + 2^(e - 2) + 2^FRACTION * zero point
 *
 * is both roundings at once, half up, since nested floors merge; the shift is part of SSAT. Half up is right for all
 * results that are not below zero, and where a layer has a ReLU no other one shows. All other filters (`any shift`)
 * keep e = 1, with which SMMULR(A, m) is x; x - 1 for a negative x rounds halves away from zero.
 *
 * All arithmetic wraps modulo 2^32; the generator proves that the final sums fit.
 */
    .syntax unified
    .thumb
    .section .ramcode, "ax", %progbits

    .equ FRACTION, 10
    .equ POSITION, 32           /* bytes of a position along a line: P and Q of four channels, */
    .equ POSITION_2, 16         /* or with stride 2 one pair of each */

    .macro routine name
    .balign 4
    .global \name
    .thumb_func
    .type  \name, %function
\name:
    .endm

/* void depthwise_conv_2d_3x3_multiply_<stride>(const struct lines *lines, const int32_t *filters)
 *
 * Registers in the loops: r0 pairs, r1 bytes of the output; r2 to r4 weights of the pairs, one for each column of
 * taps; r5 those of the third line for the first two columns, r6 for the last one in its lower half and what is left
 * to do in its upper half; r7 start of the sum, or the shift where it is any; r8 multiplier, r9 c, r10 P, r11 Q,
 * r12 and lr sums. With stride 2, lr is where the Q lie.
 */
    .equ START, 0               /* on the stack */
    .equ LINES, 4
    .equ FILTER, 8
    .equ CHANNEL, 12
    .equ FRAME, 16

    .equ PAIRS, 0               /* struct lines */
    .equ EVEN, 4
    .equ EVEN_COUNT, 8
    .equ ODD, 12
    .equ ODD_COUNT, 16
    .equ Q_BYTES, 20            /* with stride 2, from P to Q */

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
    .macro output sum, next, any_shift, pair, third, half
    ldrd   r10, r11, [r0], #POSITION
    smlad  \sum, \pair, r4, \sum
    smla\half\()b \sum, \third, r6, \sum
    store  \sum, \any_shift
    smlad  \next, \pair, r3, \next
    smla\half\()t \next, \third, r5, \next
    start  \sum, \any_shift, \pair
    smla\half\()b \sum, \third, r5, \sum
    .endm

/* Outputs of a line, r11 pairs of them. The loop makes two pairs; it is entered in the middle for an odd number. */
    .macro line any_shift, pair, third, half
    subs   r11, r11, #1
    lsrs   r11, r11, #1
    add    r6, r6, r11, lsl #16
    ldrd   r10, r11, [r0], #POSITION
    start  r12, \any_shift, \pair
    smla\half\()b r12, \third, r5, r12
    ldrd   r10, r11, [r0], #POSITION
    smlad  r12, \pair, r3, r12
    smla\half\()t r12, \third, r5, r12
    start  lr, \any_shift, \pair
    smla\half\()b lr, \third, r5, lr
    bcc.w  2f
    .balign 4
1:  output r12, lr, \any_shift, \pair, \third, \half
    output lr, r12, \any_shift, \pair, \third, \half
2:  output r12, lr, \any_shift, \pair, \third, \half
    output lr, r12, \any_shift, \pair, \third, \half
    subs   r6, r6, #0x10000
    bcs.w  1b
    .endm

/* The same with stride 2: two more positions, of which the second also begins the next window. */
    .macro load_2
    ldr    r10, [r0], #POSITION_2
    ldr    r11, [lr], #POSITION_2
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
    ldr    r12, [sp, #LINES]
    ldr    lr, [r12, #Q_BYTES]
    add    lr, lr, r0
    subs   r11, r11, #1
    lsrs   r11, r11, #1
    add    r6, r6, r11, lsl #16
    load_2
    start  r12, \any_shift, r10
    smlabb r12, r11, r5, r12
    bcc.w  2f
    .balign 4
1:  output_2 \any_shift
2:  output_2 \any_shift
    subs   r6, r6, #0x10000
    bcs.w  1b
    .endm

/* r0 and r1 at the first position and output of the channel, r11 the count of outputs */
    .macro load_line stride, to, count
    ldr    r10, [sp, #LINES]
    ldr    lr, [sp, #CHANNEL]
    ldr    r0, [r10, #PAIRS]
    ldr    r1, [r10, #\to]
    ldr    r11, [r10, #\count]
    add    r0, r0, lr, lsl #4 - \stride
    add    r1, r1, lr
    .endm

/* The filter's words from r2 on; for any shift the stack keeps its start, and its shift is r7. */
    .macro multiply stride
routine depthwise_conv_2d_3x3_multiply_\stride
    push   {r4-r11, lr}
    sub    sp, #FRAME
    strd   r0, r1, [sp, #LINES]
    movs   r2, #0
    str    r2, [sp, #CHANNEL]
channel_\stride:
    ldr    r12, [sp, #FILTER]
    ldm    r12!, {r2-r9}
    str    r12, [sp, #FILTER]
    load_line \stride, EVEN, EVEN_COUNT
    lsrs   r12, r6, #16
    bne.w  any_shift_\stride
    lines_\stride 0
next_\stride:
    ldr    r0, [sp, #CHANNEL]
    adds   r0, r0, #1
    str    r0, [sp, #CHANNEL]
    cmp    r0, #4
    bne.w  channel_\stride
    add    sp, #FRAME
    pop    {r4-r11, pc}
any_shift_\stride:
    str    r7, [sp, #START]
    mov    r7, r12
    uxth   r6, r6
    lines_\stride 1
    b.w    next_\stride
    .size  depthwise_conv_2d_3x3_multiply_\stride, . - depthwise_conv_2d_3x3_multiply_\stride
    .endm

    .macro lines_1 any_shift
    line   \any_shift, r10, r11, b
    ldr    r12, [sp, #FILTER]
    ldm    r12!, {r2-r6}                /* of the odd line; r7 to r9 stay */
    str    r12, [sp, #FILTER]
    load_line 1, ODD, ODD_COUNT
    cmp    r11, #0
    beq.w  next_1
    line   \any_shift, r11, r10, t
    .if    \any_shift == 0
    b.w    next_1
    .endif
    .endm

    .macro lines_2 any_shift
    line_2 \any_shift
    .endm

    multiply 1
    multiply 2

/* void depthwise_conv_2d_3x3_lay_1(const struct pair *pairs, const struct layout *layout, int32_t channel)
 * void depthwise_conv_2d_3x3_lay_2(const struct pair *pairs, const struct layout *layout, int32_t channel)
 *
 * Widens the bytes of four channels. With stride 1, pair i is P of output lines 2i and 2i + 1 and Q of those before;
 * the first one is P only, the last one, where it is not left out, Q only. With stride 2 each is laid once.
 *
 * r0 pairs, r1 layout, r2 P, r3 Q, r4 and r5 bytes of both input lines, r6 and r7 their steps, r8 to r11 temporary,
 * r12 positions left, lr pairs left; the stack keeps channel and P.
 */
    .equ TO, 0                  /* struct layout */
    .equ COUNT, 4
    .equ LINE_BYTES, 8
    .equ TWICE, 12              /* pairs that are laid twice; all but one with stride 2 */
    .equ LAST, 16               /* whether one more is laid */

    .macro words_of base, step, next
    str    r9, [\base, #\step]
    str    r10, [\base, #2 * \step]
    str    r11, [\base, #3 * \step]
    str    r8, [\base], #\next
    .endm

    .macro lay_position step, next, first, second
    ldr    r8, [r4]
    ldr    r9, [r5]
    add    r4, r4, r6
    add    r5, r5, r7
    pkhtb  r10, r9, r8, asr #16
    pkhbt  r8, r8, r9, lsl #16
    sxtb16 r11, r10, ror #8
    sxtb16 r10, r10
    sxtb16 r9, r8, ror #8
    sxtb16 r8, r8
    .if    \first
    words_of r2, \step, \next
    .endif
    .if    \second
    words_of r3, \step, \next
    .endif
    .endm

/* r2 and r3 where it goes. Two positions a round; the loop is entered in the middle for an odd number. */
    .macro lay_pair step, next, first, second
    ldm    r0!, {r4-r7}
    ldr    r8, [sp]
    ldr    r12, [r1, #COUNT]
    add    r4, r4, r8
    add    r5, r5, r8
    subs   r12, r12, #1
    lsrs   r12, r12, #1
    bcc.w  2f
    .balign 4
1:  lay_position \step, \next, \first, \second
2:  lay_position \step, \next, \first, \second
    subs   r12, r12, #1
    bpl.w  1b
    .endm

/* P goes to the next line; Q, if there is one, to where P went before. */
    .macro next_line
    ldr    r3, [sp, #4]
    ldr    r8, [r1, #LINE_BYTES]
    add    r2, r3, r8
    str    r2, [sp, #4]
    adds   r3, r3, #4
    .endm

    .macro lay stride, step, next, twice
routine depthwise_conv_2d_3x3_lay_\stride
    push   {r4-r11, lr}
    ldr    r3, [r1, #TO]
    push   {r2, r3}
    ldr    lr, [r1, #TWICE]
    mov    r2, r3
    lay_pair \step, \next, 1, 0
    b.w    5f
4:  next_line
    lay_pair \step, \next, 1, \twice
5:  subs   lr, lr, #1
    bpl.w  4b
    .if    \twice
    ldr    r2, [r1, #LAST]
    cmp    r2, #0
    beq    6f
    next_line
    lay_pair \step, \next, 0, 1
6:
    .endif
    add    sp, #8
    pop    {r4-r11, pc}
    .size  depthwise_conv_2d_3x3_lay_\stride, . - depthwise_conv_2d_3x3_lay_\stride
    .endm

    lay 1, 8, POSITION, 1
    lay 2, 4, POSITION_2, 0

/* void depthwise_conv_2d_3x3_store(const struct made *made)
 * void depthwise_conv_2d_3x3_store_clamped(const struct made *made)
 *
 * Carries words of four channels to the output, line by line. Even and odd lines take turns.
 *
 * r0 the line's words, r1 the other lines', r2 where the line begins in the output, r3 from a word to the next there,
 * r4 from a line to the next, r5 end of the output, r6 its bytes (lines may lie in a ring), r7 words of a line, r8
 * lines left, r9 bytes of words that are left out behind each line; r10, r11 words, r12 where they go, lr words left.
 */
/* r10 and r11; unsigned, above the ceiling is cut already: floor, and both offsets taken back. */
    .macro clamp_two
    eor    r10, r10, #0x80808080
    eor    r11, r11, #0x80808080
    ldr    r4, [sp, #4]
    uqsub8 r10, r10, r4
    uqsub8 r11, r11, r4
    ldr    r4, [sp, #8]
    uqadd8 r10, r10, r4
    uqadd8 r11, r11, r4
    eor    r10, r10, #0x80808080
    eor    r11, r11, #0x80808080
    .endm

    .macro store_lines name, clamped
routine \name
    push   {r4-r11, lr}
    ldr    r10, [r0, #40]
    ldr    r11, [r0, #44]
    push   {r10, r11}
    ldm    r0, {r0-r9}
    push   {r4}
1:  mov    r12, r2
    subs   lr, r7, #2
    blt    3f
    .balign 4
2:  ldr    r10, [r0], #4
    ldr    r11, [r0], #4
    .if    \clamped
    clamp_two
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
    clamp_two
    .endif
    str    r10, [r12]
4:  ldr    r4, [sp]
    add    r10, r0, r9
    mov    r0, r1
    mov    r1, r10
    add    r2, r2, r4
    cmp    r2, r5
    it     hs
    subhs  r2, r2, r6
    subs   r8, r8, #1
    bne    1b
    add    sp, #12
    pop    {r4-r11, pc}
    .size  \name, . - \name
    .endm

    store_lines depthwise_conv_2d_3x3_store, 0
    store_lines depthwise_conv_2d_3x3_store_clamped, 1
    .end
