#include "profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNTED_CALL 2u         /* of run_layers; the first warms the caches */
#define MOST_FRAMES  64u        /* of calls in each other */
#define MOST_STACKS  4096u      /* different ones; what is called beyond counts for its caller */

struct figures {
    uint64_t instructions;
    uint64_t taken;             /* of them followed by another than the next in memory */
    uint64_t zero_wait;         /* cycles with memory that answers at once */
    uint64_t cycles;
    uint64_t data_stall;
    uint64_t data_misses;
};

/* A function as called by another one: who calls it is the parent. */
struct stack {
    uint32_t parent;                /* index + 1, 0: none */
    uint32_t function;              /* its address */
    uint32_t first_child, next;     /* index + 1, 0: none */
    uint64_t cycles;
};

struct frame {
    uint32_t stack, returns_to;
};

struct profile {
    struct memory memory;
    struct machine real, flat;

    uint32_t loop_start, loop_end;      /* run_layers */
    uint32_t layer_word;                /* harness_layer: written before each layer and after the last */
    uint32_t layers;
    uint32_t steps;                     /* what run_layers calls: a layer each, or several in turn */
    uint32_t *step_layer;               /* whose a step's own code is; `layers` where it runs several */

    struct instruction *instructions;   /* by address */
    struct figures *figures;            /* of each */
    uint32_t count, lowest, highest;
    uint32_t *at;                       /* (address - lowest) / 2 -> index + 1, 0: none */
    uint32_t *entry;                    /* of each: the layer whose function starts here + 1, 0: none */

    uint32_t calls;                     /* of run_layers so far */
    uint32_t marks;                     /* writes of harness_layer in this call */
    bool *is_function;                  /* of each instruction: whether a function begins here */
    struct stack *stacks;
    uint32_t stack_count;
    struct frame frames[MOST_FRAMES];
    uint32_t depth;
    uint32_t entered;                   /* layer + 1 that a step of several has called, 0: none */
    uint32_t resumed_at;                /* where that call returns to */
    bool inside, finished;
    struct figures *by_layer;           /* the last one is what stands around them */
};

static void *zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count == 0 ? 1 : count, bytes);

    if (memory == NULL)
        _Exit(1);
    return memory;
}

/* ---- reading ------------------------------------------------------------------------------------- */

/* Whether a cache's lines make whole sets. */
static bool is_divided(uint32_t lines, uint32_t ways)
{
    return ways == 0 || (ways <= lines && lines % ways == 0);
}

static bool read_settings(FILE *file, struct profile *profile)
{
    struct memory *memory = &profile->memory;
    unsigned prefetch = 0, unified = 0;

    if (fscanf(file, " flash %" SCNu32 " %" SCNu32, &memory->flash.origin, &memory->flash.bytes) != 2
        || fscanf(file, " wait_states %" SCNu32, &memory->wait_states) != 1
        || fscanf(file, " miss_extra %" SCNu32 " %" SCNu32, &memory->fetch_miss_extra, &memory->data_miss_extra) != 2
        || fscanf(file, " read_bytes %" SCNu32, &memory->read_bytes) != 1
        || fscanf(file, " line_bytes %" SCNu32, &memory->line_bytes) != 1
        || fscanf(file, " instruction_lines %" SCNu32, &memory->instruction_lines) != 1
        || fscanf(file, " data_lines %" SCNu32, &memory->data_lines) != 1
        || fscanf(file, " ways %" SCNu32 " %" SCNu32, &memory->instruction_ways, &memory->data_ways) != 2
        || fscanf(file, " unified %u", &unified) != 1
        || fscanf(file, " prefetch %u", &prefetch) != 1
        || fscanf(file, " fetch_ram %" SCNu32, &memory->fetch_ram_count) != 1)
        return false;
    memory->prefetch = prefetch != 0;
    memory->unified = unified != 0;
    if (memory->fetch_ram_count > MOST_REGIONS || memory->instruction_lines > MOST_LINES
        || memory->data_lines > MOST_LINES || memory->read_bytes < 4
        || memory->line_bytes % memory->read_bytes != 0 || memory->line_bytes / memory->read_bytes > 32
        || !is_divided(memory->instruction_lines, memory->instruction_ways)
        || !is_divided(memory->data_lines, memory->data_ways))
        return false;
    for (uint32_t i = 0; i < memory->fetch_ram_count; i++) {
        struct region *region = &memory->fetch_ram[i];

        if (fscanf(file, " %" SCNu32 " %" SCNu32, &region->origin, &region->bytes) != 2)
            return false;
    }
    return fscanf(file, " watch %" SCNu32 " %" SCNu32 " %" SCNu32, &profile->loop_start, &profile->loop_end,
                  &profile->layer_word) == 3;
}

