/* What the harness knows of a model. model/<name>.c defines one, model/deployed.c says which is served. */
#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

struct model_tensor {
    void *data;
    uint32_t bytes;
    const void **whole;                     /* of an input that is taken row by row: where to say where it lies */
};

struct model_layer {
    void (*run)(void);
    const void *output;
    uint32_t output_bytes;
};

struct model {
    const char *name;                       /* identifier */
    const struct model_tensor *inputs;
    uint32_t input_count;
    const struct model_tensor *outputs;
    uint32_t output_count;
    const struct model_layer *layers;
    uint32_t layer_count;
    const void *arena;
    uint32_t arena_bytes;
    void (*init)(void);                     /* once, before the first layer; null: nothing to do */
};

extern const struct model *const deployed_model;
extern const char deployed_digest[17];      /* of the source tree: 16 hex digits */
extern uint8_t deployed_input[];            /* all inputs, one after the other; reloaded before every inference */
extern const uint32_t deployed_input_bytes;

#endif
