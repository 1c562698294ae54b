/* MAXIMUM of int16, as maximum_body.h has it. */
#include "maximum_int16.h"

#define FUNCTION maximum_int16_portable
#define PARAMETERS struct maximum_int16
#define ELEMENT int16_t
#include "maximum_body.h"
