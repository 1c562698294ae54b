/* The profile behind two hooks of Unicorn: one called for each instruction, one for each access to memory.
 * Unicorn says nothing of instructions that an IT skips, which a core takes from its pipeline all the same:
 * they are what lies between an instruction that is no branch and the one executed after it.
 *
 * With a hook on memory, Unicorn 2.1 leaves the state of an IT set after an access inside its block, and then skips
 * instructions behind it. It is cleared at once, before anything behind the block is translated by it, as at the end
 * of a page of 1 KB; translated code keeps that state by itself.
 */
#include <stdlib.h>

#include "profile.h"

#define MOST_ACCESSES 32u       /* of one instruction */
#define MOST_SKIPPED  4u        /* by one IT */

#define IT_REACH      4u        /* instructions of a block */
#define IT_STATE      0x0600FC00u       /* in xPSR: ARMv7-M B1.4.2 */

enum { MEM_WRITE = 17, XPSR = 120 };     /* uc_mem_type of unicorn.h, uc_arm_reg of unicorn/arm.h */

/* uc_reg_read and uc_reg_write of the library that calls: this file is compiled without its headers. */
typedef int (*read_register)(void *uc, int number, void *value);
typedef int (*write_register)(void *uc, int number, const void *value);

struct hooks {
    struct profile *profile;
    const struct instruction *pending;
    struct access accesses[MOST_ACCESSES];
    uint32_t count;
    bool unknown;               /* an instruction that was not decoded: the figures would have a hole */
    uint32_t in_block;          /* instructions that may still belong to the last IT */
    read_register read;
    write_register write;
};

struct hooks *hooks_open(const char *table, read_register read, write_register write);
void hooks_close(struct hooks *hooks);
bool hooks_write(const struct hooks *hooks, const char *path);
void hooks_instruction(void *uc, uint64_t address, uint32_t bytes, void *user);
void hooks_access(void *uc, int type, uint64_t address, int bytes, int64_t value, void *user);

struct hooks *hooks_open(const char *table, read_register read, write_register write)
{
    struct hooks *hooks = calloc(1, sizeof *hooks);
    const char *problem;

    if (hooks == NULL)
        return NULL;
    hooks->read = read;
    hooks->write = write;
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

static void mend_it_state(const struct hooks *hooks, void *uc)
{
    uint32_t status;

    if (hooks->read(uc, XPSR, &status) == 0 && (status & IT_STATE)) {
        status &= ~IT_STATE;
        hooks->write(uc, XPSR, &status);
    }
}

void hooks_instruction(void *uc, uint64_t address, uint32_t bytes, void *user)
{
    struct hooks *hooks = user;
    uint32_t at = (uint32_t)address & ~1u;
    const struct instruction *instruction = profile_find(hooks->profile, at);

    (void)bytes;
    if (instruction != NULL && instruction->class == IF_THEN)
        hooks->in_block = IT_REACH + 1u;
    else if (hooks->in_block != 0)
        hooks->in_block--;
    if (hooks->pending != NULL)
        finish_pending(hooks, at);
    hooks->pending = NULL;
    hooks->count = 0;
    if (profile_wants(hooks->profile, at)) {
        hooks->pending = instruction;
        hooks->unknown |= instruction == NULL;
    }
}

void hooks_access(void *uc, int type, uint64_t address, int bytes, int64_t value, void *user)
{
    struct hooks *hooks = user;

    (void)value;
    if (hooks->in_block != 0)
        mend_it_state(hooks, uc);
    if (hooks->pending == NULL)
        return;
    if (hooks->count == MOST_ACCESSES) {
        hooks->unknown = true;
        return;
    }
    hooks->accesses[hooks->count++] = (struct access){(uint32_t)address, (uint8_t)bytes, type == MEM_WRITE};
}
