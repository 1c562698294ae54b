/* The inner loops of CONV_2D: a block of 4 pixels x 2 output channels, for all pairs of channels.
 *
 *   void conv_2d_gemm_<format>(const struct conv_2d_gemm_block *block, const void *weights)
 *   void conv_2d_gemm_<format>_two(const struct conv_2d_gemm_block *block, const void *weights)
 *
 * The second makes the first two pixels only, in little more than half the time.
 *
 * Pixels lie in the block as `steps` groups of four words, one word a pixel: two values 2 * (x + 128), 0 to 510,
 * for the two lanes of SMLAD. Weights are a stream of records, one for each pair of channels o and o + 1:
 *
 *   int32  start of both sums
 *   steps of the format   int16: one word (two lanes) for each channel
 *                         int8:  one word (o, o + 1, o, o + 1), the lower lane first
 *   int32  multipliers of both
 *   uint8  right shifts of both less one, floors of both plus 128
 *
 * where all channels have one floor, nothing in place of the last word, and behind all records
 *
 *   uint8  right shifts less one, of each channel
 *
 * where they have one multiplier and one shift as well, nothing in place of the last three words, and behind all
 *
 *   int32  multiplier, right shift less one
 *
 * where several sets of records share multipliers and shifts, the same, and in a table apart, for each channel
 *
 *   int32  multiplier
 *   uint8  right shifts less one, of this channel and the next; two bytes of nothing
 *
 * where weights are scaled, a power of two in them and the start (see gemm_macros.h), in place of the last word
 *
 *   int32  addends of both
 *   uint8  floors of both plus 128, twice; not where results are cut at the ends of int8 only
 *
 * Registers in the loops: r0 pixels, r1 weights, r2 to r9 the sums (pixel 0 channel o, o + 1, pixel 1 ...),
 * r10 and r11 the weights of both channels, r12 and lr two pixels. Nothing is left for a count: the loops end where
 * the pixels end. All arithmetic wraps modulo 2^32; only the final sums have to fit, which the generator proves.
 *
 * Single loads in a row take one cycle each behind the first, which takes two; LDRD takes three.
 */
#include "gemm_macros.h"

/* struct conv_2d_gemm_block, copied to the stack, and what is added to it */
    .equ X, 0                   /* first pixel word */
    .equ X_END, 4
    .equ CHANNEL, 8             /* of the pair, as an offset from the pointers of the pixels */
    .equ CHANNEL_END, 12
    .equ START, 16              /* 2 * (output zero point + 128) + 1; less the floor + 128 where there is only one */
    .equ ABOVE, 20              /* 127 - ceiling, and in the next word ceiling + 1, by bytes; likewise */
    .equ Y, 28                  /* where the four pixels go */
    .equ STORE, 44              /* one of the routines below */
    .equ BEHIND, 48             /* all records: shifts, or multiplier and shift; or a table apart */
    .equ ENTRY, 52              /* into the loop, for the steps that do not fill a round */
    .equ NEXT, 56               /* of the format: what comes after a pair */
    .equ FRAME, 60

/* 17 cycles */
    .macro load_int8
    ldr    r10, [r1], #4
    ldr    r12, [r0], #4
    ldr    lr, [r0], #4
    sxtb16 r11, r10, ror #8
    sxtb16 r10, r10
    .endm

