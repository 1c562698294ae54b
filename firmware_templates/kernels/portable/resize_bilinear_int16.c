/* RESIZE_BILINEAR of int16, as resize_bilinear_body.h has it. */
#include "resize_bilinear_int16.h"

#define FUNCTION resize_bilinear_int16_portable
#define PARAMETERS struct resize_bilinear_int16
#define ELEMENT int16_t
#define SUM int64_t
#include "resize_bilinear_body.h"
