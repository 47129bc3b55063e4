//! What gather and scatter share: from StableHLO's index vectors to one MLX index array per dimension.
#![forbid(unsafe_code)]

use super::{Context, LowerError, shape_i32};
use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::program::{Literal, Op, TensorType};

/// Where the slices of an operand start, as the attributes of gather and scatter say. Slices are counted along one batch
/// axis: the dimensions of the indices without the index vector's, flattened.
#[derive(Clone, Debug)]
pub struct Indexing {
    /// Sizes of the operand; a scalar counts as `[1]`.
    pub operand: Vec<i32>,
    /// Sizes of the slices in all dimensions of the operand.
    pub window: Vec<i32>,
    /// Sizes of the indices without the index vector's dimension.
    pub batch: Vec<i32>,
    /// Operand dimension of each MLX index array: those of the index vector, then the batching ones; never empty.
    pub axes: Vec<i32>,
    indices: Vec<i32>,
    vector_dimension: usize,
    /// Components of the index vector.
    components: usize,
    /// Position among `batch` of each batching dimension.
    batching: Vec<usize>,
}

/// The attributes in question, under the names of the spec for gather.
pub struct Attributes<'a> {
    /// slice_sizes, or the sizes of the update windows with 1 for the dimensions left out.
    pub slice_sizes: &'a [i64],
    /// start_index_map, scatter_dims_to_operand_dims.
    pub start_index_map: &'a [i64],
    /// operand_batching_dims, input_batching_dims.
    pub operand_batching_dims: &'a [i64],
    /// start_indices_batching_dims, scatter_indices_batching_dims.
    pub start_indices_batching_dims: &'a [i64],
    /// index_vector_dim.
    pub index_vector_dim: i64,
}

/// A list of dimensions as unsigned numbers below the rank.
pub fn dimensions(list: &[i64], rank: usize) -> Option<Vec<usize>> {
    list.iter().map(|&dimension| usize::try_from(dimension).ok().filter(|&dimension| dimension < rank)).collect()
}

impl Indexing {
    /// Checks the attributes.
    ///
    /// # Errors
    /// When they do not fit the types.
    pub fn new(
        context: &Context<'_>,
        op: &Op,
        operand: &TensorType,
        indices: &TensorType,
        attributes: &Attributes<'_>,
    ) -> Result<Self, LowerError> {
        let invalid = |what: &str| context.invalid(op, what);
        if !indices.element.is_integer() {
            return Err(invalid("indices must be integers"));
        }
        let rank = operand.rank();
        let starts =
            dimensions(attributes.start_index_map, rank).ok_or_else(|| invalid("start_index_map out of range"))?;
        let operand_batching = dimensions(attributes.operand_batching_dims, rank)
            .ok_or_else(|| invalid("operand batching dimensions out of range"))?;
        let vector_dimension = usize::try_from(attributes.index_vector_dim)
            .ok()
            .filter(|&dimension| dimension <= indices.rank())
            .ok_or_else(|| invalid("index_vector_dim out of range"))?;
        let components = if vector_dimension < indices.rank() { indices.shape[vector_dimension] as usize } else { 1 };
        if components != starts.len() {
            return Err(invalid("the index vector has another length than start_index_map"));
        }
        let batching = dimensions(attributes.start_indices_batching_dims, indices.rank())
            .filter(|list| list.len() == operand_batching.len() && !list.contains(&vector_dimension))
            .ok_or_else(|| invalid("batching dimensions of the indices out of range"))?
            .into_iter()
            .map(|dimension| if dimension > vector_dimension { dimension - 1 } else { dimension })
            .collect();
        let mut batch = shape_i32(&indices.shape)?;
        if vector_dimension < batch.len() {
            batch.remove(vector_dimension);
        }
        let mut axes: Vec<i32> = starts.iter().chain(&operand_batching).map(|&axis| axis as i32).collect();
        let fits = attributes.slice_sizes.len() == rank
            && attributes.slice_sizes.iter().zip(&operand.shape).all(|(slice, size)| (0..=*size).contains(slice));
        if !fits {
            return Err(invalid("slices do not fit into the operand"));
        }
        let (mut sizes, mut window) = (shape_i32(&operand.shape)?, shape_i32(attributes.slice_sizes)?);
        if rank == 0 {
            (sizes, window) = (vec![1], vec![1]);
        }
        if axes.is_empty() {
            // MLX counts slices by its index arrays: there must be one.
            axes.push(0);
        }
        Ok(Self {
            operand: sizes,
            window,
            batch,
            axes,
            indices: shape_i32(&indices.shape)?,
            vector_dimension,
            components,
            batching,
        })
    }

    /// Number of slices.
    pub fn count(&self) -> i32 {
        self.batch.iter().product()
    }

    /// Component `component` of all index vectors, flat.
    fn component(&self, indices: &Array, component: usize, stream: Stream) -> mlx::Result<Array> {
        let count = [self.count()];
        if self.vector_dimension >= self.indices.len() {
            return mlx::reshape(indices, &count, stream);
        }
        let mut start = vec![0; self.indices.len()];
        let mut stop = self.indices.clone();
        start[self.vector_dimension] = component as i32;
        stop[self.vector_dimension] = component as i32 + 1;
        mlx::reshape(&mlx::slice(indices, &start, &stop, &vec![1; start.len()], stream)?, &count, stream)
    }

