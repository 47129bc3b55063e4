//! while, if, case, map, tokens: control flow runs on the host.
#![forbid(unsafe_code)]

use std::sync::Arc;

use smallvec::SmallVec;

use super::context::Region;
use super::{Context, LowerError, Lowered, Row, native};
use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::plan::{self, Plan};
use crate::program::{Binary, Block, Direction, Literal, Op, OpKind, ValueId};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "while", note: "loops that count do not wait for the device", lower: lower_while },
    Row { name: "if", note: "waits for the predicate", lower: lower_if },
    Row { name: "case", note: "waits for the index", lower: lower_case },
    Row { name: "map", note: "elementwise bodies", lower: lower_map },
    Row { name: "after_all", note: "", lower: token },
    Row { name: "create_token", note: "", lower: token },
];

/// Graph nodes after which a loop hands what it has built to the device: enough to keep it busy while the host goes on,
/// few enough to bound the memory that waits.
const NODES_PER_EVALUATION: usize = 256;

fn token(_: &mut Context<'_>, _: &Op) -> Result<Lowered, LowerError> {
    let token = super::token_array()?;
    Ok(Lowered::one(move |_, _| Ok(token.clone())))
}

fn lower_map(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let [body] = &op.regions[..] else { return Err(context.invalid(op, "one region expected")) };
    let count = op.operands.len();
    let region = context.scalar_region(op, body)?;
    let shape = super::shape_i32(&context.result(op, 0)?.shape)?;
    let nested = region.clone();
    Ok(Lowered::new(move |inputs, stream| {
        let results = region.call(&inputs[..count], inputs, stream)?;
        results.iter().map(|result| mlx::broadcast_to(result, &shape, stream.that_holds(result.dtype())?)).collect()
    })
    .with_region(&nested))
}

/// One element as an integer; waits for it.
fn read_integer(array: &Array, stream: Stream) -> mlx::Result<i64> {
    let array = mlx::for_host(array, stream)?;
    let bytes = array.as_bytes()?;
    let mut wide = [0u8; 8];
    let signed = matches!(array.dtype(), Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64);
    if signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
        wide = [0xff; 8];
    }
    wide.get_mut(..bytes.len()).ok_or_else(|| mlx::Error::new("not one element"))?.copy_from_slice(bytes);
    Ok(i64::from_le_bytes(wide))
}

fn lower_if(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let [on_true, on_false] = &op.regions[..] else { return Err(context.invalid(op, "two regions expected")) };
    let regions = vec![context.region(op, on_false)?, context.region(op, on_true)?];
    Ok(branches(regions, |index| usize::from(index != 0)))
}

fn lower_case(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let regions = op.regions.iter().map(|region| context.region(op, region)).collect::<Result<Vec<_>, _>>()?;
    let last = regions.len().checked_sub(1).ok_or_else(|| context.invalid(op, "no branches"))?;
    // An index out of range takes the last branch (spec, case).
    Ok(branches(regions, move |index| usize::try_from(index).unwrap_or(last).min(last)))
}

fn branches(regions: Vec<Region>, pick: impl Fn(i64) -> usize + Send + Sync + 'static) -> Lowered {
    let nested = regions.iter().map(|region| region.plan.clone()).collect();
    let mut lowered = Lowered::new(move |inputs, stream| {
        let index = read_integer(inputs[0], stream)?;
        regions[pick(index)].call(&[], inputs, stream)
    });
    lowered.nested = nested;
    lowered.in_regions().blocking()
}

/// A loop `for i in (init..bound).step_by(step)`: its trips are known without asking the device after each.
struct Counted {
    /// Position of the counter among the carried values.
    counter: usize,
    /// Its first value, where the program says it.
    first: Option<i64>,
    bound: Bound,
    step: i64,
}

enum Bound {
    Constant(i64),
    /// A carried value that the body passes on unchanged.
    Carried(usize),
    /// A value of outside.
    Outside(ValueId),
    /// The same, as an input of the kernel.
    Captured(usize),
}

/// The only element of a literal of integers.
fn single(literal: &Literal) -> Option<i64> {
    match literal.integers()?[..] {
        [only] => i64::try_from(only).ok(),
        _ => None,
    }
}