static bool read_steps(FILE *file, struct profile *profile)
{
    if (fscanf(file, " layers %" SCNu32 " steps %" SCNu32, &profile->layers, &profile->steps) != 2
        || profile->layers >= 1u << 20 || profile->steps >= 1u << 20)
        return false;
    profile->step_layer = zeroed(profile->steps, sizeof *profile->step_layer);
    for (uint32_t i = 0; i < profile->steps; i++)
        if (fscanf(file, " %" SCNu32, &profile->step_layer[i]) != 1 || profile->step_layer[i] > profile->layers)
            return false;
    return true;
}

static bool read_instructions(FILE *file, struct profile *profile)
{
    if (fscanf(file, " instructions %" SCNu32, &profile->count) != 1 || profile->count == 0
        || profile->count > 1u << 24)
        return false;
    profile->instructions = zeroed(profile->count, sizeof *profile->instructions);
    for (uint32_t i = 0; i < profile->count; i++) {
        struct instruction *one = &profile->instructions[i];

        if (fscanf(file,
                   " %" SCNu32 " %" SCNu8 " %" SCNu8 " %" SCNu8 " %" SCNd8 " %" SCNd8 " %" SCNu32 " %" SCNu32
                   " %" SCNu32,
                   &one->address, &one->bytes, &one->class, &one->words, &one->loaded, &one->vfp_result,
                   &one->bases, &one->written, &one->vfp_operands) != 9
            || one->class >= INSTRUCTION_CLASSES || one->loaded >= 32 || one->address % 2u != 0
            || (i != 0 && one->address <= profile->instructions[i - 1].address))
            return false;
    }
    profile->lowest = profile->instructions[0].address;
    profile->highest = profile->instructions[profile->count - 1].address;
    if (profile->highest - profile->lowest >= 1u << 28)
        return false;
    profile->at = zeroed((profile->highest - profile->lowest) / 2u + 1u, sizeof *profile->at);
    for (uint32_t i = 0; i < profile->count; i++)
        profile->at[(profile->instructions[i].address - profile->lowest) / 2u] = i + 1u;
    return true;
}

/* The functions of layers that one step calls in turn. */
static bool read_entries(FILE *file, struct profile *profile)
{
    uint32_t count = 0;

    profile->entry = zeroed(profile->count, sizeof *profile->entry);
    if (fscanf(file, " entries %" SCNu32, &count) != 1)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t address = 0, layer = 0;
        const struct instruction *first;

        if (fscanf(file, " %" SCNu32 " %" SCNu32, &address, &layer) != 2 || layer >= profile->layers)
            return false;
        first = profile_find(profile, address);
        if (first == NULL)
            return false;
        profile->entry[first - profile->instructions] = layer + 1u;
    }
    return true;
}

static bool read_functions(FILE *file, struct profile *profile)
{
    uint32_t count = 0;

    profile->is_function = zeroed(profile->count, sizeof *profile->is_function);
    if (fscanf(file, " functions %" SCNu32, &count) != 1)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t address = 0;
        const struct instruction *first;

        if (fscanf(file, " %" SCNu32, &address) != 1)
            return false;
        first = profile_find(profile, address);
        if (first != NULL)
            profile->is_function[first - profile->instructions] = true;
    }
    return true;
}

