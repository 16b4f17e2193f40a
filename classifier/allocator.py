"""The C library's allocator, told to keep the memory that a network's batches free."""

import ctypes

# What scoring frees after a batch: twice what 64 mails take.
BATCH_BYTES = 64 << 20
# What a step of training the default network frees, with room.
TRAINING_STEP_BYTES = 512 << 20
# Of malloc.h.
_M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -2, -3, -8
# The size of the heaps that threads have of their own.
_THREAD_HEAP_BYTES = 64 << 20
# The highest that glibc takes. What is larger is a mapping of its own, unless there is room, and always given back.
_LARGEST_ARRAY_BYTES = 32 << 20


def keep_freed_memory(size_bytes: int = BATCH_BYTES) -> bool:
    """Keep so much of what this process frees, for each thread, to be taken again; return whether that can be done.

    As it is, glibc gives a batch's arrays back to the kernel, which then clears every page of the next batch's anew: a
    sixth of the time in which mail is scored, and a third of that of a training step (docs/experiments.md, 2026-11-29).
    What is kept was in use before, so the most that a process ever holds is hardly more. Where a thread's own heap
    cannot hold so much, those that start from now on share one: so call it first. Other C libraries stay as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    wanted = {_M_MMAP_THRESHOLD: _LARGEST_ARRAY_BYTES, _M_TOP_PAD: size_bytes}
    if size_bytes > _THREAD_HEAP_BYTES:
        wanted[_M_ARENA_MAX] = 1
    return all(mallopt(name, value) for name, value in wanted.items())
