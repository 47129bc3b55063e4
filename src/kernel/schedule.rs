//! How a nest is run: which loops remain, at which of them each step is computed, and where several elements go at once.
#![forbid(unsafe_code)]

use super::affine::{Sum, sums};
use super::ir::{BufferId, Kernel, Nest, Node, NodeId, Place};
use super::node_cost;
use crate::expression::{Binary, Scalar, Unary};

/// Numbers that a processor computes at once, of those that fit four to a register.
pub const LANES: usize = 4;

/// Whether a step of a type is computed for all lanes at once, when operands for which the last argument does not hold are
/// the same in all of them. The rest goes element by element.
pub type AtOnce = fn(&Nest, &Node, Scalar, &dyn Fn(NodeId) -> bool) -> bool;

/// Loops that a step depends on, as bits: those around the body, and those of its fold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Depends {
    outer: u64,
    inner: u64,
}

impl std::ops::BitOrAssign for Depends {
    fn bitor_assign(&mut self, other: Self) {
        self.outer |= other.outer;
        self.inner |= other.inner;
    }
}

/// A nest with its loops merged.
#[derive(Debug)]
pub struct Schedule {
    /// Sizes of the loops around the body; none is of one turn.
    pub outer: Vec<usize>,
    /// Which of them go in their order.
    ordered: Vec<bool>,
    /// The sizes of each fold's.
    pub folds: Vec<Vec<usize>>,
    /// Indices over the loops: those of the outer ones, then those of the first fold, and so on.
    pub sums: Vec<Option<Sum>>,
    /// Whether a step is computed as such; sums of indices alone are not.
    pub needed: Vec<bool>,
    /// Calls whose results a selection hardly ever takes: they are made where it does.
    pub rare: Vec<bool>,
    /// In how many loops of its scope each step stands.
    pub levels: Vec<u32>,
    /// In how many loops around the body each fold stands.
    pub fold_levels: Vec<u32>,
    /// Lanes of the innermost loop around the body, or 1.
    pub lanes: usize,
    /// Lanes of the innermost loop of each fold, or 1.
    pub fold_lanes: Vec<usize>,
    depends: Vec<Depends>,
}

/// Whether two buffers may be the same memory.
fn overlap(kernel: &Kernel, a: BufferId, b: BufferId) -> bool {
    let range = |id: BufferId| {
        let buffer = &kernel.buffers[id as usize];
        match buffer.place {
            Place::Arena(start) => Some(start..start + buffer.elements * buffer.scalar.bytes()),
            _ => None,
        }
    };
    match (range(a), range(b)) {
        (Some(a), Some(b)) => a.start < b.end && b.start < a.end,
        _ => a == b || kernel.buffers[a as usize].place == kernel.buffers[b as usize].place,
    }
}

impl Schedule {
    /// Of a nest of a kernel.
    pub fn new(kernel: &Kernel, nest: &Nest, at_once: AtOnce) -> Self {
        let mut sums = sums(nest);
        let (needed, roots) = needed(nest, &sums);
        let merged = Merged::new(nest, &sums, &roots);
        for sum in sums.iter_mut().flatten() {
            sum.factors = merged.factors(&sum.factors);
        }
        let mut schedule = Self {
            outer: merged.outer,
            ordered: merged.ordered,
            folds: merged.folds,
            sums,
            rare: rare(nest, &needed),
            needed,
            levels: Vec::new(),
            fold_levels: Vec::new(),
            lanes: 1,
            fold_lanes: vec![1; nest.folds.len()],
            depends: Vec::new(),
        };
        let reads_own = schedule.depend(kernel, nest);
        schedule.choose(nest, at_once, reads_own);
        schedule
    }

    /// Whether the nest is so small that its turns are written one after the other.
    pub fn unrolls(&self) -> bool {
        self.folds.is_empty() && self.outer.iter().product::<usize>() < LANES
    }

