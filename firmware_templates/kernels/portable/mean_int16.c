/* MEAN of int16, as mean_body.h has it. */
#include "mean_int16.h"

#define FUNCTION mean_int16_portable
#define PARAMETERS struct mean_int16
#define ELEMENT int16_t
#define LOWEST INT16_MIN
#define HIGHEST INT16_MAX
#include "mean_body.h"