struct profile *profile_open(const char *path, const char **problem)
{
    FILE *file = fopen(path, "r");
    struct profile *profile;

    if (file == NULL) {
        *problem = "the timing table cannot be opened";
        return NULL;
    }
    profile = zeroed(1, sizeof *profile);
    if (!read_settings(file, profile) || !read_steps(file, profile) || !read_instructions(file, profile)
        || !read_entries(file, profile) || !read_functions(file, profile)) {
        *problem = "the timing table is not as expected";
        fclose(file);
        profile_close(profile);
        return NULL;
    }
    fclose(file);
    profile->figures = zeroed(profile->count, sizeof *profile->figures);
    profile->stacks = zeroed(MOST_STACKS, sizeof *profile->stacks);
    profile->by_layer = zeroed(profile->layers + 1u, sizeof *profile->by_layer);
    machine_start(&profile->real, &profile->memory, false);
    machine_start(&profile->flat, &profile->memory, true);
    return profile;
}

void profile_close(struct profile *profile)
{
    if (profile != NULL) {
        free(profile->instructions);
        free(profile->figures);
        free(profile->by_layer);
        free(profile->at);
        free(profile->entry);
        free(profile->step_layer);
        free(profile->is_function);
        free(profile->stacks);
    }
    free(profile);
}

/* ---- counting ------------------------------------------------------------------------------------ */

const struct instruction *profile_find(const struct profile *profile, uint32_t address)
{
    uint32_t index;

    if (address < profile->lowest || address > profile->highest)
        return NULL;
    index = profile->at[(address - profile->lowest) / 2u];
    return index == 0 ? NULL : &profile->instructions[index - 1u];
}

static bool in_loop(const struct profile *profile, uint32_t address)
{
    return address >= profile->loop_start && address < profile->loop_end;
}

bool profile_wants(const struct profile *profile, uint32_t address)
{
    return !profile->finished && (profile->inside || address == profile->loop_start);
}

bool profile_finished(const struct profile *profile)
{
    return profile->finished;
}

static void add(struct figures *figures, bool taken, struct cost real, struct cost flat)
{
    figures->instructions++;
    figures->taken += taken;
    figures->zero_wait += flat.cycles;
    figures->cycles += real.cycles;
    figures->data_stall += real.data_stall;
    figures->data_misses += real.data_misses;
}

/* Whose an instruction is: a layer, or `layers` for what stands around them. */
static uint32_t owner(const struct profile *profile, bool looping)
{
    if (looping || profile->marks == 0 || profile->marks > profile->steps)
        return profile->layers;
    return profile->entered != 0 ? profile->entered - 1u : profile->step_layer[profile->marks - 1u];
}

/* A step of several layers calls each layer's function: the layer's is what runs until that call returns. */
static void follow_calls(struct profile *profile, const struct instruction *instruction, uint32_t next)
{
    const struct instruction *target;
    uint32_t entry;

    if (next == instruction->address + instruction->bytes)
        return;
    target = profile_find(profile, next);
    entry = target == NULL ? 0 : profile->entry[target - profile->instructions];
    if (entry != 0) {
        profile->entered = entry;
        profile->resumed_at = instruction->address + instruction->bytes;
    } else if (next == profile->resumed_at) {
        profile->entered = 0;
    }
}

/* The stack of `function` called from `parent` (index + 1), made where it is new; as index + 1. */
static uint32_t stack_of(struct profile *profile, uint32_t parent, uint32_t function)
{
    uint32_t *link = parent != 0 ? &profile->stacks[parent - 1u].first_child : NULL;

    for (uint32_t child = link != NULL ? *link : profile->stack_count != 0; child != 0;
         child = profile->stacks[child - 1u].next)
        if (profile->stacks[child - 1u].function == function)
            return child;
    if (profile->stack_count == MOST_STACKS)
        return parent;
    profile->stacks[profile->stack_count++] = (struct stack){
        .parent = parent, .function = function, .next = link != NULL ? *link : 0u};
    if (link != NULL)
        *link = profile->stack_count;
    return profile->stack_count;
}