    /// The number of a fold's first loop, in the order of [`Self::sums`].
    pub fn first(&self, fold: usize) -> usize {
        self.outer.len() + self.folds[..fold].iter().map(Vec::len).sum::<usize>()
    }

    /// Whether a step differs from lane to lane, when the lanes are those of the innermost loop around the body, or of a
    /// fold.
    pub fn varies(&self, nest: &Nest, id: NodeId, fold: Option<usize>) -> bool {
        let depends = self.depends[id as usize];
        match fold {
            None => !self.outer.is_empty() && depends.outer >> (self.outer.len() - 1) & 1 != 0,
            Some(fold) => {
                let loops = self.folds[fold].len();
                nest.steps[id as usize].scope as usize == fold + 1 && loops > 0 && depends.inner >> (loops - 1) & 1 != 0
            }
        }
    }

    /// What an index grows by from lane to lane: None when it is not by the same.
    pub fn stride(&self, nest: &Nest, at: NodeId, fold: Option<usize>) -> Option<i64> {
        let sum = self.sums[at as usize].as_ref()?;
        if sum.terms.iter().any(|&(term, _)| self.varies(nest, term, fold)) {
            return None;
        }
        let innermost = match fold {
            None => self.outer.len().checked_sub(1)?,
            Some(fold) => (self.first(fold) + self.folds[fold].len()).checked_sub(1)?,
        };
        Some(sum.factors[innermost])
    }

    /// Finds what each step depends on; whether the nest reads what it writes.
    fn depend(&mut self, kernel: &Kernel, nest: &Nest) -> bool {
        let all = |count: usize| if count == 0 { 0 } else { u64::MAX >> (64 - count.min(64)) };
        let mut folds = vec![0; nest.folds.len()];
        let mut reads_own = false;
        // Twice: what a fold carries depends on what the fold does.
        for _ in 0..2 {
            self.depends.clear();
            for (id, step) in nest.steps.iter().enumerate() {
                let mut depends = Depends::default();
                let scope = step.scope as usize;
                let mut operand = |of: NodeId| depends |= self.in_scope(nest, of, scope);
                match step.node {
                    Node::Load(buffer, at) => {
                        operand(at);
                        if nest.stores.iter().any(|store| overlap(kernel, store.buffer, buffer)) {
                            reads_own = true;
                            depends.outer = all(self.outer.len());
                        }
                    }
                    Node::Accumulator(_) => {
                        depends.outer = folds[scope - 1];
                        depends.inner = all(self.folds[scope - 1].len());
                    }
                    Node::Folded(fold, _) => {
                        let fold = &nest.folds[fold as usize];
                        fold.inits.iter().chain(&fold.next).for_each(|&id| operand(id));
                        depends.inner = 0;
                    }
                    Node::Unary(_, a) => operand(a),
                    Node::Binary(_, a, b) | Node::Compare(_, a, b) => [a, b].into_iter().for_each(operand),
                    Node::Select(a, b, c) => [a, b, c].into_iter().for_each(operand),
                    Node::Index(_) | Node::Constant(_) => {}
                }
                if let Some(sum) = &self.sums[id]
                    && sum.terms != [(id as NodeId, 1)]
                {
                    depends = self.of_sum(nest, sum, scope);
                }
                self.depends.push(depends);
            }
            for (number, fold) in nest.folds.iter().enumerate() {
                folds[number] =
                    fold.inits.iter().chain(&fold.next).fold(0, |all, &id| all | self.depends[id as usize].outer);
            }
        }
        let level = |bits: u64| 64 - bits.leading_zeros();
        self.levels = nest
            .steps
            .iter()
            .zip(&self.depends)
            .map(|(step, depends)| level(if step.scope == 0 { depends.outer } else { depends.inner }))
            .collect();
        self.fold_levels = folds.into_iter().map(level).collect();
        reads_own
    }

