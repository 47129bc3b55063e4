//! Denormal numbers are kept, whatever the thread that calls has been told.
//!
//! jaxlib compiles with `tsl::port::ScopedFlushDenormal`, and threads are born with the setting of the one that starts
//! them: constants would be folded, and programs would run, as if the smallest normal number were followed by 0.

/// While it lives the thread keeps denormal numbers, as Rust takes for granted; afterwards it does as before.
#[derive(Debug)]
pub(super) struct KeepsDenormals {
    /// The register as it was, where it has to be written again.
    before: Option<Register>,
}

#[cfg(target_arch = "x86_64")]
mod processor {
    use std::arch::asm;

    pub(super) type Register = u32;
    /// Results to zero (bit 15) and operands to zero (bit 6) of MXCSR: Intel's manual, volume 1, 10.2.3.
    pub(super) const FLUSHES: Register = 1 << 15 | 1 << 6;

    pub(super) fn read() -> Register {
        let mut register = 0;
        // SAFETY: four bytes are stored, at a place of four bytes.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut register, options(nostack, preserves_flags)) };
        register
    }

    /// # Safety
    /// Only bits of [`FLUSHES`] differ from what was read, and what was read comes back before jaxlib goes on.
    pub(super) unsafe fn write(register: Register) {
        // SAFETY: four bytes are read; for the rest, passed on to the caller.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const register, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod processor {
    use std::arch::asm;

    pub(super) type Register = u64;
    /// FZ (bit 24) and FZ16 (bit 19) of FPCR: Arm's Architecture Reference Manual, C5.2.8.
    pub(super) const FLUSHES: Register = 1 << 24 | 1 << 19;

    pub(super) fn read() -> Register {
        let register;
        // SAFETY: a register is read.
        unsafe { asm!("mrs {}, fpcr", out(reg) register, options(nomem, nostack, preserves_flags)) };
        register
    }

    /// # Safety
    /// Only bits of [`FLUSHES`] differ from what was read, and what was read comes back before jaxlib goes on.
    pub(super) unsafe fn write(register: Register) {
        // SAFETY: passed on to the caller.
        unsafe { asm!("msr fpcr, {}", in(reg) register, options(nostack, preserves_flags)) };
    }
}

use processor::{FLUSHES, Register, read, write};

impl KeepsDenormals {
    /// From here on.
    pub(super) fn new() -> Self {
        let register = read();
        if register & FLUSHES == 0 {
            return Self { before: None };
        }
        // SAFETY: nothing else differs, and the value's end writes back what was read. This is the state that Rust expects.
        unsafe { write(register & !FLUSHES) };
        Self { before: Some(register) }
    }
}

impl Drop for KeepsDenormals {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // SAFETY: what was read when the value was made.
            unsafe { write(before) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn denormal_numbers_are_kept_for_a_while() {
        let half = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        let register = read();
        // SAFETY: the register comes back below.
        unsafe { write(register | FLUSHES) };
        let flushed = half();
        let kept = {
            let _guard = KeepsDenormals::new();
            half()
        };
        let again = half();
        // SAFETY: as it was.
        unsafe { write(register) };
        assert_eq!((flushed, kept, again), (0.0, f32::MIN_POSITIVE / 2.0, 0.0));
        assert_eq!(read() & FLUSHES, register & FLUSHES);
    }
}
