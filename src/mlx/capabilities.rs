//! What MLX can do on each of its backends: the one table that lowerings and the runtime ask, for where something runs and
//! how it is computed. Nothing else compares backends or operating systems for that.
#![forbid(unsafe_code)]

use super::array::Dtype;
use super::ops_shape::ScatterMode;

/// MLX's backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The host's processor, on every system.
    Cpu,
    /// The GPU of a Mac.
    Metal,
    /// NVIDIA's, on Linux.
    Cuda,
}

/// What a stream's backend can do. Limits are those of MLX 0.32.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whose they are.
    pub backend: Backend,
    /// Whether arrays of f64 may appear at all; MLX refuses even to move them on a GPU.
    pub float64: bool,
    /// Whether functions of the host run ([`super::host_call`]), and with them linear algebra.
    pub host_functions: bool,
    /// Whether the host may read and write arrays in place between evaluations.
    pub host_visible_memory: bool,
    /// Whether the device reads memory of the host that MLX did not allocate, in place.
    pub borrows_host_memory: bool,
    /// Whether memory that the system refuses is an error; MLX's CPU allocator hands out null, and its threads write there.
    pub reports_refused_memory: bool,
    /// Whether scatter takes elements of 8 bytes (sums of complex numbers always go).
    pub scatters_8_bytes: bool,
    /// Greatest number of index arrays of one gather or scatter: with the others they fill the 31 buffers of a Metal kernel.
    /// No other kernel of MLX takes a number of arrays that the program decides, unless MLX fuses, which is not asked for.
    pub index_arrays: usize,
    /// Whether equal elements keep their order in sort and argsort.
    pub stable_sort: bool,
    /// Greatest length of a Fourier transform.
    pub fft_length: i32,
    /// Whether the transform to real numbers ignores the imaginary parts of bins that stand for real ones.
    pub irfft_ignores_imaginary: bool,
    /// Whether MLX's own convolution is the fast one.
    pub native_convolution: bool,
    /// Whether products of f16 and bf16 keep their sums in f32.
    pub half_products_in_f32: bool,
    /// Greatest number of floats whose sum or product, or each of a scan's, the backend may be left to make: into one
    /// accumulator, whose error grows with their number. Metal and CUDA divide reductions among at least 32 lanes of a
    /// group and, above some thousands of elements, among many groups; their scans go by blocks of some thousands.
    pub longest_sum: usize,
    /// Whether |z| and z / w of complex numbers are free of overflow on the way.
    pub safe_complex: bool,
    /// Whether powers follow C for NaN and infinities (`x^0 = 1^y = 1`).
    pub c_powers: bool,
    /// Whether f32's elementary functions may take their way through f64 and expm1, which is precise on the host's
    /// processor.
    pub precise_host_math: bool,
}

const LONGEST_SUM_ON_CPU: usize = 32;

const CPU: Capabilities = Capabilities {
    backend: Backend::Cpu,
    float64: true,
    host_functions: true,
    host_visible_memory: true,
    borrows_host_memory: false,
    reports_refused_memory: false,
    scatters_8_bytes: true,
    index_arrays: usize::MAX,
    stable_sort: true,
    fft_length: i32::MAX,
    irfft_ignores_imaginary: true,
    native_convolution: false,
    half_products_in_f32: false,
    longest_sum: LONGEST_SUM_ON_CPU,
    safe_complex: true,
    c_powers: true,
    precise_host_math: true,
};

const METAL: Capabilities = Capabilities {
    backend: Backend::Metal,
    float64: false,
    host_functions: false,
    host_visible_memory: true,
    borrows_host_memory: true,
    reports_refused_memory: true,
    scatters_8_bytes: false,
    index_arrays: 20,
    stable_sort: false,
    // Powers of two go to 4096²; other lengths are padded to a power of two beyond twice themselves.
    fft_length: 1 << 23,
    irfft_ignores_imaginary: false,
    native_convolution: true,
    half_products_in_f32: true,
    longest_sum: usize::MAX,
    safe_complex: false,
    c_powers: false,
    precise_host_math: false,
};

