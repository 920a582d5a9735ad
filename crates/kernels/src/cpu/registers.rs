//! The registers that a program's values stand in while a block is computed.
//!
//! A *varying* register holds one value for each element of a block; a *uniform* one holds a value that is the same for
//! all of them, once for each lane, and is computed once a run instead of once a block. Registers are typed and their
//! number is fixed when the program is translated, so that a run allocates nothing. A varying register may also be *borrowed*: its
//! value is not in its own memory but stands in an input or among the accumulators, or is the same for all of a block and stands in its
//! first chunk alone, until the register is written again.

use std::marker::PhantomData;

use arenagrad_graph::DType;
use bytemuck::Pod;

use super::buffer::Element;
use super::cache_lines::{self, CacheLine};

/// Elements that are computed together; loops over a chunk have no remainder and become vector instructions.
pub(super) const LANES: usize = 16;

/// The elements of a block: its registers together stay in the nearest cache.
pub(super) const BLOCK: usize = 1024;

/// The most elements of a block that fragments compute, which need no register for most values: a call of one is then felt less.
pub(super) const LONG_BLOCK: usize = 4 * BLOCK;

/// `LANES` neighbouring elements.
pub(super) type Chunk<T> = [T; LANES];

/// Names a register among those of its dtype. It is four bytes: code is registers for the most part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Register(u32);

impl Register {
    /// The highest bit of a register that is uniform.
    const UNIFORM: u32 = 1 << 31;

    fn new(index: u32, is_uniform: bool) -> Self {
        Register(index | if is_uniform { Register::UNIFORM } else { 0 })
    }

    /// The first of the uniform ones, for a place that nothing reads.
    pub(super) const fn unused() -> Self {
        Register(Register::UNIFORM)
    }

    #[inline(always)]
    fn index(self) -> usize {
        (self.0 & !Register::UNIFORM) as usize
    }

    #[inline(always)]
    pub(super) fn is_uniform(self) -> bool {
        self.0 & Register::UNIFORM != 0
    }
}

/// The registers of one dtype.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers<T> {
    varying: Vec<Box<[CacheLine]>>,
    /// Where the value of a varying register stands if it is borrowed.
    borrowed: Vec<Option<Borrowed>>,
    /// A chunk each. The memory of both kinds is alike, so that taking one out moves two words.
    uniform: Vec<Box<[CacheLine]>>,
    of: PhantomData<T>,
}

/// Where the value of a borrowed register stands, from which element on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Borrowed {
    /// In the register's first chunk, for the whole block.
    Repeated,
    /// In an input of the program.
    Input { input: u32, position: usize },
    /// In an output that an input shares the memory of, which fragments alone read.
    #[cfg_attr(not(all(target_arch = "x86_64", target_pointer_width = "64", any(unix, windows))), allow(dead_code))]
    Output { output: u32, position: usize },
    /// In what the kernel computed before its epilogue.
    Accumulators { position: usize },
}

/// How many registers of each dtype a program needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    /// In the order of `DType::ALL`.
    pub(super) varying: [u32; 4],
    /// In the order of `DType::ALL`.
    pub(super) uniform: [u32; 4],
}

/// Hands out registers, those that are free again first.
#[derive(Clone, Debug, Default)]
pub(super) struct Allocation {
    demand: Demand,
    free: [Vec<u32>; 4],
}

impl Allocation {
    /// A register that no living value stands in.
    pub(super) fn define(&mut self, dtype: DType, uniform: bool) -> Register {
        let dtype = dtype as usize;
        if !uniform && let Some(index) = self.free[dtype].pop() {
            return Register::new(index, uniform);
        }
        self.define_source(DType::ALL[dtype], uniform)
    }

    /// A register that no other value has had.
    pub(super) fn define_source(&mut self, dtype: DType, uniform: bool) -> Register {
        let dtype = dtype as usize;
        let count = if uniform { &mut self.demand.uniform[dtype] } else { &mut self.demand.varying[dtype] };
        *count += 1;
        Register::new(*count - 1, uniform)
    }

