/* TRANSPOSE, SLICE, SPLIT, UNPACK and their kin: y = bytes of x, at one step for each loop.
 *
 * The three innermost loops make groups of runs; the others turn around them. Bytes of a run that lie side by side are
 * moved by words, four words at a time while there are as many. Others are picked four at a time: their loads stand side
 * by side, one cycle each but for the first, and one word is stored.
 */
#include "strided_moves.h"

#include "copy.h"
#include "dsp.h"

#define INLINE static inline __attribute__((always_inline))

/* Up to three bytes: most runs of a channel shuffle are no longer. */
INLINE void pick_rest(int8_t *y, const int8_t *x, int32_t count, int32_t step)
{
    if (count > 0)
        y[0] = x[0];
    if (count > 1)
        y[1] = x[step];
    if (count > 2)
        y[2] = x[2 * step];
}

INLINE void pick(int8_t *y, const int8_t *x, int32_t count, int32_t step)
{
    for (; count >= 4; count -= 4, x += 4 * step, y += 4) {
        uint32_t y0 = (uint8_t)x[0], y1 = (uint8_t)x[step], y2 = (uint8_t)x[2 * step], y3 = (uint8_t)x[3 * step];

        store_word(y, y0 | y1 << 8 | y2 << 16 | y3 << 24);
    }
    pick_rest(y, x, count, step);
}

RAMCODE static int8_t *make_groups(const struct strided_moves *p, const int8_t *x, int8_t *y)
{
    int32_t run_step = p->run_step, run = p->run, step = p->step;

    for (int32_t groups = p->groups; groups > 0; groups--, x += p->group_step) {
        const int8_t *from = x;
        int32_t runs = p->runs;

        if (step != 1)
            for (; runs > 0; runs--, from += run_step, y += run)
                pick(y, from, run, step);
        else
            for (; runs > 0; runs--, from += run_step, y += run)
                copy_row_bytes(y, from, run);
    }
    return y;
}

/* All groups but the first one, which has been made. */
RAMCODE static void turn(const struct strided_moves *p, const int8_t *x, int8_t *y)
{
    int32_t done[STRIDED_MOVES_LOOPS] = {0}, loop = p->loops - 1;

    while (loop >= 0) {
        if (++done[loop] < p->counts[loop]) {
            x += p->steps[loop];
            y = make_groups(p, x, y);
            loop = p->loops - 1;
        } else {
            x -= (p->counts[loop] - 1) * p->steps[loop];
            done[loop--] = 0;
        }
    }
}

RAMCODE void strided_moves_cortex_m4(const struct strided_moves *p, const struct feature_map *x,
                                     const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    const int8_t *from = x->data + p->start;
    int8_t *to = make_groups(p, from, y->data);

    (void)scratch;
    (void)first;
    (void)count;
    if (p->loops > 0)
        turn(p, from, to);
}
