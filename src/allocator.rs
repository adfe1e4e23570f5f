//! Settings of the C library's allocator, which Rust's allocations go through, too.

/// Keeps little of what requests took: two arenas for all threads, where by default each thread has one of its own; and what
/// is large (sources, frames) is given back when it is freed, whatever lies beside it. What is small stays for the next
/// request.
///
/// To be called before there is a second thread. Does nothing where the C library is not GNU's.
pub(crate) fn keep_little() {
    #[cfg(target_env = "gnu")]
    {
        use std::ffi::c_int;
        /// `M_ARENA_MAX`, `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` of `malloc.h`, with their values: a number, bytes, bytes.
        const SETTINGS: [(c_int, c_int); 3] = [(-8, 2), (-3, 1 << 20), (-1, 64 << 20)];
        // SAFETY: this is the function's declaration in `malloc.h`; it takes any numbers, answers 0 to those it does not know,
        // and is only unsafe to call while other threads allocate.
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        for (parameter, value) in SETTINGS {
            // SAFETY: `main` calls this before it starts a thread.
            unsafe { mallopt(parameter, value) };
        }
    }
}
