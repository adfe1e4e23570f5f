//! A setting of the C library's allocator, which Rust's allocations go through, too.

/// Keeps two arenas for all threads. By default each thread has one of its own, and each keeps what one large source took.
///
/// To be called before there is a second thread. Does nothing where the C library is not GNU's.
pub(crate) fn keep_few_arenas() {
    #[cfg(target_env = "gnu")]
    {
        use std::ffi::c_int;
        /// `M_ARENA_MAX` of `malloc.h`.
        const ARENA_MAX: c_int = -8;
        // SAFETY: this is the function's declaration in `malloc.h`; it takes any numbers, answers 0 to those it does not know,
        // and is only unsafe to call while other threads allocate.
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        // SAFETY: `main` calls this before it starts a thread.
        unsafe { mallopt(ARENA_MAX, 2) };
    }
}