    fn of_sum(&self, nest: &Nest, sum: &Sum, scope: usize) -> Depends {
        let mut depends = Depends::default();
        for number in (0..sum.factors.len()).filter(|&number| sum.factors[number] != 0) {
            if number < self.outer.len() {
                depends.outer |= 1 << number;
            } else if scope > 0 {
                depends.inner |= 1 << (number - self.first(scope - 1));
            }
        }
        sum.terms.iter().for_each(|&(term, _)| depends |= self.in_scope(nest, term, scope));
        depends
    }

    /// What a step depends on, seen from a scope.
    fn in_scope(&self, nest: &Nest, id: NodeId, scope: usize) -> Depends {
        let mut depends = self.depends[id as usize];
        if nest.steps[id as usize].scope as usize != scope {
            depends.inner = 0;
        }
        depends
    }

    /// Decides what goes several at once.
    fn choose(&mut self, nest: &Nest, at_once: AtOnce, reads_own: bool) {
        for fold in 0..self.folds.len() {
            let Some(&size) = self.folds[fold].last() else { continue };
            if !combines(nest, fold) {
                continue;
            }
            let steps = self.in_loop(nest, Some(fold));
            let lanes = lanes(size, steps, false);
            let alone = self.weight(nest, at_once, Some(fold), 1);
            if lanes > 1 && self.weight(nest, at_once, Some(fold), lanes) < alone {
                self.fold_lanes[fold] = lanes;
            }
        }
        let Some(&size) = self.outer.last() else { return };
        let known = |store: &super::ir::Store| {
            self.sums[store.at as usize].is_some()
                && self.stride(nest, store.at, None).is_some_and(|stride| stride != 0)
        };
        if self.ordered.last() == Some(&true) || !nest.stores.iter().all(known) {
            return;
        }
        // What is read where it is written must not be computed twice.
        let lanes = lanes(size, self.in_loop(nest, None), !reads_own);
        if reads_own && size % lanes != 0 {
            return;
        }
        let alone = self.weight(nest, at_once, None, 1);
        if lanes > 1 && self.weight(nest, at_once, None, lanes) < alone {
            self.lanes = lanes;
            for fold in 0..self.folds.len() {
                if self.fold_levels[fold] as usize == self.outer.len() {
                    self.fold_lanes[fold] = 1;
                }
            }
        }
    }

    /// How many steps stand in an innermost loop.
    fn in_loop(&self, nest: &Nest, fold: Option<usize>) -> usize {
        (0..nest.steps.len()).filter(|&id| self.needed[id] && self.varies(nest, id as NodeId, fold)).count()
    }

    /// What the steps cost that are in an innermost loop with so many lanes, for one element of it.
    fn weight(&self, nest: &Nest, at_once: AtOnce, fold: Option<usize>, lanes: usize) -> f64 {
        let mut total = 0.0;
        for (id, step) in nest.steps.iter().enumerate().filter(|&(id, _)| self.needed[id] && !self.rare[id]) {
            if step.scalar == Scalar::C128 && lanes > 1 {
                return f64::INFINITY;
            }
            if !self.varies(nest, id as NodeId, fold) {
                continue;
            }
            let scope = step.scope as usize;
            // Folds within the loop run their own.
            let turns: f64 = match fold {
                None if scope > 0 => {
                    let loops = &self.folds[scope - 1][..self.levels[id] as usize];
                    let own = if lanes > 1 { 1 } else { self.fold_lanes[scope - 1] };
                    loops.iter().map(|&size| size as f64).product::<f64>() / own as f64
                }
                _ => 1.0,
            };
            total += turns * self.step(nest, at_once, id, fold, lanes);
        }
        if fold.is_none() {
            for store in &nest.stores {
                let registers = registers(nest.steps[store.value as usize].scalar) as f64;
                total += match self.stride(nest, store.at, None) {
                    _ if lanes == 1 => 1.0,
                    Some(1) => registers / LANES as f64,
                    _ => 1.5 * registers,
                };
            }
        }
        total
    }

