/* REDUCE_MIN, as reduce_extreme_body.h has it. */
#include "reduce_min.h"

#define FUNCTION reduce_min_portable
#define PARAMETERS struct reduce_min
#define ELEMENT int8_t
#define FIRST INT8_MAX
#define BETTER smaller
#include "reduce_extreme_body.h"
