"""The C library's allocator, told to keep the memory that a network's batches free."""

import ctypes

# What scoring frees after a batch: twice what 64 mails take. Threads keep no more, whatever is asked for: it is the
# size of the heaps that theirs are made of.
BATCH_BYTES = 64 << 20
# Of malloc.h.
_M_TOP_PAD, _M_MMAP_THRESHOLD = -2, -3
# The highest that glibc takes. What is larger is a mapping of its own, unless there is room, and always given back.
_LARGEST_ARRAY_BYTES = 32 << 20


def keep_freed_memory(size_bytes: int = BATCH_BYTES) -> bool:
    """Keep so much of what this process frees, for each thread, to be taken again; return whether that can be done.

    As it is, glibc gives a batch's arrays back to the kernel, which then clears every page of the next batch's anew: a
    sixth of the time in which mail is scored, and a third of that of a training step (docs/experiments.md, 2026-11-29).
    What is kept was in use before, so the most that a process ever holds is hardly more. Other C libraries stay as they
    are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_ARRAY_BYTES) and mallopt(_M_TOP_PAD, size_bytes))
