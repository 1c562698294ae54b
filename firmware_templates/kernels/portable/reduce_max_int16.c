/* REDUCE_MAX of int16, as reduce_extreme_body.h has it. */
#include "reduce_max_int16.h"

#define FUNCTION reduce_max_int16_portable
#define PARAMETERS struct reduce_max_int16
#define ELEMENT int16_t
#define FIRST INT16_MIN
#define BETTER larger
#include "reduce_extreme_body.h"
