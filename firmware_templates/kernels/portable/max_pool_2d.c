/* MAX_POOL_2D of int8, as max_pool_2d_body.h has it. */
#include "max_pool_2d.h"

#define FUNCTION max_pool_2d_portable
#define PARAMETERS struct max_pool_2d
#define ELEMENT int8_t
#include "max_pool_2d_body.h"
