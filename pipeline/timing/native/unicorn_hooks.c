/* The profile behind two hooks of Unicorn: one called for each instruction, one for each access to memory.
 * Unicorn says nothing of instructions that an IT skips, which a core takes from its pipeline all the same:
 * they are what lies between an instruction that is no branch and the one executed after it.
 */
#include <stdlib.h>

#include "profile.h"

#define MOST_ACCESSES 32u       /* of one instruction */
#define MOST_SKIPPED  4u        /* by one IT */

enum { MEM_WRITE = 17 };        /* uc_mem_type of unicorn.h */

struct hooks {
    struct profile *profile;
    const struct instruction *pending;
    struct access accesses[MOST_ACCESSES];
    uint32_t count;
    bool unknown;               /* an instruction that was not decoded: the figures would have a hole */
};

struct hooks *hooks_open(const char *table);
void hooks_close(struct hooks *hooks);
bool hooks_write(const struct hooks *hooks, const char *path);
void hooks_instruction(void *uc, uint64_t address, uint32_t bytes, void *user);
void hooks_access(void *uc, int type, uint64_t address, int bytes, int64_t value, void *user);

struct hooks *hooks_open(const char *table)
{
    struct hooks *hooks = calloc(1, sizeof *hooks);
    const char *problem;

    if (hooks == NULL)
        return NULL;
    hooks->profile = profile_open(table, &problem);
    if (hooks->profile == NULL) {
        free(hooks);
        return NULL;
    }
    return hooks;
}

void hooks_close(struct hooks *hooks)
{
    profile_close(hooks->profile);
    free(hooks);
}

bool hooks_write(const struct hooks *hooks, const char *path)
{
    return profile_finished(hooks->profile) && !hooks->unknown && profile_write(hooks->profile, path);
}

static bool is_branch(const struct instruction *instruction)
{
    return instruction->class == BRANCH || instruction->class == BRANCH_INDIRECT
           || instruction->class == TABLE_BRANCH || instruction->class == LOAD_PC
           || instruction->class == LOAD_MULTIPLE_PC;
}

/* The pending instruction, and all that was skipped between it and the one at `next`. */
static void finish_pending(struct hooks *hooks, uint32_t next)
{
    for (uint32_t skipped = 0; !is_branch(hooks->pending); skipped++) {
        uint32_t end = hooks->pending->address + hooks->pending->bytes;
        const struct instruction *following = profile_find(hooks->profile, end);

        if (end == next)
            break;
        if (following == NULL || skipped == MOST_SKIPPED) {
            hooks->unknown = true;
            return;
        }
        profile_step(hooks->profile, hooks->pending, end, hooks->accesses, hooks->count);
        hooks->pending = following;
        hooks->count = 0;
    }
    profile_step(hooks->profile, hooks->pending, next, hooks->accesses, hooks->count);
}

void hooks_instruction(void *uc, uint64_t address, uint32_t bytes, void *user)
{
    struct hooks *hooks = user;
    uint32_t at = (uint32_t)address & ~1u;

    (void)uc;
    (void)bytes;
    if (hooks->pending != NULL)
        finish_pending(hooks, at);
    hooks->pending = NULL;
    hooks->count = 0;
    if (profile_wants(hooks->profile, at)) {
        hooks->pending = profile_find(hooks->profile, at);
        hooks->unknown |= hooks->pending == NULL;
    }
}

void hooks_access(void *uc, int type, uint64_t address, int bytes, int64_t value, void *user)
{
    struct hooks *hooks = user;

    (void)uc;
    (void)value;
    if (hooks->pending == NULL)
        return;
    if (hooks->count == MOST_ACCESSES) {
        hooks->unknown = true;
        return;
    }
    hooks->accesses[hooks->count++] = (struct access){(uint32_t)address, (uint8_t)bytes, type == MEM_WRITE};
}
