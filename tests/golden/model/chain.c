/* chain: 1 layers, 864 multiply-accumulates, 44 bytes of activations.
 * Generated; to change how it looks, edit firmware_templates/model/model.c.j2.
 *
 *   #  layer                    kernel                                     arena offsets           MAC
 *   0  conv                     kernels/portable/conv_2d.c                 0 -> 32                 864
 */
#include "model/chain.h"

#include "model/chain_weights.h"
#include "kernels/portable/conv_2d.h"

__attribute__((section(".arena"), aligned(16))) uint8_t chain_arena[44];

/* Layer 0: conv (CONV_2D + per-channel MAXIMUM + MAX_POOL_2D 2x2, 864 MAC)
 *   in   chain_arena + 0                          int8_t[1][4][4][2]
 *   in   chain_conv_weights                       int8_t[3][3][3][2]
 *   out  chain_arena + 32                         int8_t[1][2][2][3] */
static void layer_0(void)
{
    static const struct conv_2d parameters = {
        .input_height = 4,
        .input_width = 4,
        .input_channels = 2,
        .output_height = 2,
        .output_width = 2,
        .output_channels = 3,
        .kernel_height = 3,
        .kernel_width = 3,
        .stride_y = 1,
        .stride_x = 1,
        .dilation_y = 1,
        .dilation_x = 1,
        .pad_top = 1,
        .pad_left = 1,
        .pool_height = 2,
        .pool_width = 2,
        .input_zero = 3,
        .output_zero = -5,
        .scale_step = 1,
        .clamp_step = 1,
        .bias = chain_conv_bias,
        .multiplier = chain_conv_multiplier,
        .shift = chain_conv_shift,
        .minimum = chain_conv_minimum,
        .maximum = chain_conv_maximum,
    };
    conv_2d_portable(
        &parameters,
        (const int8_t *)(const void *)(chain_arena + 0),
        chain_conv_weights,
        (int8_t *)(void *)(chain_arena + 32));
}

static const struct model_layer layers[CHAIN_LAYERS] = {
    {layer_0, chain_arena + 32, 12},
};

static const struct model_tensor inputs[] = {
    {chain_arena + 0, CHAIN_INPUT_BYTES, 0},
};
static const struct model_tensor outputs[] = {
    {chain_arena + 32, CHAIN_OUTPUT_BYTES, 0},
};

void chain_init(void)
{
}

const struct model chain_model = {
    .name = "chain",
    .inputs = inputs,
    .input_count = 1,
    .outputs = outputs,
    .output_count = 1,
    .layers = layers,
    .layer_count = CHAIN_LAYERS,
    .arena = chain_arena,
    .arena_bytes = CHAIN_ARENA_BYTES,
    .init = chain_init,
};

int8_t *chain_input(void)
{
    return (int8_t *)(void *)(chain_arena + 0);
}

const int8_t *chain_output(void)
{
    return (const int8_t *)(const void *)(chain_arena + 32);
}

void chain_run(void)
{
    for (uint32_t i = 0; i < CHAIN_LAYERS; i++)
        layers[i].run();
}