static void push(struct profile *profile, uint32_t function, uint32_t returns_to)
{
    uint32_t parent = profile->depth != 0 ? profile->frames[profile->depth - 1u].stack : 0u;

    if (profile->depth < MOST_FRAMES)
        profile->frames[profile->depth++] = (struct frame){stack_of(profile, parent, function), returns_to};
}

/* Follow calls and returns: a branch behind a call of a frame ends it and all that it called, by a tail call
 * among them; a branch to another function's beginning is a call. */
static void follow_stack(struct profile *profile, const struct instruction *instruction, uint32_t next)
{
    const struct instruction *target;
    uint32_t here;

    if (next == instruction->address + instruction->bytes || profile->depth == 0)
        return;
    for (uint32_t depth = profile->depth; depth > 1u; depth--)
        if (profile->frames[depth - 1u].returns_to == next) {
            profile->depth = depth - 1u;
            return;
        }
    target = profile_find(profile, next);
    here = profile->stacks[profile->frames[profile->depth - 1u].stack - 1u].function;
    if (target != NULL && profile->is_function[target - profile->instructions] && next != here)
        push(profile, next, instruction->address + instruction->bytes);
}

void profile_step(struct profile *profile, const struct instruction *instruction, uint32_t next,
                  const struct access *accesses, uint32_t count)
{
    bool looping = in_loop(profile, instruction->address);
    struct cost real, flat;

    if (profile->finished)
        return;
    if (!profile->inside) {
        if (instruction->address != profile->loop_start)
            return;
        profile->inside = true;
        profile->marks = 0;
        profile->calls++;
        profile->depth = 0;
        push(profile, profile->loop_start, 0u);
    }
    real = machine_step(&profile->real, instruction, next, accesses, count);
    flat = machine_step(&profile->flat, instruction, next, accesses, count);
    if (profile->calls == COUNTED_CALL) {
        bool taken = next != instruction->address + instruction->bytes;

        add(&profile->figures[instruction - profile->instructions], taken, real, flat);
        add(&profile->by_layer[owner(profile, looping)], taken, real, flat);
        profile->stacks[profile->frames[profile->depth - 1u].stack - 1u].cycles += real.cycles;
    }
    for (uint32_t i = 0; i < count; i++)
        if (accesses[i].store && accesses[i].address == profile->layer_word) {
            profile->marks++;
            profile->entered = 0;
        }
    follow_calls(profile, instruction, next);
    follow_stack(profile, instruction, next);
    /* It returns after the last mark; before that, what it leaves for is a layer. */
    if (looping && profile->marks > profile->steps && !in_loop(profile, next)) {
        profile->inside = false;
        profile->finished = profile->calls == COUNTED_CALL;
    }
}

/* ---- writing ------------------------------------------------------------------------------------- */

static void write_figures(FILE *file, const struct figures *figures)
{
    fprintf(file, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
            figures->instructions, figures->taken, figures->zero_wait, figures->cycles, figures->data_stall,
            figures->data_misses);
}

bool profile_write(const struct profile *profile, const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL)
        return false;
    for (uint32_t k = 0; k <= profile->layers; k++) {
        fprintf(file, "layer %" PRIu32, k);
        write_figures(file, &profile->by_layer[k]);
    }
    for (uint32_t i = 0; i < profile->count; i++) {
        if (profile->figures[i].instructions == 0)
            continue;
        fprintf(file, "at %" PRIu32, profile->instructions[i].address);
        write_figures(file, &profile->figures[i]);
    }
    for (uint32_t i = 0; i < profile->stack_count; i++)
        fprintf(file, "stack %" PRIu32 " %" PRIu32 " %" PRIu64 "\n", profile->stacks[i].parent,
                profile->stacks[i].function, profile->stacks[i].cycles);
    fputs("end\n", file);
    return fclose(file) == 0;
}
