/* Runs models on this computer: reads their inputs from standard input, writes their outputs to standard output. */
#include <stdio.h>

#include "models.h"

int main(void)
{
    for (unsigned i = 0; i < sizeof models / sizeof models[0]; i++) {
        const struct model *model = models[i];
        fprintf(stderr, "%s\n", model->name);
        model->init();
        for (int inference = 0; inference < INFERENCES; inference++) {
            for (uint32_t k = 0; k < model->input_count; k++)
                if (fread(model->inputs[k].data, 1, model->inputs[k].bytes, stdin) != model->inputs[k].bytes)
                    return 1;
            for (uint32_t k = 0; k < model->layer_count; k++)
                model->layers[k].run();
            for (uint32_t k = 0; k < model->output_count; k++)
                fwrite(model->outputs[k].data, 1, model->outputs[k].bytes, stdout);
        }
        fflush(stdout);
    }
    return 0;
}