    /// Takes a register back. Uniform ones keep their value for the whole run.
    pub(super) fn release(&mut self, dtype: DType, register: Register) {
        if !register.is_uniform() {
            self.free[dtype as usize].push(register.index() as u32);
        }
    }

    /// How many registers have been needed.
    pub(super) fn demand(self) -> Demand {
        self.demand
    }
}

/// All registers that one task computes in.
#[derive(Clone, Debug)]
pub(super) struct Bank {
    f32: Registers<f32>,
    f64: Registers<f64>,
    i32: Registers<i32>,
    bool: Registers<u8>,
}

impl Bank {
    /// Registers for blocks of at most `elements` elements.
    pub(super) fn new(demand: &Demand, elements: usize) -> Self {
        fn registers<T: Element>(demand: &Demand, elements: usize) -> Registers<T> {
            let chunks = elements.div_ceil(LANES);
            let of = T::DTYPE as usize;
            Registers {
                varying: vec![cache_lines::zeros::<T>(chunks); demand.varying[of] as usize],
                borrowed: vec![None; demand.varying[of] as usize],
                uniform: vec![cache_lines::zeros::<T>(1); demand.uniform[of] as usize],
                of: PhantomData,
            }
        }
        Bank {
            f32: registers(demand, elements),
            f64: registers(demand, elements),
            i32: registers(demand, elements),
            bool: registers(demand, elements),
        }
    }

    /// Sets a uniform register.
    pub(super) fn set_uniform<T: Lane>(&mut self, register: Register, value: T) {
        cache_lines::chunks_mut(&mut T::registers_mut(self).uniform[register.index()])[0] = [value; LANES];
    }

    /// The value of a uniform register.
    #[inline(always)]
    pub(super) fn uniform<T: Lane>(&self, register: Register) -> T {
        cache_lines::chunks::<T>(&T::registers(self).uniform[register.index()])[0][0]
    }

    /// Lets a varying register stand for elements elsewhere, until it is written again.
    #[inline(always)]
    pub(super) fn borrow<T: Lane>(&mut self, register: Register, from: Borrowed) {
        debug_assert!(!register.is_uniform());
        T::registers_mut(self).borrowed[register.index()] = Some(from);
    }

    /// Lets a varying register stand for one value, until it is written again.
    #[inline(always)]
    pub(super) fn repeat<T: Lane>(&mut self, register: Register, value: T) {
        debug_assert!(!register.is_uniform());
        let registers = T::registers_mut(self);
        cache_lines::chunks_mut(&mut registers.varying[register.index()])[0] = [value; LANES];
        registers.borrowed[register.index()] = Some(Borrowed::Repeated);
    }

    /// The value of a varying register that stands for one.
    #[inline(always)]
    pub(super) fn repeated<T: Lane>(&self, register: Register) -> Lanes<'_, T> {
        debug_assert!(!register.is_uniform());
        Lanes::Uniform(&cache_lines::chunks(&T::registers(self).varying[register.index()])[0])
    }

    /// Where the value of a register stands if it is borrowed.
    #[inline(always)]
    pub(super) fn borrowed<T: Lane>(&self, register: Register) -> Option<Borrowed> {
        if register.is_uniform() { None } else { T::registers(self).borrowed[register.index()] }
    }

    /// The value of a register that is not borrowed in the first `chunks` chunks.
    #[inline(always)]
    pub(super) fn get<T: Lane>(&self, register: Register, chunks: usize) -> Lanes<'_, T> {
        let registers = T::registers(self);
        if register.is_uniform() {
            Lanes::Uniform(&cache_lines::chunks(&registers.uniform[register.index()])[0])
        } else {
            Lanes::Varying(&cache_lines::chunks(&registers.varying[register.index()])[..chunks])
        }
    }

    /// The elements of a varying register.
    #[inline(always)]
    pub(super) fn varying_mut<T: Lane>(&mut self, register: Register) -> &mut [T] {
        debug_assert!(!register.is_uniform());
        let registers = T::registers_mut(self);
        registers.borrowed[register.index()] = None;
        cache_lines::chunks_mut(&mut registers.varying[register.index()]).as_flattened_mut()
    }

    /// The first `length` elements of a varying register.
    #[inline(always)]
    pub(super) fn varying<T: Lane>(&self, register: Register, length: usize) -> &[T] {
        debug_assert!(!register.is_uniform());
        &cache_lines::chunks(&T::registers(self).varying[register.index()]).as_flattened()[..length]
    }

    /// Exchanges the memory of a varying register for other memory of the same size.
    pub(super) fn exchange<T: Lane>(&mut self, register: Register, memory: &mut Box<[CacheLine]>) {
        debug_assert!(!register.is_uniform());
        std::mem::swap(&mut T::registers_mut(self).varying[register.index()], memory);
    }

    /// Takes a register out, so that it can be written while others are read.
    #[inline(always)]
    pub(super) fn take<T: Lane>(&mut self, register: Register) -> Target<T> {
        let registers = T::registers_mut(self);
        let index = register.index();
        let lines = if register.is_uniform() {
            &mut registers.uniform[index]
        } else {
            registers.borrowed[index] = None;
            &mut registers.varying[index]
        };
        Target { lines: std::mem::take(lines), of: PhantomData }
    }

    /// Puts a register back.
    #[inline(always)]
    pub(super) fn put<T: Lane>(&mut self, register: Register, target: Target<T>) {
        let registers = T::registers_mut(self);
        let list = if register.is_uniform() { &mut registers.uniform } else { &mut registers.varying };
        list[register.index()] = target.lines;
    }
}

