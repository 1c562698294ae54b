/* TRANSPOSE_CONV, as transpose_conv_body.h has it. */
#include "transpose_conv.h"

#define FUNCTION transpose_conv_portable
#define PARAMETERS struct transpose_conv
#define ELEMENT int8_t
#define SUM int32_t
#define RESCALE rescale
#include "transpose_conv_body.h"
