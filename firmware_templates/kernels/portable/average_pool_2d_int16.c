/* AVERAGE_POOL_2D of int16, as average_pool_2d_body.h has it. */
#include "average_pool_2d_int16.h"

#define FUNCTION average_pool_2d_int16_portable
#define PARAMETERS struct average_pool_2d_int16
#define ELEMENT int16_t
#include "average_pool_2d_body.h"
