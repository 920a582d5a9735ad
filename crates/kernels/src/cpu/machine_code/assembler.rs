//! Instructions of x86-64 as bytes: those that fragments are made of, over vectors of AVX-512 or of AVX2.
//!
//! Most have one opcode in both encodings, EVEX and VEX, which differ in their prefix alone. Memory is always addressed by a base, an index or none, and
//! a displacement. What the bytes mean is in Intel's Software
//! Developer's Manual, volume 2, chapter 2; nothing else of the crate knows of it.

/// Which vectors a fragment computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu) enum Vectors {
    /// AVX-512: sixteen lanes, 32 vectors, masks in registers of their own.
    Evex,
    /// AVX2 with fused multiplication and addition: eight lanes, 16 vectors, masks in vectors.
    Vex,
}

/// A vector register, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vector(pub(super) u8);

/// A mask register of AVX-512, by its number; 0 stands for no mask and is never given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask(pub(super) u8);

/// A general register, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct General(pub(super) u8);

pub(super) const RAX: General = General(0);
pub(super) const RCX: General = General(1);
pub(super) const RDX: General = General(2);
pub(super) const RSI: General = General(6);
pub(super) const RDI: General = General(7);
pub(super) const R11: General = General(11);

/// A place in memory: the sum of its parts, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) base: General,
    pub(super) index: Option<General>,
    pub(super) displacement: i32,
}

/// The last operand of most instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Vector(Vector),
    Place(Place),
}

impl From<Vector> for Operand {
    fn from(vector: Vector) -> Operand {
        Operand::Vector(vector)
    }
}

impl From<Place> for Operand {
    fn from(place: Place) -> Operand {
        Operand::Place(place)
    }
}

/// An opcode: its mandatory prefix, its map and its byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opcode {
    prefix: Prefix,
    map: Map,
    byte: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    None = 0,
    P66 = 1,
    PF3 = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Map {
    M0f = 1,
    M0f38 = 2,
    M0f3a = 3,
}

const fn opcode(prefix: Prefix, map: Map, byte: u8) -> Opcode {
    Opcode { prefix, map, byte }
}

/// The opcodes, by the names that Intel gives their instructions.
impl Opcode {
    pub(super) const MOVUPS_LOAD: Opcode = opcode(Prefix::None, Map::M0f, 0x10);
    const MOVUPS_STORE: Opcode = opcode(Prefix::None, Map::M0f, 0x11);
    /// One lane of memory in every lane.
    pub(super) const BROADCASTSS: Opcode = opcode(Prefix::P66, Map::M0f38, 0x18);
    pub(super) const ADDPS: Opcode = opcode(Prefix::None, Map::M0f, 0x58);
    pub(super) const MULPS: Opcode = opcode(Prefix::None, Map::M0f, 0x59);
    pub(super) const SUBPS: Opcode = opcode(Prefix::None, Map::M0f, 0x5C);
    pub(super) const MINPS: Opcode = opcode(Prefix::None, Map::M0f, 0x5D);
    pub(super) const DIVPS: Opcode = opcode(Prefix::None, Map::M0f, 0x5E);
    pub(super) const MAXPS: Opcode = opcode(Prefix::None, Map::M0f, 0x5F);
    pub(super) const SQRTPS: Opcode = opcode(Prefix::None, Map::M0f, 0x51);
    pub(super) const CVTDQ2PS: Opcode = opcode(Prefix::None, Map::M0f, 0x5B);
    pub(super) const PADDD: Opcode = opcode(Prefix::P66, Map::M0f, 0xFE);
    pub(super) const PSUBD: Opcode = opcode(Prefix::P66, Map::M0f, 0xFA);
    pub(super) const PMULLD: Opcode = opcode(Prefix::P66, Map::M0f38, 0x40);
    pub(super) const PAND: Opcode = opcode(Prefix::P66, Map::M0f, 0xDB);
    pub(super) const POR: Opcode = opcode(Prefix::P66, Map::M0f, 0xEB);
    pub(super) const PXOR: Opcode = opcode(Prefix::P66, Map::M0f, 0xEF);
    /// Rounds to an integer as the immediate says.
    pub(super) const ROUNDPS: Opcode = opcode(Prefix::P66, Map::M0f3a, 0x08);
    /// `first = second first + third`, by the numbers of the operands.
    pub(super) const FMADD213PS: Opcode = opcode(Prefix::P66, Map::M0f38, 0xA8);
    /// `first = second third + first`.
    pub(super) const FMADD231PS: Opcode = opcode(Prefix::P66, Map::M0f38, 0xB8);
    /// `first = first third + second`.
    pub(super) const FMADD132PS: Opcode = opcode(Prefix::P66, Map::M0f38, 0x98);
    /// The second operand times 2 to the power of the third, rounded once; of AVX-512.
    pub(super) const SCALEFPS: Opcode = opcode(Prefix::P66, Map::M0f38, 0x2C);
    const SHIFT_BY_IMMEDIATE: Opcode = opcode(Prefix::P66, Map::M0f, 0x72);
    const CMPPS: Opcode = opcode(Prefix::None, Map::M0f, 0xC2);
    const PCMPD: Opcode = opcode(Prefix::P66, Map::M0f3a, 0x1F);
    const PCMPEQD: Opcode = opcode(Prefix::P66, Map::M0f, 0x76);
    const PCMPGTD: Opcode = opcode(Prefix::P66, Map::M0f, 0x66);
    const BLENDMPS: Opcode = opcode(Prefix::P66, Map::M0f38, 0x65);
    const BLENDVPS: Opcode = opcode(Prefix::P66, Map::M0f3a, 0x4A);
    const PMOVZXBD: Opcode = opcode(Prefix::P66, Map::M0f38, 0x31);
    const PMOVDB: Opcode = opcode(Prefix::PF3, Map::M0f38, 0x31);
    const PTESTMD: Opcode = opcode(Prefix::P66, Map::M0f38, 0x27);
    const MOVDQA_LOAD: Opcode = opcode(Prefix::P66, Map::M0f, 0x6F);
    const PACKSSDW: Opcode = opcode(Prefix::P66, Map::M0f, 0x6B);
    const PACKSSWB: Opcode = opcode(Prefix::P66, Map::M0f, 0x63);
    const EXTRACTI128: Opcode = opcode(Prefix::P66, Map::M0f3a, 0x39);
    const MOVQ_STORE: Opcode = opcode(Prefix::P66, Map::M0f, 0xD6);
}

