/* FULLY_CONNECTED whose inputs are widened when they are read, again for each group of outputs: no memory but y. */
#include "fully_connected_bytes.h"

#include "dsp.h"

#define FULLY_CONNECTED(part) fully_connected_bytes##part
#define UNROLLED 4
#define STEP_BYTES 64

#include "fully_connected_layer.h"

RAMCODE void fully_connected_bytes_cortex_m4(const struct fully_connected_bytes *p, const struct feature_map *x,
                                             const struct feature_map *y, void *scratch, int32_t first, int32_t count)
{
    (void)scratch;
    for (int32_t row = first; row < first + count; row++) {
        const int8_t *from = row_of(x, row);
        int32_t pairs = 0;

        for (int32_t i = 0; i < p->inputs; i += 4) {
            uint32_t four = load_word(from + i);

            pairs = smlad(sxtb16_high(four), sxtb16(four), pairs);
        }
        make_row(p, from, from + p->inputs, pairs, row_of(y, row));
    }
}
