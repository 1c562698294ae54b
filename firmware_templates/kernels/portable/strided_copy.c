/* TRANSPOSE, SLICE, STRIDED_SLICE and their kin: y = elements of x, at one step for each loop */
#include "strided_copy.h"

#include <string.h>

static int8_t *copy_run(int8_t *y, const int8_t *x, int32_t count, int32_t step)
{
    if (step == 1) {
        memcpy(y, x, (size_t)count);
    } else {
        for (int32_t i = 0; i < count; i++)
            y[i] = x[i * step];
    }
    return y + count;
}

void strided_copy_portable(const struct strided_copy *p, const void *from, void *to)
{
    const int8_t *x = from;
    int8_t *y = to;
    int32_t done[STRIDED_COPY_LOOPS] = {0};
    int32_t innermost = p->loops - 1, at = p->start, loop;

    do {
        y = copy_run(y, x + at, p->counts[innermost], p->steps[innermost]);
        for (loop = innermost - 1; loop >= 0; loop--) {
            at += p->steps[loop];
            if (++done[loop] < p->counts[loop])
                break;
            at -= p->counts[loop] * p->steps[loop];
            done[loop] = 0;
        }
    } while (loop >= 0);
}
