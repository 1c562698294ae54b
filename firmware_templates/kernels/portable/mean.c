/* MEAN of int8, as mean_body.h has it. */
#include "mean.h"

#define FUNCTION mean_portable
#define PARAMETERS struct mean
#define ELEMENT int8_t
#define LOWEST INT8_MIN
#define HIGHEST INT8_MAX
#include "mean_body.h"
