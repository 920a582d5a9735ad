//! The random source: a counter-based generator in 32-bit integer arithmetic, so that every device gives the same bits.
//!
//! It is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011).
//! All arithmetic is modulo 2^32 and `rotate_left(x, r)` is `(x << r) | (x >> (32 - r))`:
//!
//! ```text
//! k0 = low 32 bits of seed            k1 = high 32 bits of seed           k2 = 0x1BD11BDA ^ k0 ^ k1
//! x0 = low 32 bits of index + k0      x1 = step as u32 + k1
//! for round in 0..20:
//!     x0 += x1;  x1 = rotate_left(x1, ROTATIONS[round % 8]) ^ x0
//!     after rounds 4, 8, 12, 16, 20 (that is s = 1..=5): x0 += k[s % 3];  x1 += k[(s + 1) % 3] + s
//! ROTATIONS = 13, 15, 26, 6, 17, 29, 16, 24
//! uniform = f32(x0 >> 8) * 2^-24
//! ```
//!
//! The value is exact in f32 and lies in `[0, 1)`. Indices that agree in their low 32 bits give the same value.

const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
const KEY_PARITY: u32 = 0x1BD1_1BDA;

/// The two words of Threefry-2x32, 20 rounds, for a key and a counter.
#[inline(always)]
pub fn threefry_2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let key = [key[0], key[1], KEY_PARITY ^ key[0] ^ key[1]];
    let mut x0 = counter[0].wrapping_add(key[0]);
    let mut x1 = counter[1].wrapping_add(key[1]);
    let mut group = 0;
    while group < 5 {
        let mut round = 0;
        while round < 4 {
            x0 = x0.wrapping_add(x1);
            x1 = x1.rotate_left(ROTATIONS[(group % 2) * 4 + round]) ^ x0;
            round += 1;
        }
        group += 1;
        x0 = x0.wrapping_add(key[group % 3]);
        x1 = x1.wrapping_add(key[(group + 1) % 3]).wrapping_add(group as u32);
    }
    [x0, x1]
}

/// The uniform f32 in `[0, 1)` of element `index` at `step` under `seed`; the module's text defines it bit for bit.
#[inline(always)]
pub fn uniform(seed: u64, step: i32, index: u64) -> f32 {
    let [word, _] = threefry_2x32([seed as u32, (seed >> 32) as u32], [index as u32, step as u32]);
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        assert_eq!(threefry_2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry_2x32([u32::MAX; 2], [u32::MAX; 2]), [0x1cb9_96fc, 0xbb00_2be7]);
        assert_eq!(threefry_2x32([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]), [0xc492_3a9c, 0x483d_f7a0]);
    }

    #[test]
    fn uniform_takes_the_high_bits_of_the_first_word() {
        assert_eq!(uniform(0, 0, 0), (0x6b20_0159_u32 >> 8) as f32 / 16_777_216.0);
        assert_eq!(uniform(u64::MAX, -1, u64::from(u32::MAX)), (0x1cb9_96fc_u32 >> 8) as f32 / 16_777_216.0);
        assert_eq!(uniform(0x0370_7344_1319_8a2e, 0x85a3_08d3_u32 as i32, 0x243f_6a88), 0xc4923a as f32 / 16_777_216.0);
    }
}
