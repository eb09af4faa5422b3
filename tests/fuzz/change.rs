//! Changes of good files: of bits and bytes, of lengths, and of numbers where a format has them.

use super::Seed;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::{Index, select},
};
use std::ops::Range;

/// What a number in a text becomes.
const NUMBERS: [&str; 26] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "-1",
    "-0",
    "0.5",
    "255",
    "1000",
    "65536",
    "1048576",
    "1000000000",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e300",
    "1e999",
    "1e-300",
    "NaN",
    "null",
    "[]",
];
/// What a number of bytes becomes: of the smallest kinds, about the largest of each width, and as large as memory.
const WORDS: [u64; 20] = [
    0,
    1,
    2,
    3,
    4,
    16,
    255,
    256,
    1000,
    65535,
    65536,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    1 << 40,
    1 << 61,
    1 << 63,
    (1 << 63) - 1,
    u64::MAX,
];

/// One change of a row of bytes. A place is a share of its length, so that it fits whatever changed before.
#[derive(Debug, Clone)]
enum Change {
    /// A bit is flipped.
    Bit(Index, u8),
    /// A byte is another.
    Byte(Index, u8),
    /// A number of a text is another.
    Number(Index, &'static str),
    /// So many bytes are another number, the large end first or last.
    Word { place: Index, width: usize, value: u64, big_endian: bool },
    /// What follows is cut off.
    End(Index),
    /// So many bytes are left out.
    Remove(Index, usize),
    /// So many bytes stand there several times.
    Repeat { place: Index, length: usize, times: usize },
    /// Bytes are put in.
    Insert(Index, Vec<u8>),
    /// Bytes come from elsewhere in it.
    Copy { from: Index, to: Index, length: usize },
}

/// Some changes of a part of one of the good files, or of the whole file.
#[derive(Debug, Clone)]
pub struct Mutation {
    seed: Index,
    changes: Vec<(Where, Change)>,
}

/// What is changed.
#[derive(Debug, Clone)]
enum Where {
    /// A part; what belongs around it is made anew.
    Part(Index),
    /// The file, after all changes of parts.
    File,
}

/// Up to four changes, few more often than many.
pub fn mutations() -> impl Strategy<Value = Mutation> {
    let places = prop_oneof![4 => any::<Index>().prop_map(Where::Part), 1 => Just(Where::File)];
    let changes = prop_oneof![3 => vec((places.clone(), change()), 1..2), 1 => vec((places, change()), 1..5)];
    (any::<Index>(), changes).prop_map(|(seed, changes)| Mutation { seed, changes })
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    let length = prop_oneof![1..9_usize, 1..400_usize];
    prop_oneof![
        4 => (place(), 0..8_u8).prop_map(|(place, bit)| Change::Bit(place, bit)),
        2 => (place(), any::<u8>()).prop_map(|(place, byte)| Change::Byte(place, byte)),
        8 => (place(), select(&NUMBERS[..])).prop_map(|(place, number)| Change::Number(place, number)),
        4 => (place(), select(&[2, 4, 8][..]), select(&WORDS[..]), any::<bool>()).prop_map(
            |(place, width, value, big_endian)| Change::Word { place, width, value, big_endian }
        ),
        1 => place().prop_map(Change::End),
        2 => (place(), length.clone()).prop_map(|(place, length)| Change::Remove(place, length)),
        2 => (place(), length.clone(), 1..40_usize).prop_map(
            |(place, length, times)| Change::Repeat { place, length, times }
        ),
        1 => (place(), vec(any::<u8>(), 1..16)).prop_map(|(place, bytes)| Change::Insert(place, bytes)),
        2 => (place(), place(), length).prop_map(|(from, to, length)| Change::Copy { from, to, length }),
    ]
}

impl Mutation {
    /// The changed file.
    pub fn apply(&self, seeds: &[Seed]) -> Vec<u8> {
        let seed = self.seed.get(seeds);
        let mut parts = seed.parts.clone();
        for (place, change) in &self.changes {
            if let Where::Part(part) = place {
                let part = part.index(parts.len());
                change.apply(&mut parts[part]);
            }
        }
        let mut file = seed.assembled(&parts);
        for (place, change) in &self.changes {
            if let Where::File = place {
                change.apply(&mut file);
            }
        }
        file
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let count = bytes.len();
        if count == 0 {
            return;
        }
        let span = |place: &Index, length: usize| {
            let start = place.index(count);
            start..(start + length).min(count)
        };
        match self {
            Change::Bit(place, bit) => bytes[place.index(count)] ^= 1 << bit,
            Change::Byte(place, byte) => bytes[place.index(count)] = *byte,
            Change::Number(place, number) => {
                let numbers = numbers(bytes);
                if !numbers.is_empty() {
                    bytes.splice(place.get(&numbers).clone(), number.bytes());
                }
            }
            Change::Word { place, width, value, big_endian } => {
                // Formats align their wide numbers; narrow ones may stand anywhere.
                let start = place.index(count);
                let start = if *width > 2 { start - start % width } else { start };
                let span = start..(start + width).min(count);
                let (large, small) = (value.to_be_bytes(), value.to_le_bytes());
                let word = if *big_endian { &large[8 - width..] } else { &small[..*width] };
                bytes[span.clone()].copy_from_slice(&word[..span.len()]);
            }
            Change::End(place) => bytes.truncate(place.index(count)),
            Change::Remove(place, length) => drop(bytes.drain(span(place, *length))),
            Change::Repeat { place, length, times } => {
                let span = span(place, *length);
                let copies = bytes[span.clone()].repeat(*times);
                bytes.splice(span.end..span.end, copies);
            }
            Change::Insert(place, more) => {
                let at = place.index(count);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Copy { from, to, length } => {
                let (from, to) = (span(from, *length), span(to, *length));
                let length = from.len().min(to.len());
                bytes.copy_within(from.start..from.start + length, to.start);
            }
        }
    }
}

/// Where the numbers stand in a text: runs of digits, with sign, point and exponent.
fn numbers(bytes: &[u8]) -> Vec<Range<usize>> {
    let part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let mut found = Vec::new();
    let mut start = 0;
    for run in bytes.split(|byte| !part(byte)) {
        if run.iter().any(u8::is_ascii_digit) {
            found.push(start..start + run.len());
        }
        start += run.len() + 1;
    }
    found
}
