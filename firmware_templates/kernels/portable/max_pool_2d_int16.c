/* MAX_POOL_2D of int16, as max_pool_2d_body.h has it. */
#include "max_pool_2d_int16.h"

#define FUNCTION max_pool_2d_int16_portable
#define PARAMETERS struct max_pool_2d_int16
#define ELEMENT int16_t
#include "max_pool_2d_body.h"
