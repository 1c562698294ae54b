/* DEQUANTIZE of int16, as dequantize_body.h has it. */
#include "dequantize_int16.h"

#define FUNCTION dequantize_int16_portable
#define PARAMETERS struct dequantize_int16
#define ELEMENT int16_t
#include "dequantize_body.h"
