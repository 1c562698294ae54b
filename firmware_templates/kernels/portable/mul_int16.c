/* MUL of int16, as mul_body.h has it. */
#include "mul_int16.h"

#define FUNCTION mul_int16_portable
#define PARAMETERS struct mul_int16
#define ELEMENT int16_t
#include "mul_body.h"