    /// One int32 array of `count` elements per entry of `axes`, clamped so that slices lie in the operand.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn starts(&self, indices: &Array, stream: Stream) -> mlx::Result<Arrays> {
        let mut starts = Arrays::new();
        for component in 0..self.components {
            let raw = self.component(indices, component, stream)?;
            starts.push(clamp(&raw, self.bound(component), stream)?);
        }
        for &dimension in &self.batching {
            starts.push(self.position(dimension, stream)?);
        }
        if starts.is_empty() {
            starts.push(mlx::zeros(&[self.count()], Dtype::Int32, stream)?);
        }
        Ok(starts)
    }

    /// Whether each slice lies in the operand as it is, as a flat bool array; None when there is nothing to check.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn in_bounds(&self, indices: &Array, stream: Stream) -> mlx::Result<Option<Array>> {
        let mut all: Option<Array> = None;
        for component in 0..self.components {
            let raw = self.component(indices, component, stream)?;
            let clamped = clamp(&raw, self.bound(component), stream)?;
            // Equal as numbers: the comparison is made in the wider of the two dtypes.
            let (raw, clamped) = if matches!(raw.dtype(), Dtype::Int64 | Dtype::Uint64 | Dtype::Uint32) {
                (raw.clone(), mlx::astype(&clamped, raw.dtype(), stream)?)
            } else {
                (mlx::astype(&raw, Dtype::Int32, stream)?, clamped)
            };
            let inside = mlx::equal(&raw, &clamped, stream)?;
            all = Some(match all {
                None => inside,
                Some(all) => mlx::logical_and(&all, &inside, stream)?,
            });
        }
        Ok(all)
    }

    /// Whether slices at these constant indices lie in the operand as they are.
    pub fn constant_in_bounds(&self, indices: &Literal) -> bool {
        let Some(values) = indices.integers() else { return false };
        // Row-major: what follows the index vector's dimension varies faster than its components.
        let after: usize = self.indices.iter().skip(self.vector_dimension + 1).map(|&size| size as usize).product();
        values.iter().enumerate().all(|(position, &value)| {
            let component =
                if self.vector_dimension < self.indices.len() { position / after % self.components } else { 0 };
            (0..=i128::from(self.bound(component))).contains(&value)
        })
    }

    /// Greatest start in the dimension of an index component.
    fn bound(&self, component: usize) -> i32 {
        let axis = self.axes[component] as usize;
        self.operand[axis] - self.window[axis]
    }

    /// For each slice, where it stands in dimension `dimension` of the batch.
    fn position(&self, dimension: usize, stream: Stream) -> mlx::Result<Array> {
        let size = self.batch[dimension];
        let mut shape = vec![1; self.batch.len()];
        shape[dimension] = size;
        let positions = mlx::reshape(&mlx::arange(size, Dtype::Int32, stream)?, &shape, stream)?;
        mlx::reshape(&mlx::broadcast_to(&positions, &self.batch, stream)?, &[self.count()], stream)
    }

    /// True when slices are single elements along one dimension and every other dimension is a batching one that counts
    /// along with the indices: what take_along_axis does. Gives that dimension.
    pub fn along_one_axis(&self) -> Option<usize> {
        let rank = self.operand.len();
        let whole = self.components == 1
            && self.batching.len() + 1 == rank
            && self.window.iter().all(|&size| size == 1)
            && self.axes.len() == rank;
        whole.then(|| self.axes[0] as usize)
    }

    /// Positions among `batch` of the batching dimensions in the order of the operand's dimensions they belong to, with
    /// None for the indexed dimension.
    pub fn batching_by_axis(&self) -> Vec<Option<usize>> {
        (0..self.operand.len())
            .map(|axis| {
                self.axes[self.components..].iter().position(|&each| each as usize == axis).map(|at| self.batching[at])
            })
            .collect()
    }
}

/// Indices of any integer dtype limited to `0..=bound`, as int32. Unsigned and 64-bit ones are limited before they are
/// narrowed, short ones after they are widened, so that none changes its value on the way.
fn clamp(indices: &Array, bound: i32, stream: Stream) -> mlx::Result<Array> {
    let limit = |a: &Array, low: &Array, high: &Array| mlx::minimum(&mlx::maximum(a, low, stream)?, high, stream);
    match indices.dtype() {
        Dtype::Int64 => {
            let limited = limit(indices, &Array::scalar(0i64)?, &Array::scalar(i64::from(bound))?)?;
            mlx::astype(&limited, Dtype::Int32, stream)
        }
        Dtype::Uint64 => {
            let limited = mlx::minimum(indices, &Array::scalar(bound as u64)?, stream)?;
            mlx::astype(&limited, Dtype::Int32, stream)
        }
        Dtype::Uint32 => {
            let limited = mlx::minimum(indices, &Array::scalar(bound as u32)?, stream)?;
            mlx::astype(&limited, Dtype::Int32, stream)
        }
        _ => {
            let wide = mlx::astype(indices, Dtype::Int32, stream)?;
            limit(&wide, &Array::scalar(0i32)?, &Array::scalar(bound)?)
        }
    }
}
