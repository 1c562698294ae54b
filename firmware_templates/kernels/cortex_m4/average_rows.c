/* The mean of a whole map, channel by channel: AVERAGE_POOL_2D with a window as large as the map, or MEAN.
 *
 * Rows are added up as they come, so that the map is never whole. What is made of the sums is what the portable
 * kernels make of them: a quotient, ties away from the integer 0, or a product of two roundings.
 */
#include "average_rows.h"

#include "../portable/fixed_point.h"
#include "dsp.h"

/* Four channels side by side, two in each of the words of half-words that are added up: 256 columns at most at a
 * time, then 2^8 * 2^7 is reached. */
RAMCODE static void add_row(const struct average_rows *p, const int8_t *row, int32_t *sums)
{
    int32_t channel = 0;

    for (; p->channels - channel >= 4; channel += 4) {
        const int8_t *x = row + channel;

        for (int32_t left = p->input_width; left > 0;) {
            uint32_t even = 0, odd = 0;

            for (int32_t run = smaller(left, 255); run > 0; run--, left--, x += p->channels) {
                uint32_t four = load_word(x);

                even = sxtab16(even, four);
                odd = sxtab16_high(odd, four);
            }
            sums[channel] += (int16_t)even;
            sums[channel + 1] += (int16_t)odd;
            sums[channel + 2] += (int32_t)even >> 16;
            sums[channel + 3] += (int32_t)odd >> 16;
        }
    }
    for (; channel < p->channels; channel++)
        for (int32_t column = 0; column < p->input_width; column++)
            sums[channel] += row[column * p->channels + channel];
}

static int32_t mean_of(const struct average_rows *p, int32_t sum)
{
    int32_t count = p->input_height * p->input_width;

    if (p->multiplier != 0)
        return rescale(sum - p->input_zero * count, p->multiplier, p->shift) + p->output_zero;
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

void average_rows_cortex_m4(const struct average_rows *p, const struct feature_map *x, const struct feature_map *y,
                            void *sums, int32_t first, int32_t count)
{
    int32_t *totals = sums;

    if (first == 0)
        for (int32_t channel = 0; channel < p->channels; channel++)
            totals[channel] = 0;
    for (int32_t row = first; row < first + count; row++)
        add_row(p, row_of(x, row), totals);
    if (first + count == p->input_height)
        for (int32_t channel = 0; channel < p->channels; channel++)
            y->data[channel] = (int8_t)clamp(mean_of(p, totals[channel]), p->minimum, p->maximum);
}
