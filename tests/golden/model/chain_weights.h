/* Constants of chain. Generated; to change how it looks, edit firmware_templates/model/weights.h.j2. */
#ifndef GENERATED_CHAIN_WEIGHTS_H
#define GENERATED_CHAIN_WEIGHTS_H

#include <stdint.h>

extern const int8_t chain_conv_weights[54];
extern const int32_t chain_conv_bias[3];
extern const int32_t chain_conv_multiplier[3];
extern const int8_t chain_conv_shift[3];
extern const int8_t chain_conv_minimum[3];
extern const int8_t chain_conv_maximum[3];

#endif
