/* DEQUANTIZE of int8, as dequantize_body.h has it. */
#include "dequantize.h"

#define FUNCTION dequantize_portable
#define PARAMETERS struct dequantize
#define ELEMENT int8_t
#include "dequantize_body.h"
