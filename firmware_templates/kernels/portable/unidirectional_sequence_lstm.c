/* UNIDIRECTIONAL_SEQUENCE_LSTM: c = f c + i g, h = o tanh(c), where i, f, o are sigmoids and g is a tanh of
 * W x + R h' + b, and h' is the h of the step before: the output's row before (TFLite, lstm_eval.cc).
 */
#include "unidirectional_sequence_lstm.h"

#include "fixed_point_16.h"

enum { INPUT, FORGET, CELL, OUTPUT, GATES };

static int32_t dot(const int8_t *a, const int8_t *b, int32_t count)
{
    int32_t sum = 0;

    for (int32_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* One gate of one unit, with 15 fractional bits; before is null in the first step, where h' is 0. */
static int32_t gate_of(const struct unidirectional_sequence_lstm *p, int32_t gate, int32_t unit,
                       const int8_t *x, const int8_t *before)
{
    int32_t row = gate * p->units + unit, other = gate + GATES;
    int32_t sum = p->input_bias[row] + dot(p->input_weights + row * p->inputs, x, p->inputs);
    int32_t total = clamp_short(rescale(sum, p->multiplier[gate], p->shift[gate]));

    if (before != 0) {
        sum = p->recurrent_bias[row] + dot(p->recurrent_weights + row * p->units, before, p->units);
        total = clamp_short(total + rescale(sum, p->multiplier[other], p->shift[other]));
    }
    return gate == CELL ? short_tanh(total, 3) : short_logistic(total);
}

void unidirectional_sequence_lstm_portable(const struct unidirectional_sequence_lstm *p, const int8_t *x,
                                           void *scratch, int8_t *y)
{
    int16_t *cells = scratch;
    const int8_t *before = 0;

    for (int32_t step = 0; step < p->steps; step++) {
        for (int32_t unit = 0; unit < p->units; unit++) {
            int32_t gates[GATES], cell = 0, seen;

            for (int32_t gate = 0; gate < GATES; gate++)
                gates[gate] = gate_of(p, gate, unit, x, before);
            if (before != 0)
                cell = divide_by_power_of_two(gates[FORGET] * cells[unit], 15);
            cell = clamp_short(cell + divide_by_power_of_two(gates[INPUT] * gates[CELL], p->cell_shift));
            cell = clamp(cell, -p->cell_clip, p->cell_clip);
            cells[unit] = (int16_t)cell;
            seen = gates[OUTPUT] * short_tanh(cell, p->cell_bits);
            seen = rescale(seen, p->output_multiplier, p->output_shift) + p->output_zero;
            y[unit] = (int8_t)clamp(seen, -128, 127);
        }
        before = y;
        x += p->inputs;
        y += p->units;
    }
}
