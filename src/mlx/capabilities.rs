//! What MLX can do on each of its backends: the one table that lowerings and the runtime ask, for where something runs and
//! how it is computed. Nothing else compares backends or operating systems for that.
#![forbid(unsafe_code)]

use super::array::Dtype;
use super::device::DeviceKind;

/// How [`super::scatter`] combines an update with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScatterMode {
    /// Replaces; the order of duplicate indices is undefined on a GPU.
    Set,
    /// Adds.
    Add,
    /// Keeps the greater.
    Max,
    /// Keeps the lesser.
    Min,
    /// Multiplies.
    Prod,
}

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

/// The convolutions for which MLX's own function is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeConvolution {
    /// None: it is slow.
    Never,
    /// All that it takes.
    Always,
    /// Those of operands without dilation, where cuDNN has a plan, which only an evaluation tells: "graph.build() failed: No
    /// execution plans support the graph". MLX leaves out the plans that use tensor cores for f32 (unless TF32 is allowed),
    /// and none may be left. Dilated operands are dangerous: MLX 0.32.4 finds the plan of an earlier convolution by shapes,
    /// strides and padding, and would take that of one without dilation; and cuDNN's forward form, which it tries first,
    /// knows no such dilation.
    WherePlanned,
}

/// One spatial dimension of a convolution that MLX may be given.
#[derive(Clone, Copy, Debug)]
pub struct ConvolvedDimension {
    /// Dilation of the operand.
    pub input_dilation: i64,
    /// Dilation of the kernel.
    pub kernel_dilation: i64,
    /// Size of the kernel.
    pub window: i64,
    /// Size of the result.
    pub result: i64,
}

