/* TRANSPOSE_CONV of int16, as transpose_conv_body.h has it. */
#include "transpose_conv_int16.h"

#include "int16.h"

#define FUNCTION transpose_conv_int16_portable
#define PARAMETERS struct transpose_conv_int16
#define ELEMENT int16_t
#define SUM int64_t
#define RESCALE rescale_sum
#include "transpose_conv_body.h"