/// Which way bits are shifted, as the extension of the opcode has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// Zeros come in at the top.
    Right = 2,
    /// The sign comes in at the top.
    RightArithmetic = 4,
    Left = 6,
}

/// How masks combine, as the opcode has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combination {
    And = 0x41,
    /// Of the last alone.
    Not = 0x44,
    Or = 0x45,
}

/// How two numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Less,
    LessEqual,
    NotEqual,
}

impl Relation {
    /// The immediate for floats: without exceptions, and true of NaN only where it asks for a difference.
    fn of_floats(self) -> u8 {
        match self {
            Relation::Equal => 0x00,
            Relation::Less => 0x11,
            Relation::LessEqual => 0x12,
            Relation::NotEqual => 0x04,
        }
    }

    fn of_integers(self) -> u8 {
        match self {
            Relation::Equal => 0,
            Relation::Less => 1,
            Relation::LessEqual => 2,
            Relation::NotEqual => 4,
        }
    }
}

/// The length of a vector in a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Bits128 = 0,
    Bits256 = 1,
    Bits512 = 2,
}

/// The fields of an instruction on vectors, before they are encoded.
struct Fields {
    opcode: Opcode,
    length: Length,
    /// The operand of the ModR/M byte's `reg`: mostly the first.
    reg: u8,
    /// The operand in the prefix: mostly the second; 0 where there is none.
    second: u8,
    last: Operand,
    /// The mask, and whether lanes without it become 0.
    mask: (u8, bool),
    immediate: Option<u8>,
}

/// Instructions, one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Assembler {
    vectors: Vectors,
    pub(super) bytes: Vec<u8>,
}

impl Assembler {
    pub(super) fn new(vectors: Vectors) -> Assembler {
        Assembler { vectors, bytes: Vec::new() }
    }

    fn length(&self) -> Length {
        match self.vectors {
            Vectors::Evex => Length::Bits512,
            Vectors::Vex => Length::Bits256,
        }
    }

    /// `first = second op last`.
    pub(super) fn binary(&mut self, opcode: Opcode, first: Vector, second: Vector, last: impl Into<Operand>) {
        self.vector(opcode, first.0, second.0, last.into(), None);
    }

    /// `first = op last`.
    pub(super) fn unary(&mut self, opcode: Opcode, first: Vector, last: impl Into<Operand>, immediate: Option<u8>) {
        self.vector(opcode, first.0, 0, last.into(), immediate);
    }

    /// `place = vector`.
    pub(super) fn store(&mut self, place: Place, vector: Vector) {
        self.vector(Opcode::MOVUPS_STORE, vector.0, 0, place.into(), None);
    }

