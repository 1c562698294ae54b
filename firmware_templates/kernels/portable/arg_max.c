/* ARG_MAX and ARG_MIN: y = the index of the largest or smallest x */
#include "arg_max.h"

void arg_max_portable(const struct arg_max *p, const int8_t *x, void *y)
{
    int32_t *word = y;

    for (int32_t i = 0; i < p->outer; i++, x += p->count * p->inner) {
        for (int32_t k = 0; k < p->inner; k++) {
            int32_t best = 0;

            for (int32_t j = 1; j < p->count; j++) {
                if ((x[j * p->inner + k] ^ p->flip) > (x[best * p->inner + k] ^ p->flip))
                    best = j;
            }
            *word++ = best;
            if (p->words == 2) /* the upper half of a small number, little endian */
                *word++ = 0;
        }
    }
}
