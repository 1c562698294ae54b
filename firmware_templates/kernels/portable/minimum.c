/* MINIMUM of int8, as minimum_body.h has it. */
#include "minimum.h"

#define FUNCTION minimum_portable
#define PARAMETERS struct minimum
#define ELEMENT int8_t
#include "minimum_body.h"