fn counted(context: &Context<'_>, op: &Op, condition: &Block, body: &Block) -> Option<Counted> {
    // The predicate is `counter < bound` and nothing else.
    let [compare] = &condition.ops.iter().filter(|op| !matches!(op.kind, OpKind::Constant(_))).collect::<Vec<_>>()[..]
    else {
        return None;
    };
    if compare.results != condition.results {
        return None;
    }
    let OpKind::Compare { direction: Direction::Lt, .. } = compare.kind else { return None };
    let position = |block: &Block, value: ValueId| block.arguments.iter().position(|&argument| argument == value);
    let &[left, right] = &compare.operands[..] else { return None };
    let counter = position(condition, left)?;
    // Integers under 8 bits wrap before their storage does: trips counted from the storage could be too few.
    let element = context.function.tensor(op.operands[counter])?.element;
    if !element.is_integer() || element.is_small_integer() {
        return None;
    }
    let constant_in = |block: &Block, value: ValueId| -> Option<i64> {
        let local = block.ops.iter().find_map(|op| match &op.kind {
            OpKind::Constant(literal) if op.results == [value] => Some(literal),
            _ => None,
        });
        single(local.or_else(|| context.constant(value))?)
    };
    let bound = match (constant_in(condition, right), position(condition, right)) {
        (Some(bound), _) => Bound::Constant(bound),
        (None, Some(carried)) if body.results.get(carried) == body.arguments.get(carried) => Bound::Carried(carried),
        (None, None) if !condition.ops.iter().any(|op| op.results.contains(&right)) => Bound::Outside(right),
        _ => return None,
    };
    // The body adds a positive constant to the counter.
    let next = *body.results.get(counter)?;
    let own = *body.arguments.get(counter)?;
    let add = body.ops.iter().find(|op| op.results == [next])?;
    let OpKind::Binary(Binary::Add) = add.kind else { return None };
    let other = match add.operands[..] {
        [a, b] if a == own => b,
        [a, b] if b == own => a,
        _ => return None,
    };
    let step = constant_in(body, other).filter(|&step| step > 0)?;
    let first = context.constant(op.operands[counter]).and_then(single);
    Some(Counted { counter, first, bound, step })
}

/// The least value at which the counter's type would wrap.
fn wraps_at(array: &Array) -> i128 {
    match array.dtype() {
        Dtype::Int8 => i128::from(i8::MAX),
        Dtype::Int16 => i128::from(i16::MAX),
        Dtype::Int32 => i128::from(i32::MAX),
        Dtype::Int64 => i128::from(i64::MAX),
        Dtype::Uint8 => i128::from(u8::MAX),
        Dtype::Uint16 => i128::from(u16::MAX),
        Dtype::Uint32 => i128::from(u32::MAX),
        _ => i128::from(i64::MAX),
    }
}

/// Neither the process waits for loops when it ends, nor the caller of a program that the user interrupts.
fn go_on() -> mlx::Result<()> {
    if mlx::shutdown::requested() {
        return Err(mlx::Error::new("the process is ending"));
    }
    if plan::is_stopped() { Err(mlx::Error::new("the program was interrupted")) } else { Ok(()) }
}

struct Loop {
    condition: Region,
    body: Region,
    carried: usize,
    counted: Option<Counted>,
}

fn lower_while(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let [condition, body] = &op.regions[..] else { return Err(context.invalid(op, "two regions expected")) };
    let carried = op.operands.len();
    if body.results.len() != carried || condition.results.len() != 1 || op.results.len() != carried {
        return Err(context.invalid(op, "carried values do not fit"));
    }
    if let Some(native) = native::lower_loop(context, op) {
        return Ok(native);
    }
    let counted = counted(context, op, condition, body);
    let (condition, body) = (context.region(op, condition)?, context.region(op, body)?);
    let counted = counted.and_then(|counted| counted.captured(context, carried));
    let looped = Loop { condition, body, carried, counted };
    let nested: Vec<Arc<Plan>> = vec![looped.condition.plan.clone(), looped.body.plan.clone()];
    let short = looped.is_short();
    let mut lowered = Lowered::new(move |inputs, stream| looped.run(inputs, stream));
    lowered.nested = nested;
    lowered.blocking = !short;
    Ok(lowered.in_regions())
}