impl NativeConvolution {
    /// Whether a convolution is given to MLX.
    pub fn takes(self, dimensions: impl IntoIterator<Item = ConvolvedDimension>) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::WherePlanned => dimensions.into_iter().all(|each| each.input_dilation == 1),
        }
    }

    /// Whether MLX evaluates a convolution, as far as is known without its GPU. On CUDA (H200, MLX 0.32.4) gradients by the
    /// kernel of strided convolutions of f32 fail: to MLX these are convolutions by dilated windows as large as an image.
    pub(crate) fn evaluates(self, dtype: Dtype, dimensions: impl IntoIterator<Item = ConvolvedDimension>) -> bool {
        let is_kernel_gradient = |each: &ConvolvedDimension| each.kernel_dilation > 1 && each.window > each.result;
        self != Self::WherePlanned
            || dimensions
                .into_iter()
                .all(|each| each.input_dilation == 1 && !(dtype == Dtype::Float32 && is_kernel_gradient(&each)))
    }
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
    /// Whether the LAPACK and BLAS of the host are tuned ones, as Accelerate's are. MLX's Linux wheels bring the reference:
    /// its triangular solver takes 4 to 16 times as long as our own for matrices of 64 to 1,024 rows.
    pub tuned_lapack: bool,
    /// Whether the host may read and write arrays in place between evaluations.
    pub host_visible_memory: bool,
    /// Whether the device reads memory of the host that MLX did not allocate, in place.
    pub borrows_host_memory: bool,
    /// Whether memory that the system refuses is an error; MLX's CPU allocator hands out null, and its threads write there.
    pub reports_refused_memory: bool,
    /// Greatest number of dimensions that kernels take; arrays of more are left to the host's processor.
    pub rank: usize,
    /// Whether scatter takes elements of 8 bytes (sums of complex numbers always go).
    pub scatters_8_bytes: bool,
    /// Greatest number of index arrays of one gather or scatter. MLX allows 20, but on Metal binds the first to buffer 20 of
    /// a kernel, which has 31: with more than 11 the kernel's source does not compile.
    /// No other kernel of MLX takes a number of arrays that the program decides, unless MLX fuses, which is not asked for.
    pub index_arrays: usize,
    /// Whether sort and argsort take bool: mlx.metallib has no such kernels ("Unable to load kernel c_block_sort_bool…").
    pub sorts_bool: bool,
    /// Whether equal elements keep their order in sort and argsort.
    pub stable_sort: bool,
    /// Greatest length of a Fourier transform.
    pub fft_length: i32,
    /// Whether the transform to real numbers ignores the imaginary parts of bins that stand for real ones.
    pub irfft_ignores_imaginary: bool,
    /// Which convolutions are given to MLX's own function.
    pub native_convolution: NativeConvolution,
    /// Elements of the windows of a convolution that are laid out at a time where MLX's own function is not used.
    pub convolution_windows: i64,
    /// Whether products of f16 and bf16 keep their sums in f32.
    pub half_products_in_f32: bool,
    /// Greatest number of floats whose sum or product, or each of a scan's, the backend may be left to make: into one
    /// accumulator, whose error grows with their number. Metal and CUDA divide reductions among at least 32 lanes of a
    /// group and, above some thousands of elements, among many groups.
    pub longest_sum: usize,
    /// As [`Self::longest_sum`], of products: of factors near one each rounding errs to the same side, the more the nearer
    /// they are, which is where a tree starts. A million of them are off by 3,000 ulp on an H100.
    pub longest_product: usize,
    /// Greatest length of the rows that the backend scans; longer ones are scanned by blocks. On CUDA (0.32.4) one group
    /// carries its sum along the row, and a strided row goes by 32: of 65,536 equal numbers it is off by 74 ulp.
    pub longest_scan: usize,
    /// Greatest number of products that a product of few rows or columns may add up; longer ones are divided. cuBLAS adds
    /// 8,192 equal ones with an error of 80 ulp, a million with 1,189.
    pub longest_dot: usize,
    /// Greatest number of updates of one element that scatter is left to add, one after the other; more are added up in
    /// several copies of the operand.
    pub longest_scatter: usize,
    /// Whether |z| and z / w of complex numbers are free of overflow on the way.
    pub safe_complex: bool,
    /// Whether z w is (ac - bd) + (ad + bc) i whatever the parts hold: Metal's kernels have it so, CUDA's by
    /// LIBCUDACXX_ENABLE_SIMPLIFIED_COMPLEX_OPERATIONS; the CPU has `std::complex`, which makes infinities of NaN.
    pub plain_complex: bool,
    /// Whether -z of complex numbers negates zeros too; CUDA's kernel subtracts from 0.
    pub negates_complex_zeros: bool,
    /// Whether the square root of complex numbers is good for negative real parts: Metal's kernel takes the root of
    /// |z| + re, of which nothing may be left, and CUDA's the cosine of half the angle.
    pub precise_complex_sqrt: bool,
    /// Whether the sign of a NaN outlives rounding to bf16, or MLX's own arithmetic is used all the same: for GPUs there
    /// is nothing better.
    pub bfloat16_nan_signs: bool,
    /// Whether select runs at the speed of other elementwise functions; the CPU's is a loop over single elements.
    pub vector_select: bool,
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
    tuned_lapack: cfg!(target_os = "macos"),
    host_visible_memory: true,
    borrows_host_memory: false,
    reports_refused_memory: false,
    rank: usize::MAX,
    scatters_8_bytes: true,
    index_arrays: usize::MAX,
    sorts_bool: true,
    stable_sort: true,
    fft_length: i32::MAX,
    irfft_ignores_imaginary: true,
    native_convolution: NativeConvolution::Never,
    // Few enough to stay in a cache, and for the allocator to reuse the memory instead of mapping fresh pages.
    convolution_windows: 1 << 20,
    half_products_in_f32: false,
    longest_sum: LONGEST_SUM_ON_CPU,
    longest_product: LONGEST_SUM_ON_CPU,
    // The host's functions and crates/cblas divide by themselves.
    longest_scan: usize::MAX,
    longest_dot: usize::MAX,
    longest_scatter: usize::MAX,
    safe_complex: true,
    plain_complex: false,
    negates_complex_zeros: true,
    precise_complex_sqrt: true,
    bfloat16_nan_signs: false,
    vector_select: false,
    c_powers: true,
    precise_host_math: true,
};

