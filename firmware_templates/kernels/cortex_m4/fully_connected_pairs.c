/* FULLY_CONNECTED whose inputs are widened first: a word of four becomes the words (x1, x3) and (x0, x2). */
#include "fully_connected_pairs.h"

#include "dsp.h"

#define FULLY_CONNECTED(part) fully_connected_pairs##part
#define UNROLLED 8
#define STEP_BYTES 56

#include "fully_connected_layer.h"

/* Widens `count` inputs, the last word filled up with zeros; the sum of the products of pairs. */
RAMCODE static int32_t widen(const int8_t *x, int32_t count, uint32_t *to)
{
    int32_t pairs = 0;

    for (; count > 0; count -= 4, x += 4, to += 2) {
        uint32_t four = 0;

        if (count >= 4)
            four = load_word(x);
        else
            for (int32_t i = 0; i < count; i++)
                four |= (uint32_t)(uint8_t)x[i] << 8 * i;
        to[0] = sxtb16_high(four);
        to[1] = sxtb16(four);
        pairs = smlad(to[0], to[1], pairs);
    }
    return pairs;
}

RAMCODE void fully_connected_pairs_cortex_m4(const struct fully_connected_pairs *p, const struct feature_map *x,
                                             const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    uint32_t *widened = scratch, *end = widened + 2 * ((p->inputs + 3) / 4);

    for (int32_t row = first; row < first + count; row++)
        make_row(p, widened, end, widen(row_of(x, row), p->inputs, widened), row_of(y, row));
}
