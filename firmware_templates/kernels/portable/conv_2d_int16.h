#ifndef KERNELS_CONV_2D_INT16_H
#define KERNELS_CONV_2D_INT16_H

#include <stdint.h>

/* Arrays hold one entry per output channel, or one for all of them where their step is 0. */
struct conv_2d_int16 {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels; /* after pooling */
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left;
    int32_t pool_height, pool_width; /* maximum of so many outputs; 1 and 1: none */
    int32_t scale_step, clamp_step;
    const int64_t *bias; /* per channel, always */
    const int16_t *multiplier;
    const int8_t *shift;
    const int16_t *minimum;
    const int16_t *maximum;
};

/* x (height, width, channels), w (output channel, row, column, input channel), y (height, width, channels) */
void conv_2d_int16_portable(const struct conv_2d_int16 *p, const int16_t *x, const int8_t *w, int16_t *y);

#endif