    /// What the whole nest costs, where a step alone costs that; what a loop does at each turn, and what the next turn of a
    /// fold waits for the last one's.
    pub fn cost(&self, nest: &Nest, at_once: AtOnce, alone: fn(&Node) -> f64, turn: f64, carried: f64) -> f64 {
        let product = |sizes: &[usize]| sizes.iter().map(|&size| size as f64).product::<f64>();
        let all = product(&self.outer);
        let mut total = all / self.lanes as f64 * (turn + nest.stores.len() as f64);
        // Folds in the innermost loop run for its lanes at once.
        let inside = |fold: usize| self.lanes > 1 && self.fold_levels[fold] as usize == self.outer.len();
        let around = |fold: usize| product(&self.outer[..self.fold_levels[fold] as usize]);
        for (fold, sizes) in self.folds.iter().enumerate() {
            let lanes = if inside(fold) { self.lanes } else { self.fold_lanes[fold] };
            total += around(fold) * product(sizes) / lanes as f64 * (turn + carried);
        }
        for (id, step) in nest.steps.iter().enumerate().filter(|&(id, _)| self.needed[id] && !self.rare[id]) {
            let level = self.levels[id] as usize;
            let (turns, fold, lanes) = match (step.scope as usize).checked_sub(1) {
                None => (product(&self.outer[..level]), None, if level == self.outer.len() { self.lanes } else { 1 }),
                Some(fold) => {
                    let turns = around(fold) * product(&self.folds[fold][..level]);
                    match (inside(fold), level == self.folds[fold].len()) {
                        (true, _) => (turns, None, self.lanes),
                        (false, innermost) => (turns, Some(fold), if innermost { self.fold_lanes[fold] } else { 1 }),
                    }
                }
            };
            total += turns * self.among(nest, at_once, id, fold, lanes, alone(&step.node));
        }
        total
    }

    fn step(&self, nest: &Nest, at_once: AtOnce, id: usize, fold: Option<usize>, lanes: usize) -> f64 {
        let step = &nest.steps[id];
        let alone = if self.sums[id].as_ref().is_some_and(Sum::is_affine) { 1.0 } else { node_cost::cost(&step.node) };
        self.among(nest, at_once, id, fold, lanes, alone)
    }

    /// What a step costs for one of so many lanes, that costs so much alone.
    fn among(&self, nest: &Nest, at_once: AtOnce, id: usize, fold: Option<usize>, lanes: usize, alone: f64) -> f64 {
        if lanes == 1 || alone == 0.0 {
            return alone;
        }
        let step = &nest.steps[id];
        let is_at_once = match step.node {
            Node::Load(_, at) => self.stride(nest, at, fold) == Some(1),
            ref node => {
                let varies = |id: NodeId| self.varies(nest, id, fold);
                at_once(nest, node, step.scalar, &varies)
            }
        };
        if is_at_once { alone * registers(step.scalar) as f64 / LANES as f64 } else { alone + 1.5 }
    }
}

/// Of four numbers.
fn registers(scalar: Scalar) -> usize {
    if scalar.bytes() == 8 { 2 } else { 1 }
}

/// Whether a function is a call.
fn is_called(function: Unary) -> bool {
    use Unary::*;
    matches!(
        function,
        Cbrt | Exp | Expm1 | Log | Log1p | Sin | Cos | Tan | Sinh | Cosh | Tanh | Asin | Acos | Atan | Asinh | Acosh
    ) || matches!(function, Atanh | Decode(_))
}

/// How many elements of a loop go at once; when the last ones may be computed twice, any number of them.
fn lanes(size: usize, steps: usize, twice: bool) -> usize {
    let most = match steps {
        0..=12 => 4,
        13..=32 => 2,
        _ => 1,
    };
    let mut best = (size * 3, 1);
    for count in [4, 2, 1] {
        let lanes = count * LANES;
        if count > most || lanes > size {
            continue;
        }
        let turns = if twice { size.div_ceil(lanes) } else { size / lanes };
        let rest = if twice { 0 } else { size % lanes };
        let cost = turns * (lanes + 2) + rest * 4;
        if cost < best.0 {
            best = (cost, lanes);
        }
    }
    best.1
}

