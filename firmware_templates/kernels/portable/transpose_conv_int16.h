#ifndef KERNELS_TRANSPOSE_CONV_INT16_H
#define KERNELS_TRANSPOSE_CONV_INT16_H

#include <stdint.h>

struct transpose_conv_int16 {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left; /* rows and columns of the full result that are left out */
    int32_t input_zero, output_zero;
    int32_t scale_step; /* 0: one multiplier and shift for all channels, else 1 */
    int32_t minimum, maximum;
    const int64_t *bias;
    const int16_t *multiplier;
    const int8_t *shift;
};

/* w (output_channels, kernel_height, kernel_width, input_channels) */
void transpose_conv_int16_portable(const struct transpose_conv_int16 *p, const int16_t *x, const int8_t *w, int16_t *y);

#endif
