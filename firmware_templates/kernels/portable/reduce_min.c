/* REDUCE_MIN, as reduce_min_body.h has it. */
#include "reduce_min.h"

#define FUNCTION reduce_min_portable
#define PARAMETERS struct reduce_min
#define ELEMENT int8_t
#define FIRST INT8_MAX
#include "reduce_min_body.h"