impl Loop {
    /// Whether the program says how often it turns, and that is not much to build.
    fn is_short(&self) -> bool {
        let Some(counted @ Counted { first: Some(first), bound: Bound::Constant(bound), .. }) = &self.counted else {
            return false;
        };
        let trips = counted.distance(i128::from(*first), i128::from(*bound));
        trips * (self.body.plan.steps.len().max(1) as i128) <= NODES_PER_EVALUATION as i128
    }

    fn run(&self, inputs: &[&Array], stream: Stream) -> mlx::Result<Arrays> {
        let carried: Arrays = inputs[..self.carried].iter().map(|&input| input.clone()).collect();
        if let Some(counted) = &self.counted
            && let Some(trips) = counted.trips(&carried, inputs, stream)?
        {
            return self.run_counted(carried, inputs, trips, stream);
        }
        self.run_asking(carried, inputs, stream)
    }

    /// One trip: the carried values are given away, so that the body can update them in place.
    fn trip(&self, mut carried: Arrays, inputs: &[&Array], stream: Stream) -> mlx::Result<Arrays> {
        carried.extend(self.body.captures.iter().map(|&index| inputs[index].clone()));
        self.body.plan.run_owned(carried, stream)
    }

    fn run_counted(&self, mut carried: Arrays, inputs: &[&Array], trips: u64, stream: Stream) -> mlx::Result<Arrays> {
        let nodes_per_trip = self.body.plan.steps.len().max(1);
        let mut nodes = 0;
        for _ in 0..trips {
            go_on()?;
            carried = self.trip(carried, inputs, stream)?;
            nodes += nodes_per_trip;
            if nodes >= NODES_PER_EVALUATION {
                nodes = 0;
                stream.evaluate_async(&carried)?;
            }
        }
        Ok(carried)
    }

    fn run_asking(&self, mut carried: Arrays, inputs: &[&Array], stream: Stream) -> mlx::Result<Arrays> {
        loop {
            let predicate = {
                let arguments: SmallVec<[&Array; 8]> = carried.iter().collect();
                self.condition.call(&arguments, inputs, stream)?
            };
            // The carried values go with the predicate: else their graphs would grow for as long as it looks at others.
            {
                let mut wanted: SmallVec<[&Array; 8]> = carried.iter().collect();
                wanted.push(&predicate[0]);
                stream.evaluate_async(&wanted)?;
            }
            if read_integer(&predicate[0], stream)? == 0 {
                return Ok(carried);
            }
            drop(predicate);
            go_on()?;
            carried = self.trip(carried, inputs, stream)?;
        }
    }
}

impl Counted {
    /// With the place of a bound that comes from outside, now that the regions have said what they use.
    fn captured(self, context: &Context<'_>, carried: usize) -> Option<Self> {
        let Bound::Outside(value) = self.bound else { return Some(self) };
        let place = context.captures.iter().position(|&captured| captured == value)?;
        Some(Self { bound: Bound::Captured(carried + place), ..self })
    }

    /// Number of trips from one value of the counter to another.
    fn distance(&self, first: i128, bound: i128) -> i128 {
        let step = i128::from(self.step);
        if first >= bound { 0 } else { (bound - first + step - 1) / step }
    }

    /// Number of trips; None when the counter would wrap before it reaches the bound.
    fn trips(&self, carried: &[Array], inputs: &[&Array], stream: Stream) -> mlx::Result<Option<u64>> {
        let counter = &carried[self.counter];
        if counter.dtype() == Dtype::Uint64 {
            return Ok(None);
        }
        let first = match self.first {
            Some(first) => i128::from(first),
            None => i128::from(read_integer(counter, stream)?),
        };
        let bound = match self.bound {
            Bound::Constant(bound) => i128::from(bound),
            Bound::Carried(index) => i128::from(read_integer(&carried[index], stream)?),
            Bound::Captured(index) => i128::from(read_integer(inputs[index], stream)?),
            Bound::Outside(_) => return Ok(None),
        };
        let step = i128::from(self.step);
        let trips = self.distance(first, bound);
        if first + trips * step > wraps_at(counter) {
            return Ok(None);
        }
        Ok(u64::try_from(trips).ok())
    }
}
