//! Who computes on the CPU: one thread of ours for each chunk of a batch, and none of the tensor library's own.

use crate::{Error, Result};
use rayon::prelude::*;
use std::{env, thread};

/// Prepares a program for computing on the CPU. Call it first thing, before any thread starts and any tensor is made.
///
/// It keeps the tensor library from starting threads of its own, which would spin while they wait for each other between our
/// operations; what the reader set by hand stands. It has the allocator, mimalloc or the C library's, keep what is given back to it:
/// a training step allocates the same blocks again and again, and each time they came from the system, they would be filled with
/// zeros. The course's programs allocate with mimalloc: their steps take 0.61 of the time (`benches/unet.txt`). And it has
/// products read a kernel where it lies: to copy it into another order first pays for many hundreds of pixels, not for
/// the 55 windows of a 7×7 image. The sums and their order are the same either way.
///
/// The first two settings belong to the whole process, and no other thread may read them meanwhile. Where other threads run already,
/// or it cannot be told, they stay as they are: computing is then slower, and gives the same numbers. Returns whether they were set.
pub fn one_thread_per_operation() -> bool {
    const COPY_BEYOND: usize = 64; // tiles of the product, each of a few pixels
    gemm::set_lhs_packing_threshold_single_thread(COPY_BEYOND);
    // Windows has its own lock around the environment, and no `mallopt`.
    let alone = cfg!(windows) || num_threads::is_single_threaded() == Some(true);
    if alone {
        set_up_process();
    }
    alone
}

/// mimalloc's option `purge_delay`, for which its Rust crate has no name.
#[cfg(feature = "cli")]
const MILLISECONDS_UNTIL_GIVEN_BACK: libmimalloc_sys::mi_option_t = 15;

/// Sets what belongs to the whole process. Only [`one_thread_per_operation`] calls it, and only where no other thread runs.
fn set_up_process() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only sets numbers of the C library's allocator, which has these three; no other thread allocates
    // meanwhile, for there is none.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1); // an arena of a thread's own would give whole heaps back
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
    }
    #[cfg(feature = "cli")]
    // SAFETY: it only sets a number of mimalloc, which a program may use or not; −1 is never.
    unsafe {
        libmimalloc_sys::mi_option_set(MILLISECONDS_UNTIL_GIVEN_BACK, -1);
    }
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if env::var_os(VARIABLE).is_none() {
        // SAFETY: no other thread reads or writes the environment meanwhile, for there is none, or on Windows may do so.
        unsafe { env::set_var(VARIABLE, "1") };
    }
}

/// Has this program compute on so many threads, or on one for each core; returns how many they are.
///
/// # Errors
/// [`ddpm::Error::Parameter`] if they are none or more than 1024, or cannot be started.
pub fn compute_on(threads: Option<usize>) -> Result<usize> {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(cores);
    let reject = |bound, remedy: String| {
        let (name, value) = ("--threads", threads.to_string());
        Error::Course(ddpm::Error::Parameter { name, value, bound, remedy })
    };
    if !(1..=1024).contains(&threads) {
        return Err(reject("lie in 1…1024", "leave it out for one on each core".into()));
    }
    let built = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    built.map_err(|error| reject("be as many as can be started", error.to_string()))?;
    Ok(threads)
}

/// Does `work` for every item, on as many threads as rayon's current pool has (`RAYON_NUM_THREADS` sets it), and gives the
/// results in the items' order. Which thread does what is left to chance; what comes out is not.
///
/// ```
/// use ddpm_unet::operations::threads::in_order;
///
/// assert_eq!(in_order(vec![3, 1, 2], |n| n * n), [9, 1, 4]);
/// ```
pub fn in_order<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    items.into_par_iter().with_max_len(1).map(work).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "cli")]
    #[test]
    fn memory_is_given_back_after_a_second_unless_it_is_set() {
        // SAFETY: it only reads a number.
        let milliseconds = unsafe { libmimalloc_sys::mi_option_get(MILLISECONDS_UNTIL_GIVEN_BACK) };
        assert!([1000, -1].contains(&milliseconds), "{milliseconds}");
    }

    #[test]
    fn nothing_of_the_process_is_set_where_other_threads_run() {
        let variable = || env::var_os("CANDLE_NUM_THREADS");
        let before = variable();
        // A thread that runs for as long as this test looks.
        let (stop, waits) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || waits.recv().is_err());
        assert!(!one_thread_per_operation());
        assert_eq!(variable(), before);
        drop(stop);
        assert!(other.join().unwrap());
    }
}