/// The function that joins what a fold has so far with another number, for each accumulator; what it is joined with.
///
/// None when a fold does something else: its turns depend on each other.
pub fn joins(nest: &Nest, fold: usize) -> Option<Vec<(Binary, NodeId)>> {
    let scope = fold as u32 + 1;
    let fold = &nest.folds[fold];
    // Steps that are made of what is carried.
    let mut carried = vec![false; nest.steps.len()];
    for (id, step) in nest.steps.iter().enumerate().filter(|(_, step)| step.scope == scope) {
        let of = |id: NodeId| carried[id as usize];
        carried[id] = match step.node {
            Node::Accumulator(_) => true,
            Node::Load(_, a) | Node::Unary(_, a) => of(a),
            Node::Binary(_, a, b) | Node::Compare(_, a, b) => of(a) || of(b),
            Node::Select(a, b, c) => of(a) || of(b) || of(c),
            _ => false,
        };
    }
    fold.accumulators
        .clone()
        .zip(&fold.next)
        .map(|(accumulator, &next)| {
            let step = &nest.steps[next as usize];
            let Node::Binary(function, a, b) = step.node else { return None };
            let is_it = |id: NodeId| nest.steps[id as usize].node == Node::Accumulator(accumulator);
            let other = if is_it(a) && !carried[b as usize] {
                b
            } else if is_it(b) && !carried[a as usize] {
                a
            } else {
                return None;
            };
            let integer = step.scalar.is_integer() || step.scalar == Scalar::Bool;
            let any_order = match function {
                Binary::Maximum | Binary::Minimum => !step.scalar.is_complex() && step.scalar != Scalar::F16,
                // Of f32 they are f64: another order does not show.
                Binary::Add | Binary::Multiply => matches!(step.scalar, Scalar::F32 | Scalar::F64) || integer,
                Binary::And | Binary::Or | Binary::Xor => integer,
                _ => false,
            };
            any_order.then_some((function, other))
        })
        .collect()
}

fn combines(nest: &Nest, fold: usize) -> bool {
    joins(nest, fold).is_some()
}

/// Calls that are used once, as what a selection takes where its condition holds: as definitions of functions have the
/// library's for arguments that are out of their own range.
fn rare(nest: &Nest, needed: &[bool]) -> Vec<bool> {
    let mut uses = vec![0usize; nest.steps.len()];
    let mut taken = vec![false; nest.steps.len()];
    let mut used = |id: NodeId| uses[id as usize] += 1;
    for step in nest.steps.iter().zip(needed).filter(|(_, needed)| **needed).map(|(step, _)| step) {
        match step.node {
            Node::Load(_, a) | Node::Unary(_, a) => used(a),
            Node::Binary(_, a, b) | Node::Compare(_, a, b) => [a, b].into_iter().for_each(&mut used),
            Node::Select(a, b, c) => {
                [a, b, c].into_iter().for_each(&mut used);
                taken[b as usize] |= nest.steps[b as usize].scope == step.scope;
            }
            Node::Index(_) | Node::Accumulator(_) | Node::Constant(_) | Node::Folded(..) => {}
        }
    }
    let others = nest.stores.iter().map(|store| store.value);
    let others = others.chain(nest.folds.iter().flat_map(|fold| fold.inits.iter().chain(&fold.next).copied()));
    others.for_each(&mut used);
    let is_call = |node: &Node| matches!(node, Node::Unary(function, _) if is_called(*function));
    (0..nest.steps.len()).map(|id| taken[id] && uses[id] == 1 && is_call(&nest.steps[id].node)).collect()
}