const CUDA: Capabilities = Capabilities {
    backend: Backend::Cuda,
    // Device memory that the host must not touch while a kernel runs.
    host_visible_memory: false,
    borrows_host_memory: false,
    index_arrays: 20,
    fft_length: i32::MAX,
    ..METAL
};

/// The table for a GPU whose part the host's processor plays: placements and refusals of the GPU, but the precise
/// functions, the sums and the allocator of what computes in the end.
const fn in_place_of(gpu: Capabilities) -> Capabilities {
    Capabilities { precise_host_math: true, longest_sum: LONGEST_SUM_ON_CPU, reports_refused_memory: false, ..gpu }
}

const METAL_ON_CPU: Capabilities = in_place_of(METAL);
const CUDA_ON_CPU: Capabilities = in_place_of(CUDA);

impl Backend {
    /// The backend behind MLX's GPU on this system.
    pub fn of_gpu() -> Self {
        if cfg!(target_os = "macos") { Self::Metal } else { Self::Cuda }
    }

    /// The backend called `cpu`, `metal` or `cuda`.
    pub fn named(name: &str) -> Option<Self> {
        [("cpu", Self::Cpu), ("metal", Self::Metal), ("cuda", Self::Cuda)]
            .into_iter()
            .find_map(|(known, backend)| (known == name).then_some(backend))
    }

    /// Its capabilities; `in_place`: when the host's processor plays its part.
    pub fn capabilities(self, in_place: bool) -> &'static Capabilities {
        match (self, in_place) {
            (Self::Cpu, _) => &CPU,
            (Self::Metal, false) => &METAL,
            (Self::Metal, true) => &METAL_ON_CPU,
            (Self::Cuda, false) => &CUDA,
            (Self::Cuda, true) => &CUDA_ON_CPU,
        }
    }
}

impl Capabilities {
    /// Whether arrays of the dtype may appear.
    pub fn holds(&self, dtype: Dtype) -> bool {
        self.float64 || dtype != Dtype::Float64
    }

    /// Whether such a scatter runs.
    pub fn scatters(&self, mode: ScatterMode, dtype: Dtype) -> bool {
        self.scatters_8_bytes || dtype.size() < 8 || (dtype == Dtype::Complex64 && mode == ScatterMode::Add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_have_names() {
        assert_eq!(Backend::named("metal"), Some(Backend::Metal));
        assert_eq!(Backend::named("cuda"), Some(Backend::Cuda));
        assert_eq!(Backend::named("cpu"), Some(Backend::Cpu));
        assert_eq!(Backend::named("Metal"), None);
        for backend in [Backend::Cpu, Backend::Metal, Backend::Cuda] {
            assert_eq!(backend.capabilities(false).backend, backend);
            assert_eq!(backend.capabilities(true).backend, backend);
        }
    }

    #[test]
    fn gpus_scatter_eight_bytes_only_as_complex_sums() {
        let metal = Backend::Metal.capabilities(false);
        assert!(metal.scatters(ScatterMode::Add, Dtype::Complex64));
        assert!(!metal.scatters(ScatterMode::Set, Dtype::Complex64));
        assert!(!metal.scatters(ScatterMode::Add, Dtype::Int64));
        assert!(metal.scatters(ScatterMode::Max, Dtype::Int32));
        assert!(Backend::Cpu.capabilities(false).scatters(ScatterMode::Max, Dtype::Int64));
    }

    #[test]
    fn the_part_of_a_gpu_is_played_with_the_functions_and_the_allocator_of_the_host() {
        for backend in [Backend::Metal, Backend::Cuda] {
            let (real, played) = (backend.capabilities(false), backend.capabilities(true));
            assert!(!real.precise_host_math && !real.holds(Dtype::Float64));
            assert!(real.reports_refused_memory && real.longest_sum == usize::MAX);
            let expected = Capabilities {
                precise_host_math: true,
                longest_sum: LONGEST_SUM_ON_CPU,
                reports_refused_memory: false,
                ..real.clone()
            };
            assert_eq!(*played, expected);
        }
    }
}
