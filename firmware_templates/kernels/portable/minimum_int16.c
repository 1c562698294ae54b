/* MINIMUM of int16, as minimum_body.h has it. */
#include "minimum_int16.h"

#define FUNCTION minimum_int16_portable
#define PARAMETERS struct minimum_int16
#define ELEMENT int16_t
#include "minimum_body.h"
