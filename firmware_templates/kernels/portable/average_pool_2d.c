/* AVERAGE_POOL_2D of int8, as average_pool_2d_body.h has it. */
#include "average_pool_2d.h"

#define FUNCTION average_pool_2d_portable
#define PARAMETERS struct average_pool_2d
#define ELEMENT int8_t
#include "average_pool_2d_body.h"
