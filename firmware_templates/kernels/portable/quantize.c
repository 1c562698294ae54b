/* QUANTIZE of float of int8, as quantize_body.h has it. */
#include "quantize.h"

#define FUNCTION quantize_portable
#define PARAMETERS struct quantize
#define ELEMENT int8_t
#define LOWEST INT8_MIN
#define HIGHEST INT8_MAX
#define REACH 1024.0f
#include "quantize_body.h"
