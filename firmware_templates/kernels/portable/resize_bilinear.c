/* RESIZE_BILINEAR, as resize_bilinear_body.h has it. */
#include "resize_bilinear.h"

#define FUNCTION resize_bilinear_portable
#define PARAMETERS struct resize_bilinear
#define ELEMENT int8_t
#define SUM int32_t
#include "resize_bilinear_body.h"