/* The last pixel's sums take over the two starting values after the others have used them. */
    .macro first_step load
    ldr    r0, [sp, #X]
    ldr    r2, [r1], #4
    ldr    r3, [r1], #4
    \load
    smlad  r4, r10, lr, r2
    smlad  r5, r11, lr, r3
    ldr    lr, [r0, #4]
    smlad  r8, r10, lr, r2
    smlad  r9, r11, lr, r3
    ldr    lr, [r0], #8
    smlad  r6, r10, lr, r2
    smlad  r7, r11, lr, r3
    smlad  r2, r10, r12, r2
    smlad  r3, r11, r12, r3
    .endm

/* Two pixels, each a word, two apart from the next step's: r2 and r3, r4 and r5. 9 cycles, and one for a widening. */
    .macro load_two_pixels
    ldr    lr, [r0, #4]
    ldr    r12, [r0], #16
    .endm

    .macro load_two_int8
    ldr    r10, [r1], #4
    load_two_pixels
    sxtb16 r11, r10, ror #8
    sxtb16 r10, r10
    .endm

    .macro load_two_int16
    ldr    r10, [r1], #4
    ldr    r11, [r1], #4
    load_two_pixels
    .endm

    .macro step_two load
    \load
    smlad  r2, r10, r12, r2
    smlad  r3, r11, r12, r3
    smlad  r4, r10, lr, r4
    smlad  r5, r11, lr, r5
    .endm

    .macro first_step_two load
    ldr    r0, [sp, #X]
    ldr    r2, [r1], #4
    ldr    r3, [r1], #4
    mov    r4, r2
    mov    r5, r3
    ldr    r9, [sp, #X_END]
    step_two \load
    .endm

/* The other two pixels go where the second goes. */
    .macro repeat_second
    mov    r6, r4
    mov    r7, r5
    mov    r8, r4
    mov    r9, r5
    .endm

    .macro gemm format, load, unrolled, step_bytes, two
    routine conv_2d_gemm_\format
    push   {r4-r11, lr}
    sub    sp, #FRAME
    ldm    r0, {r2-r12}                 /* X to the last of Y */
    stm    sp, {r2-r12}
    ldrd   r4, r5, [r0, #STORE]
    strd   r4, r5, [sp, #STORE]
    adr    r12, next_\format + 1
    str    r12, [sp, #NEXT]
    adr    r12, end_\format + 1
    subs   r3, r3, r2
    lsrs   r3, r3, #4
    subs   r3, r3, #1                   /* steps behind the first: none, or in the first round 1 to \unrolled */
    beq    1f
    adr    r12, rounds_\format + 1
    subs   r3, r3, #1
    ands   r3, r3, #\unrolled - 1
    adds   r3, r3, #1
    movs   r4, #\step_bytes
    mls    r12, r3, r4, r12
1:  str    r12, [sp, #ENTRY]
    b      pair_\format

    .balign 4
next_\format:                           /* lr: the pair that was stored */
    ldr    r0, [sp, #CHANNEL_END]
    add    lr, lr, #2
    str    lr, [sp, #CHANNEL]
    cmp    lr, r0
    beq    done_\format
pair_\format:
    first_step\two \load
    ldr    pc, [sp, #ENTRY]
    .balign 4
loop_\format:
    .rept  \unrolled
    step\two \load
    .endr
rounds_\format:
    .if    rounds_\format - loop_\format - \unrolled * \step_bytes
    .error "a step of \format has another size"
    .endif
    .ifb   \two
    ldr    r12, [sp, #X_END]
    cmp    r0, r12
    .else
    cmp    r0, r9
    .endif
    bne.w  loop_\format
end_\format:
    .ifnb  \two
    repeat_second
    .endif
    ldr    pc, [sp, #STORE]
done_\format:
    add    sp, #FRAME
    pop    {r4-r11, pc}
    .size  conv_2d_gemm_\format, . - conv_2d_gemm_\format
    .endm

    gemm   int8, load_int8, 8, 56
    gemm   int16, load_int16, 16, STEP_INT16_BYTES
    gemm   int8_two, load_two_int8, 8, 36, _two
    gemm   int16_two, load_two_int16, 4, 32, _two

/* r0 START, r10 and r11 the multipliers, r12 shifts and floors */
    .macro load_record_end
    ldr    r0, [sp, #START]
    ldr    r10, [r1], #4
    ldr    r11, [r1], #4
    ldr    r12, [r1], #4
    .endm

    /* lr: the channel; r3, r4, r5, r7: where four outputs go. */
    .macro load_places
    ldr    lr, [sp, #CHANNEL]
    ldr    r3, [sp, #Y]
    ldr    r4, [sp, #Y + 4]
    ldr    r5, [sp, #Y + 8]
    ldr    r7, [sp, #Y + 12]
    .endm

    .macro store_four name, signed
    routine \name
    load_record_end
    requantize_pairs \signed
    ldr    r11, [sp, #ABOVE]
    ldr    r12, [sp, #ABOVE + 4]
    load_places
    store_pairs
    ldr    pc, [sp, #NEXT]
    .size  \name, . - \name
    .endm

    store_four conv_2d_gemm_store_half_up, 0
    store_four conv_2d_gemm_store, 1

    /* lr START, r10 and r11 the multipliers, r12 shifts (less one), a byte each */
    .macro store_two_scales signed
    requantize_above \signed, r10, r2, r4, r6, r8
    ldr    lr, [sp, #START]
    lsrs   r12, r12, #8
    requantize_above \signed, r11, r3, r5, r7, r9
    store_above
    .endm

    .macro store_above
    pack_pairs
    ldr    r10, [sp, #ABOVE]
    ldr    r12, [sp, #ABOVE + 4]
    load_places
    store_clamped
    ldr    pc, [sp, #NEXT]
    .endm

    .macro store_four_one_floor name, signed
    routine \name
    ldr    lr, [sp, #START]
    ldr    r0, [sp, #BEHIND]
    ldr    r12, [sp, #CHANNEL]
    ldr    r10, [r1], #4
    ldr    r11, [r1], #4
    ldrh   r12, [r0, r12]
    store_two_scales \signed
    .size  \name, . - \name
    .endm

    store_four_one_floor conv_2d_gemm_store_half_up_one_floor, 0
    store_four_one_floor conv_2d_gemm_store_one_floor, 1
    store_four_one_floor conv_2d_gemm_store_once_one_floor, ONCE

    .macro store_four_one_scale name, signed
    routine \name
    ldr    lr, [sp, #START]
    ldr    r0, [sp, #BEHIND]
    ldr    r10, [r0]
    ldr    r12, [r0, #4]
    requantize_above \signed, r10, r2, r3, r4, r5, r6, r7, r8, r9
    store_above
    .size  \name, . - \name
    .endm

    store_four_one_scale conv_2d_gemm_store_half_up_one_scale, 0
    store_four_one_scale conv_2d_gemm_store_one_scale, 1
    store_four_one_scale conv_2d_gemm_store_once_one_scale, ONCE

    .macro store_four_apart name, signed
    routine \name
    ldr    r0, [sp, #BEHIND]
    ldr    r12, [sp, #CHANNEL]
    ldr    lr, [sp, #START]
    add    r0, r0, r12, lsl #3
    ldr    r10, [r0]
    ldr    r12, [r0, #4]
    ldr    r11, [r0, #8]
    store_two_scales \signed
    .size  \name, . - \name
    .endm

    store_four_apart conv_2d_gemm_store_half_up_apart, 0
    store_four_apart conv_2d_gemm_store_apart, 1

    routine conv_2d_gemm_store_scaled
    ldr    r10, [r1], #4
    ldr    r11, [r1], #4
    ldr    r12, [r1], #4
    ldr    lr, [r1], #4
    requantize_scaled usat
    pack_pairs
    ldr    r10, [r1], #4
    ldr    r11, [sp, #ABOVE]
    ldr    r12, [sp, #ABOVE + 4]
    load_places
    store_pairs
    ldr    pc, [sp, #NEXT]
    .size  conv_2d_gemm_store_scaled, . - conv_2d_gemm_store_scaled

/* The same where SSAT is the only clamp. */
    routine conv_2d_gemm_store_saturated
    ldr    r10, [r1], #4
    ldr    r11, [r1], #4
    ldr    r12, [r1], #4
    ldr    lr, [r1], #4
    requantize_scaled ssat
    bfi    r2, r3, #8, #8
    bfi    r4, r5, #8, #8
    bfi    r6, r7, #8, #8
    bfi    r8, r9, #8, #8
    ldr    lr, [sp, #CHANNEL]
    ldr    r3, [sp, #Y]
    ldr    r5, [sp, #Y + 4]
    ldr    r7, [sp, #Y + 8]
    ldr    r9, [sp, #Y + 12]
    strh   r2, [r3, lr]
    strh   r4, [r5, lr]
    strh   r6, [r7, lr]
    strh   r8, [r9, lr]
    ldr    pc, [sp, #NEXT]
    .size  conv_2d_gemm_store_saturated, . - conv_2d_gemm_store_saturated

/* The largest of the four pixels, and of what is there already. Rescaling keeps the order of the sums. */
    .macro larger a, b
    cmp    \a, \b
    it     lt
    movlt  \a, \b
    .endm

    routine conv_2d_gemm_store_largest
    load_record_end
    larger r2, r4
    larger r6, r8
    larger r3, r5
    larger r7, r9
    larger r2, r6
    larger r3, r7
    requantize 1, r10, r2
    second_channel 1
    requantize 1, r11, r3
    orr    r2, r2, r3, lsl #8
    ldr    r11, [sp, #ABOVE]
    ldr    r12, [sp, #ABOVE + 4]
    ldr    lr, [sp, #CHANNEL]
    ldr    r3, [sp, #Y]
    ldrh   r4, [r3, lr]
    add    r10, r10, r11
    uqadd8 r2, r2, r10
    uadd8  r2, r2, r12
    ssub8  r5, r2, r4
    sel    r2, r2, r4
    strh   r2, [r3, lr]
    ldr    pc, [sp, #NEXT]
    .size  conv_2d_gemm_store_largest, . - conv_2d_gemm_store_largest

/* void conv_2d_gemm_widen(struct runs *runs, const void *from, int32_t count, int32_t step)
 *
 * Lays the steps of one pixel: of each four bytes two words, one step apart. r4 to, r5 bytes, r6 words and r7 bytes
 * left of a run, r8 mask, r9 to r11 temporary, r12 from, lr count. */
    .macro widen from, other, mask, offset
    eor    \from, \from, #0x80808080
    and    \other, \mask, \from, lsl #1
    and    \from, \mask, \from, lsr #7
    str    \other, [r4, #\offset]
    str    \from, [r4, #\offset + 16]
    .endm

    routine conv_2d_gemm_widen
    push   {r0, r4-r11, lr}
    ldm    r0, {r4-r7}
    mov    r8, #0x01FE
    orr    r8, r8, r8, lsl #16
1:  mov    r12, r1
    subs   lr, r6, #4
    blt    3f
    .balign 4
2:  ldr    r9, [r12], #4
    ldr    r10, [r12], #4
    widen  r9, r11, r8, 0
    widen  r10, r11, r8, 32
    ldr    r9, [r12], #4
    ldr    r10, [r12], #4
    widen  r9, r11, r8, 64
    widen  r10, r11, r8, 96
    adds   r4, r4, #128
    subs   lr, lr, #4
    bge    2b
3:  adds   lr, lr, #4
    beq    5f
4:  ldr    r9, [r12], #4
    widen  r9, r11, r8, 0
    adds   r4, r4, #32
    subs   lr, lr, #1
    bne    4b
5:  cbz    r7, 7f
    mov    lr, r7
6:  ldrb   r9, [r12], #1
    strb   r9, [r5], #1
    subs   lr, lr, #1
    bne    6b
7:  add    r1, r1, r3
    subs   r2, r2, #1
    bne    1b
    pop    {r0}
    stm    r0, {r4, r5}
    pop    {r4-r11, pc}
    .size  conv_2d_gemm_widen, . - conv_2d_gemm_widen

/* void conv_2d_gemm_widen_four(struct runs *runs, const void *from, int32_t count, int32_t step, int32_t distance,
 *                              int32_t bytes_each)
 *
 * The same for four pixels that are `distance` bytes apart in memory, each with its own bytes. r4 to, r5 and r6 to
 * r9 temporary, r11 and r10 once and three times the distance, r12 from, lr count; r0 bytes, r1 run, r2 runs. */
    routine conv_2d_gemm_widen_four
    push   {r0, r3-r11, lr}
    ldr    r11, [sp, #44]
    ldr    r4, [r0]
    ldr    r0, [r0, #4]
    add    r10, r11, r11, lsl #1
    mov    r3, #0x01FE
    orr    r3, r3, r3, lsl #16
1:  ldr    r5, [sp]
    mov    r12, r1
    ldr    lr, [r5, #8]
    cmp    lr, #0
    beq    3f
    .balign 4
2:  ldr    r7, [r12, r11]
    ldr    r8, [r12, r11, lsl #1]
    ldr    r9, [r12, r10]
    ldr    r6, [r12], #4
    widen  r6, r5, r3, 0
    widen  r7, r5, r3, 4
    widen  r8, r5, r3, 8
    widen  r9, r5, r3, 12
    adds   r4, r4, #32
    subs   lr, lr, #1
    bne    2b
    ldr    r5, [sp]
3:  ldr    lr, [r5, #12]
    cmp    lr, #0
    beq    5f
    ldr    r5, [sp, #48]
4:  ldrb   r7, [r12, r11]
    ldrb   r8, [r12, r11, lsl #1]
    ldrb   r9, [r12, r10]
    ldrb   r6, [r12], #1
    strb   r7, [r0, r5]
    strb   r8, [r0, r5, lsl #1]
    add    r7, r0, r5, lsl #1
    strb   r9, [r7, r5]
    strb   r6, [r0], #1
    subs   lr, lr, #1
    bne    4b
5:  ldr    r5, [sp, #4]
    add    r1, r1, r5
    subs   r2, r2, #1
    bne    1b
    pop    {r1, r3}
    str    r4, [r1]
    str    r0, [r1, #4]
    pop    {r4-r11, pc}
    .size  conv_2d_gemm_widen_four, . - conv_2d_gemm_widen_four

/* void conv_2d_gemm_widen_row(const int8_t *from, uint8_t *to, int32_t bytes)
 *
 * 2 * (x + 128) of each byte, one behind the other. r3 mask, r4 and r5 temporary. */
    routine conv_2d_gemm_widen_row
    push   {r4, r5, lr}
    mov    r3, #0x01FE
    orr    r3, r3, r3, lsl #16
    subs   r2, r2, #4
    blt    2f
    .balign 4
1:  ldr    r4, [r0], #4
    eor    r4, r4, #0x80808080
    and    r5, r3, r4, lsl #1           /* bytes 0 and 2 */
    and    r4, r3, r4, lsr #7           /* bytes 1 and 3 */
    pkhbt  lr, r5, r4, lsl #16
    pkhtb  r4, r4, r5, asr #16
    str    lr, [r1], #4
    str    r4, [r1], #4
    subs   r2, r2, #4
    bge    1b
2:  adds   r2, r2, #4
    beq    4f
3:  ldrsb  r4, [r0], #1
    adds   r4, r4, #128
    lsls   r4, r4, #1
    strh   r4, [r1], #2
    subs   r2, r2, #1
    bne    3b
4:  pop    {r4, r5, pc}
    .size  conv_2d_gemm_widen_row, . - conv_2d_gemm_widen_row

/* void conv_2d_gemm_collect(const struct widened_rows *rows, const uint8_t *const from[4], uint32_t *to)
 *
 * Lays the steps of four windows from widened rows: of each row of taps the whole words, then behind all of these the
 * values that are left over, by two. A row of taps is one slot of the ring further than the one before.
 * r0 rows, r1 where values that are left over go, r2 to, r3 words, r4 to r7 from, r8 to r11 temporary, r12 ring's
 * end, lr count. */
    .equ WORDS, 0               /* struct widened_rows */
    .equ LEFT_OVER, 4
    .equ TAPS_ROWS, 8
    .equ TO_NEXT, 12
    .equ RING_BYTES, 16
    .equ RING_END, 20

    .macro collect_step
    ldr    r8, [r4], #4
    ldr    r9, [r5], #4
    ldr    r10, [r6], #4
    ldr    r11, [r7], #4
    stm    r2!, {r8-r11}
    .endm

    routine conv_2d_gemm_collect
    push   {r4-r11, lr}
    ldm    r1, {r4-r7}
    ldr    r3, [r0, #WORDS]
    ldr    r8, [r0, #TAPS_ROWS]
    ldr    r12, [r0, #RING_END]
    mul    r1, r3, r8
    add    r1, r2, r1, lsl #4
    push   {r8}
1:  lsrs   lr, r3, #1                   /* flags for both branches */
    bcc    2f
    collect_step
2:  beq    4f
    .balign 4
3:  collect_step
    collect_step
    subs   lr, lr, #1
    bne    3b
4:  ldr    r8, [r0, #LEFT_OVER]
    cmp    r8, #0
    beq    5f
    ldrh   r8, [r4]
    ldrh   r9, [r5]
    ldrh   r10, [r6]
    ldrh   r11, [r7]
    strh   r8, [r1]
    strh   r9, [r1, #4]
    strh   r10, [r1, #8]
    strh   r11, [r1, #12]
    eor    r1, r1, #2                   /* the other half of the word; then the next word */
    tst    r1, #2
    it     eq
    addeq  r1, r1, #16
5:  ldr    r8, [r0, #TO_NEXT]
    ldr    r9, [r0, #RING_BYTES]
    .irp   from, r4, r5, r6, r7
    add    \from, \from, r8
    cmp    \from, r12
    it     hs
    subhs  \from, \from, r9
    .endr
    ldr    r8, [sp]
    subs   r8, r8, #1
    str    r8, [sp]
    bne    1b
    pop    {r8}
    pop    {r4-r11, pc}
    .size  conv_2d_gemm_collect, . - conv_2d_gemm_collect
    .end