/// A register that has been taken out of its bank.
pub(super) struct Target<T> {
    lines: Box<[CacheLine]>,
    of: PhantomData<T>,
}

impl<T: Lane> Target<T> {
    /// The first `chunks` chunks; of a uniform register, which has one, that.
    #[inline(always)]
    pub(super) fn chunks(&mut self, chunks: usize) -> &mut [Chunk<T>] {
        &mut cache_lines::chunks_mut(&mut self.lines)[..chunks]
    }
}

/// The value of a register in some chunks of a block.
#[derive(Clone, Copy)]
pub(super) enum Lanes<'a, T> {
    Uniform(&'a Chunk<T>),
    Varying(&'a [Chunk<T>]),
}

impl<'a, T> Lanes<'a, T> {
    /// The value in one of the chunks.
    #[inline(always)]
    pub(super) fn chunk(&self, chunk: usize) -> &'a Chunk<T> {
        match self {
            Lanes::Uniform(value) => value,
            Lanes::Varying(chunks) => &chunks[chunk],
        }
    }
}

/// An element type that registers hold.
pub(super) trait Lane: Element + Pod {
    fn registers(bank: &Bank) -> &Registers<Self>;
    fn registers_mut(bank: &mut Bank) -> &mut Registers<Self>;
    /// The values themselves if this is their type, else none.
    fn of_f32(values: &[f32]) -> &[Self];
    /// As [`Lane::of_f32`].
    fn of_f64(values: &[f64]) -> &[Self];
    /// As [`Lane::of_f32`].
    fn of_i32(values: &[i32]) -> &[Self];
}

fn same<T>(values: &[T]) -> &[T] {
    values
}

fn none<T, R>(_: &[T]) -> &[R] {
    &[]
}

macro_rules! lane {
    ($($element:ty, $field:ident, [$f32:expr, $f64:expr, $i32:expr];)*) => {$(
        impl Lane for $element {
            #[inline(always)]
            fn registers(bank: &Bank) -> &Registers<Self> {
                &bank.$field
            }

            #[inline(always)]
            fn registers_mut(bank: &mut Bank) -> &mut Registers<Self> {
                &mut bank.$field
            }

            #[inline(always)]
            fn of_f32(values: &[f32]) -> &[Self] {
                $f32(values)
            }

            #[inline(always)]
            fn of_f64(values: &[f64]) -> &[Self] {
                $f64(values)
            }

            #[inline(always)]
            fn of_i32(values: &[i32]) -> &[Self] {
                $i32(values)
            }
        }
    )*};
}
lane! {
    f32, f32, [same, none, none];
    f64, f64, [none, same, none];
    i32, i32, [none, none, same];
    u8, bool, [none, none, none];
}
