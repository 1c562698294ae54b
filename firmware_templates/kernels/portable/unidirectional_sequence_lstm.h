#ifndef KERNELS_UNIDIRECTIONAL_SEQUENCE_LSTM_H
#define KERNELS_UNIDIRECTIONAL_SEQUENCE_LSTM_H

#include <stdint.h>

/* Gates in the order input, forget, cell, output. */
struct unidirectional_sequence_lstm {
    int32_t steps, inputs, units;
    int32_t cell_bits;                  /* integer bits of the cell state */
    int32_t cell_shift;                 /* from a product of two gates to the cell state */
    int32_t cell_clip;                  /* its magnitude at most */
    int32_t output_zero, output_multiplier, output_shift;
    const int8_t *input_weights;        /* [4][units][inputs] */
    const int8_t *recurrent_weights;    /* [4][units][units] */
    const int32_t *input_bias;          /* [4][units], the input's zero point in it */
    const int32_t *recurrent_bias;      /* [4][units], the state's zero point alone */
    const int32_t *multiplier;          /* [8]: of the input's products, then of the state's */
    const int8_t *shift;
};

/* x[steps][inputs], y[steps][units]; scratch holds an int16 for each unit. */
void unidirectional_sequence_lstm_portable(const struct unidirectional_sequence_lstm *p, const int8_t *x,
                                           void *scratch, int8_t *y);

#endif
