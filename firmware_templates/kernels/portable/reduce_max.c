/* REDUCE_MAX, as reduce_extreme_body.h has it. */
#include "reduce_max.h"

#define FUNCTION reduce_max_portable
#define PARAMETERS struct reduce_max
#define ELEMENT int8_t
#define FIRST INT8_MIN
#define BETTER larger
#include "reduce_extreme_body.h"
