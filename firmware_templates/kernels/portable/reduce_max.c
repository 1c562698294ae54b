/* REDUCE_MAX, as reduce_max_body.h has it. */
#include "reduce_max.h"

#define FUNCTION reduce_max_portable
#define PARAMETERS struct reduce_max
#define ELEMENT int8_t
#define FIRST INT8_MIN
#include "reduce_max_body.h"
