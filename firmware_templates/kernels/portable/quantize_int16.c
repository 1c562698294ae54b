/* QUANTIZE of float of int16, as quantize_body.h has it. */
#include "quantize_int16.h"

#define FUNCTION quantize_int16_portable
#define PARAMETERS struct quantize_int16
#define ELEMENT int16_t
#define LOWEST INT16_MIN
#define HIGHEST INT16_MAX
#define REACH 262144.0f
#include "quantize_body.h"