    /// `first = last` shifted by so many bits, lane by lane.
    pub(super) fn shift(&mut self, shift: Shift, first: Vector, last: Vector, bits: u8) {
        self.vector(Opcode::SHIFT_BY_IMMEDIATE, shift as u8, first.0, last.into(), Some(bits));
    }

    /// `mask = second < last`, or as another relation has it, of floats; of AVX-512.
    pub(super) fn compare(&mut self, relation: Relation, mask: Mask, second: Vector, last: Operand) {
        self.vector(Opcode::CMPPS, mask.0, second.0, last, Some(relation.of_floats()));
    }

    /// As [`Assembler::compare`], of integers.
    pub(super) fn compare_integers(&mut self, relation: Relation, mask: Mask, second: Vector, last: Operand) {
        self.vector(Opcode::PCMPD, mask.0, second.0, last, Some(relation.of_integers()));
    }

    /// As [`Assembler::compare`], with the mask in all bits of a vector's lanes; of AVX2.
    pub(super) fn compare_to_vector(&mut self, relation: Relation, first: Vector, second: Vector, last: Operand) {
        self.vector(Opcode::CMPPS, first.0, second.0, last, Some(relation.of_floats()));
    }

    /// Whether integers are equal, in all bits of a vector's lanes; of AVX2.
    pub(super) fn equal_to_vector(&mut self, first: Vector, second: Vector, last: Operand) {
        self.vector(Opcode::PCMPEQD, first.0, second.0, last, None);
    }

    /// Whether integers are greater than others, in all bits of a vector's lanes; of AVX2.
    pub(super) fn greater_to_vector(&mut self, first: Vector, second: Vector, last: Operand) {
        self.vector(Opcode::PCMPGTD, first.0, second.0, last, None);
    }

    /// `first = mask ? on_true : on_false`; of AVX-512.
    pub(super) fn choose(&mut self, first: Vector, mask: Mask, on_true: Operand, on_false: Vector) {
        let (reg, second, length) = (first.0, on_false.0, self.length());
        let mask = (mask.0, false);
        let fields = Fields { opcode: Opcode::BLENDMPS, length, reg, second, last: on_true, mask, immediate: None };
        self.encode(&fields);
    }

    /// `first = mask ? on_true : on_false`, by the sign of each of the mask's lanes; of AVX2.
    pub(super) fn choose_by_vector(&mut self, first: Vector, mask: Vector, on_true: Operand, on_false: Vector) {
        self.vector(Opcode::BLENDVPS, first.0, on_false.0, on_true, Some(mask.0 << 4));
    }

    /// `mask = second op last`, of masks; of AVX-512.
    pub(super) fn combine_masks(&mut self, combination: Combination, mask: Mask, second: Mask, last: Mask) {
        let is_wide = u8::from(combination != Combination::Not);
        let second = if combination == Combination::Not { 0 } else { second.0 };
        self.bytes.extend([
            0xC4,
            0xE1,
            (!second & 15) << 3 | is_wide << 2,
            combination as u8,
            0xC0 | mask.0 << 3 | last.0,
        ]);
    }

    /// `first` = the bytes at a place, one for each lane, as integers.
    pub(super) fn load_bytes(&mut self, first: Vector, place: Place) {
        self.vector(Opcode::PMOVZXBD, first.0, 0, place.into(), None);
    }

    /// `mask` = where lanes are not 0; of AVX-512.
    pub(super) fn test(&mut self, mask: Mask, vector: Vector) {
        self.vector(Opcode::PTESTMD, mask.0, vector.0, vector.into(), None);
    }

    /// `first` = the vector at a place where the mask is set, else 0; of AVX-512.
    pub(super) fn load_masked(&mut self, first: Vector, mask: Mask, place: Place) {
        let (length, reg, last) = (self.length(), first.0, place.into());
        let mask = (mask.0, true);
        self.encode(&Fields { opcode: Opcode::MOVDQA_LOAD, length, reg, second: 0, last, mask, immediate: None });
    }

    /// Writes the lowest byte of each lane to a place; of AVX-512.
    pub(super) fn store_bytes(&mut self, place: Place, vector: Vector) {
        self.vector(Opcode::PMOVDB, vector.0, 0, place.into(), None);
    }

