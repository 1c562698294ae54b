/* REDUCE_MIN of int16, as reduce_extreme_body.h has it. */
#include "reduce_min_int16.h"

#define FUNCTION reduce_min_int16_portable
#define PARAMETERS struct reduce_min_int16
#define ELEMENT int16_t
#define FIRST INT16_MAX
#define BETTER smaller
#include "reduce_extreme_body.h"
