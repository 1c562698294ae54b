/* RESIZE_BILINEAR: y = the four neighbours in x, weighted by their nearness; ties away from zero */
#include <stdint.h>

#define ONE (1 << 10)

void FUNCTION(const PARAMETERS *p, const ELEMENT *x, ELEMENT *y)
{
    for (int32_t i = 0; i < p->height; i++) {
        const ELEMENT *upper = x + p->upper[i] * p->row_pitch;
        const ELEMENT *lower = x + p->lower[i] * p->row_pitch;
        int32_t down = p->down[i];

        for (int32_t j = 0; j < p->width; j++) {
            int32_t left = p->left[j] * p->channels, right = p->right[j] * p->channels;
            int32_t across = p->across[j];

            for (int32_t c = 0; c < p->channels; c++) {
                int32_t above = upper[left + c] * (ONE - across) + upper[right + c] * across;
                int32_t below = lower[left + c] * (ONE - across) + lower[right + c] * across;
                SUM sum = (SUM)above * (ONE - down) + (SUM)below * down;

                *y++ = (ELEMENT)((sum + (sum > 0 ? ONE * ONE / 2 : -ONE * ONE / 2)) / (ONE * ONE));
            }
        }
    }
}
