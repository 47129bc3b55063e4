//! Autorelease pools of Objective-C, which Metal is written in.
//!
//! What Metal returns without an owner lives until the innermost pool of the thread ends. Threads that Cocoa did not make
//! have none, and keep everything for as long as they live: so each entry into MLX from outside, and each round of a
//! thread of ours, has a pool of its own. On other systems there is nothing to release.

use std::ffi::c_void;
use std::marker::PhantomData;

/// Calls the function inside a pool, which ends with it, also by a panic.
pub fn autorelease_pool<R>(function: impl FnOnce() -> R) -> R {
    let _pool = Pool::push();
    function()
}

/// A pool. Pools of a thread end in the reverse of their order, on that thread: hence no more than a local of
/// [`autorelease_pool`].
struct Pool {
    token: *mut c_void,
    _of_this_thread: PhantomData<*mut ()>,
}

impl Pool {
    fn push() -> Self {
        Self { token: system::push(), _of_this_thread: PhantomData }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        system::pop(self.token);
    }
}

#[cfg(all(target_os = "macos", not(test)))]
mod system {
    use std::ffi::c_void;

    #[link(name = "objc", kind = "dylib")]
    unsafe extern "C" {
        fn objc_autoreleasePoolPush() -> *mut c_void;
        fn objc_autoreleasePoolPop(pool: *mut c_void);
    }

    pub fn push() -> *mut c_void {
        // SAFETY: takes nothing; the token goes to `pop`.
        unsafe { objc_autoreleasePoolPush() }
    }

    pub(crate) fn pop(token: *mut c_void) {
        // SAFETY: the token of a push on this thread, whose inner pools have ended: they were locals of inner calls.
        unsafe { objc_autoreleasePoolPop(token) }
    }
}

#[cfg(all(not(target_os = "macos"), not(test)))]
mod system {
    use std::ffi::c_void;

    pub fn push() -> *mut c_void {
        std::ptr::null_mut()
    }

    pub(crate) fn pop(_token: *mut c_void) {}
}

/// Counts, so that tests see where pools are.
#[cfg(test)]
mod system {
    use std::cell::Cell;
    use std::ffi::c_void;

    thread_local! {
        pub static DEPTH: Cell<usize> = const { Cell::new(0) };
    }

    pub fn push() -> *mut c_void {
        DEPTH.set(DEPTH.get() + 1);
        std::ptr::without_provenance_mut(DEPTH.get())
    }

    pub(crate) fn pop(token: *mut c_void) {
        assert_eq!(token.addr(), DEPTH.get(), "pools end in the reverse of their order");
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// How many pools of this thread are open.
#[cfg(test)]
pub(crate) fn open_pools() -> usize {
    system::DEPTH.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_nest_and_end_with_their_function() {
        let depths = autorelease_pool(|| (open_pools(), autorelease_pool(open_pools), open_pools()));
        assert_eq!((depths, open_pools()), ((1, 2, 1), 0));
    }

    #[test]
    fn a_panic_ends_the_pool() {
        let outcome = std::panic::catch_unwind(|| autorelease_pool(|| panic!("on purpose")));
        assert!(outcome.is_err());
        assert_eq!(open_pools(), 0);
    }
}