const METAL: Capabilities = Capabilities {
    backend: Backend::Metal,
    float64: false,
    host_functions: false,
    tuned_lapack: true,
    host_visible_memory: true,
    borrows_host_memory: true,
    reports_refused_memory: true,
    rank: usize::MAX,
    scatters_8_bytes: false,
    index_arrays: 11,
    sorts_bool: false,
    stable_sort: false,
    // Powers of two go to 4096²; other lengths are padded to a power of two beyond twice themselves.
    fft_length: 1 << 23,
    irfft_ignores_imaginary: false,
    native_convolution: NativeConvolution::Always,
    convolution_windows: 1 << 20,
    half_products_in_f32: true,
    longest_sum: usize::MAX,
    longest_product: 1 << 18,
    longest_scan: 1 << 12,
    longest_dot: 1 << 11,
    longest_scatter: 1 << 12,
    safe_complex: false,
    plain_complex: true,
    negates_complex_zeros: true,
    precise_complex_sqrt: false,
    bfloat16_nan_signs: true,
    vector_select: true,
    c_powers: false,
    precise_host_math: false,
};

const CUDA: Capabilities = Capabilities {
    backend: Backend::Cuda,
    // Device memory that the host must not touch while a kernel runs.
    tuned_lapack: false,
    host_visible_memory: false,
    borrows_host_memory: false,
    // MAX_NDIM in backend/cuda/device/config.h: "ndim can not be larger than 10".
    rank: 10,
    index_arrays: 20,
    sorts_bool: true,
    fft_length: i32::MAX,
    negates_complex_zeros: false,
    native_convolution: NativeConvolution::WherePlanned,
    // Kernels long enough to be worth their launches, in 256 MiB of f32.
    convolution_windows: 1 << 26,
    ..METAL
};

/// The table for a GPU whose part the host's processor plays: placements and refusals of the GPU, but the precise
/// functions, the sums, the products and the allocator of what computes in the end.
const fn in_place_of(gpu: Capabilities) -> Capabilities {
    Capabilities {
        precise_host_math: true,
        longest_sum: LONGEST_SUM_ON_CPU,
        longest_product: LONGEST_SUM_ON_CPU,
        plain_complex: false,
        bfloat16_nan_signs: false,
        reports_refused_memory: false,
        ..gpu
    }
}

const METAL_ON_CPU: Capabilities = in_place_of(METAL);
const CUDA_ON_CPU: Capabilities = in_place_of(CUDA);

impl Backend {
    /// The backend behind MLX's GPU on this system.
    pub(crate) fn of_gpu() -> Self {
        if cfg!(target_os = "macos") { Self::Metal } else { Self::Cuda }
    }

    /// The backend that memory comes from, whatever computes: Metal on macOS, the CPU's too.
    pub(crate) fn of_allocator() -> Self {
        match Self::of_gpu() {
            Self::Cuda if !DeviceKind::Gpu.is_available() => Self::Cpu,
            backend => backend,
        }
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
    pub(crate) fn scatters(&self, mode: ScatterMode, dtype: Dtype) -> bool {
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
    fn cuda_is_given_no_dilated_operands_and_has_no_plan_for_some() {
        let of = |input_dilation, kernel_dilation, window, result| {
            [ConvolvedDimension { input_dilation, kernel_dilation, window, result }]
        };
        let cuda = Backend::Cuda.capabilities(false).native_convolution;
        assert!(cuda.takes(of(1, 2, 16, 3)) && !cuda.takes(of(2, 1, 3, 32)));
        assert!(!cuda.evaluates(Dtype::Float32, of(1, 2, 16, 3)));
        assert!(cuda.evaluates(Dtype::Bfloat16, of(1, 2, 16, 3)) && cuda.evaluates(Dtype::Float32, of(1, 2, 3, 16)));
        let metal = Backend::Metal.capabilities(false).native_convolution;
        assert!(metal.takes(of(2, 2, 32, 3)) && metal.evaluates(Dtype::Float32, of(2, 2, 32, 3)));
        assert!(!Backend::Cpu.capabilities(false).native_convolution.takes(of(1, 1, 3, 32)));
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
                longest_product: LONGEST_SUM_ON_CPU,
                plain_complex: false,
                bfloat16_nan_signs: false,
                reports_refused_memory: false,
                ..real.clone()
            };
            assert_eq!(*played, expected);
        }
    }
}
