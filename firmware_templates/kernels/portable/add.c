/* ADD of int8, as add_body.h has it. */
#include "add.h"

#define FUNCTION add_portable
#define PARAMETERS struct add
#define ELEMENT int8_t
#define HEADROOM_BITS 20
#include "add_body.h"
