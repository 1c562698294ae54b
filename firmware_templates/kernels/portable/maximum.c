/* MAXIMUM of int8, as maximum_body.h has it. */
#include "maximum.h"

#define FUNCTION maximum_portable
#define PARAMETERS struct maximum
#define ELEMENT int8_t
#include "maximum_body.h"