/// The steps that are computed, and the sums that are used: as addresses, or as numbers.
fn needed(nest: &Nest, sums: &[Option<Sum>]) -> (Vec<bool>, Vec<bool>) {
    let mut needed = vec![false; nest.steps.len()];
    let mut roots = vec![false; nest.steps.len()];
    let is_affine = |id: NodeId| sums[id as usize].as_ref().is_some_and(Sum::is_affine);
    let mut pending: Vec<NodeId> = Vec::new();
    // As an address only the terms are computed.
    let address = |at: NodeId, roots: &mut Vec<bool>, pending: &mut Vec<NodeId>| {
        roots[at as usize] = true;
        match &sums[at as usize] {
            Some(sum) => pending.extend(sum.terms.iter().map(|&(term, _)| term)),
            None => pending.push(at),
        }
    };
    for store in &nest.stores {
        address(store.at, &mut roots, &mut pending);
        pending.push(store.value);
    }
    while let Some(id) = pending.pop() {
        if std::mem::replace(&mut needed[id as usize], true) {
            continue;
        }
        if is_affine(id) {
            roots[id as usize] = true;
            continue;
        }
        match nest.steps[id as usize].node {
            Node::Load(_, at) => address(at, &mut roots, &mut pending),
            Node::Unary(_, a) => pending.push(a),
            Node::Binary(_, a, b) | Node::Compare(_, a, b) => pending.extend([a, b]),
            Node::Select(a, b, c) => pending.extend([a, b, c]),
            Node::Folded(fold, _) => {
                let fold = &nest.folds[fold as usize];
                pending.extend(fold.inits.iter().chain(&fold.next));
            }
            Node::Index(_) | Node::Accumulator(_) | Node::Constant(_) => {}
        }
    }
    (needed, roots)
}

/// Loops that are one: of adjacent dimensions that all indices count through as if they were.
struct Merged {
    outer: Vec<usize>,
    ordered: Vec<bool>,
    folds: Vec<Vec<usize>>,
    /// The dimension that stands for each loop.
    last: Vec<usize>,
}

impl Merged {
    fn new(nest: &Nest, sums: &[Option<Sum>], roots: &[bool]) -> Self {
        let used: Vec<&Sum> =
            sums.iter().zip(roots).filter(|(_, root)| **root).filter_map(|(sum, _)| sum.as_ref()).collect();
        let mut last = Vec::new();
        let is_ordered = |dimension: usize| nest.ordered.contains(&(dimension as u32));
        let mut group = |dimensions: std::ops::Range<usize>| {
            let mut sizes: Vec<usize> = Vec::new();
            let mut ordered: Vec<bool> = Vec::new();
            let mut before: Option<usize> = None;
            for dimension in dimensions.filter(|&dimension| nest.dimensions[dimension] != 1) {
                let size = nest.dimensions[dimension];
                let counts_on = |before: usize| {
                    used.iter().all(|sum| Some(sum.factors[before]) == sum.factors[dimension].checked_mul(size as i64))
                };
                match (before, sizes.last_mut()) {
                    (Some(before), Some(so_far))
                        if counts_on(before) && is_ordered(before) == is_ordered(dimension) =>
                    {
                        *so_far *= size;
                        last.pop();
                    }
                    _ => {
                        sizes.push(size);
                        ordered.push(is_ordered(dimension));
                    }
                }
                last.push(dimension);
                before = Some(dimension);
            }
            (sizes, ordered)
        };
        let (outer, ordered) = group(0..nest.outer as usize);
        let folds = nest
            .folds
            .iter()
            .map(|fold| group(fold.dimensions.start as usize..fold.dimensions.end as usize).0)
            .collect();
        Self { outer, ordered, folds, last }
    }

    fn factors(&self, factors: &[i64]) -> Vec<i64> {
        self.last.iter().map(|&dimension| factors[dimension]).collect()
    }
}