    /// Writes the lanes of `vector`, which are 0 or 1, as bytes to a place; of AVX2. `scratch` is overwritten, and the vector too.
    pub(super) fn store_bytes_of_vector(&mut self, place: Place, vector: Vector, scratch: Vector) {
        let short = |opcode, reg: Vector, second: Vector, last: Operand, immediate| Fields {
            opcode,
            length: Length::Bits128,
            reg: reg.0,
            second: second.0,
            last,
            mask: (0, false),
            immediate,
        };
        let high = Fields {
            length: Length::Bits256,
            ..short(Opcode::EXTRACTI128, vector, Vector(0), scratch.into(), Some(1))
        };
        self.encode(&high);
        self.encode(&short(Opcode::PACKSSDW, vector, vector, scratch.into(), None));
        self.encode(&short(Opcode::PACKSSWB, vector, vector, vector.into(), None));
        self.encode(&short(Opcode::MOVQ_STORE, vector, Vector(0), place.into(), None));
    }

    fn vector(&mut self, opcode: Opcode, reg: u8, second: u8, last: Operand, immediate: Option<u8>) {
        let length = self.length();
        self.encode(&Fields { opcode, length, reg, second, last, mask: (0, false), immediate });
    }

    fn encode(&mut self, fields: &Fields) {
        let Fields { opcode, length, reg, second, last, mask, immediate } = fields;
        // The third and fourth bits of what the ModR/M and SIB bytes name stand in the prefix, inverted; a register uses the index's for its fifth.
        let (x, b) = match last {
            Operand::Vector(vector) => (vector.0 >> 4 & 1, vector.0 >> 3 & 1),
            Operand::Place(place) => (place.index.map_or(0, |index| index.0 >> 3 & 1), place.base.0 >> 3 & 1),
        };
        let inverted = |bit: u8, at: u8| ((bit & 1) ^ 1) << at;
        let shared = inverted(reg >> 3, 7) | inverted(x, 6) | inverted(b, 5);
        match self.vectors {
            Vectors::Evex => {
                let (mask, zeroes) = mask;
                let first = shared | inverted(reg >> 4, 4) | opcode.map as u8;
                let second_byte = (!second & 15) << 3 | 1 << 2 | opcode.prefix as u8;
                let third = u8::from(*zeroes) << 7 | (*length as u8) << 5 | inverted(second >> 4, 3) | mask;
                self.bytes.extend([0x62, first, second_byte, third]);
            }
            Vectors::Vex => {
                let second_byte = (!second & 15) << 3 | (*length as u8) << 2 | opcode.prefix as u8;
                self.bytes.extend([0xC4, shared | opcode.map as u8, second_byte]);
            }
        }
        self.bytes.push(opcode.byte);
        match last {
            Operand::Vector(vector) => self.bytes.push(0xC0 | (reg & 7) << 3 | vector.0 & 7),
            Operand::Place(place) => {
                // EVEX has displacements of a byte in units of what is read or written; those of four bytes are in bytes.
                let unit = match self.vectors {
                    Vectors::Evex if *opcode == Opcode::PMOVZXBD || *opcode == Opcode::PMOVDB => 16,
                    Vectors::Evex if *opcode == Opcode::BROADCASTSS => 4,
                    Vectors::Evex => 64,
                    Vectors::Vex => 1,
                };
                self.place(reg & 7, *place, unit);
            }
        }
        self.bytes.extend(immediate);
    }

    /// The ModR/M and SIB bytes and the displacement of a place, in the shortest form; a displacement of one byte counts in `unit` bytes.
    pub(super) fn place(&mut self, reg: u8, Place { base, index, displacement }: Place, unit: i32) {
        // An index of 4 is none.
        let index = index.map_or(4, |index| index.0 & 7);
        let small = i8::try_from(displacement / unit).ok().filter(|_| displacement % unit == 0);
        // Without a displacement, a base of 5 would be none.
        let mode = match small {
            Some(0) if base.0 & 7 != 5 => 0,
            Some(_) => 1,
            None => 2,
        };
        self.bytes.extend([mode << 6 | reg << 3 | 4, index << 3 | base.0 & 7]);
        match (mode, small) {
            (0, _) => {}
            (_, Some(small)) => self.bytes.push(small as u8),
            (_, None) => self.bytes.extend(displacement.to_le_bytes()),
        }
    }

    /// Says that a call may lead here, as processors ask that check where calls lead.
    pub(super) fn enter(&mut self) {
        self.bytes.extend([0xF3, 0x0F, 0x1E, 0xFA]);
    }

    /// Gives the upper halves of vectors back, as code without AVX wants it, and returns.
    pub(super) fn return_clean(&mut self) {
        self.bytes.extend([0xC5, 0xF8, 0x77, 0xC3]);
    }
}
