/* Constants of chain: 6 arrays, 87 bytes.
 * Generated; to change how it looks, edit firmware_templates/model/weights.c.j2. */
#include "model/chain_weights.h"

/* int8_t[3][3][3][2], from w */
_Alignas(4) const int8_t chain_conv_weights[54] = {
    -108, -123,  -83,   80,   38,  105,    1,   27,  120,   59,   34,   11,   15,  111,  -57,   81,
      44, -127,  -27,   91,   14, -119,   68,   59,   88,  -83, -105,   93, -122,   11, -107,  -51,
      -5,  -20,  -25, -120, -126,  -96, -125,   44,    7,   38,  -62,   29,   67,  -30,  -10,  127,
      78,  123,  -31,   47,  115,   38,
};

/* int32_t[3] */
_Alignas(4) const int32_t chain_conv_bias[3] = {
    612, 339, 367,
};

/* int32_t[3] */
_Alignas(4) const int32_t chain_conv_multiplier[3] = {
    1156661403, 1177879484, 1881211910,
};

/* int8_t[3] */
_Alignas(4) const int8_t chain_conv_shift[3] = {
    -5, -6, -8,
};

/* int8_t[3] */
_Alignas(4) const int8_t chain_conv_minimum[3] = {
    -23,  75, -73,
};

/* int8_t[3] */
_Alignas(4) const int8_t chain_conv_maximum[3] = {
    127, 127, 127,
};
