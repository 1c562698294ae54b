/* ADD of int16, as add_body.h has it. */
#include "add_int16.h"

#define FUNCTION add_int16_portable
#define PARAMETERS struct add_int16
#define ELEMENT int16_t
#define HEADROOM_BITS 15
#include "add_body.h"
