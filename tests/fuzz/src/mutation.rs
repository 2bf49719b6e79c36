//! Makes inputs of inputs.

mod json;

use fastrand::Rng;

/// Larger inputs only take longer.
const LONGEST: usize = 32 << 10;

/// What means something in most of the languages that are read here.
const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b":",
    b",",
    b".",
    b"\"",
    b"'",
    b"\\",
    b"/",
    b"\n",
    b"\0",
    b" ",
    b"-",
    b"0",
    b"{}",
    b"[]",
    b"\"\"",
    b"null",
    b"true",
    b"-1",
    b"1.5",
    b"1e400",
    b"-0.0",
    b"2147483648",
    b"9223372036854775808",
    b"18446744073709551616",
    b"99999999999999999999999999999999999999999999",
    b"\\u0000",
    b"\\ud800",
    b"\\ud83d\\ude00",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xff",
    b"\xf0\x9f\x98\x80",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
];

/// One of the inputs after a few steps; `tokens` are words of its language.
pub(crate) fn mutated(inputs: &[&[u8]], tokens: &[&str], rng: &mut Rng) -> Vec<u8> {
    let mut input = choice(inputs, rng).to_vec();
    for _ in 0..rng.usize(1..=6) {
        match rng.bool().then(|| json::mutated(&input, inputs, rng)).flatten() {
            Some(changed) => input = changed,
            None => step(&mut input, inputs, tokens, rng),
        }
        input.truncate(LONGEST);
    }
    input
}

fn step(input: &mut Vec<u8>, inputs: &[&[u8]], tokens: &[&str], rng: &mut Rng) {
    let start = rng.usize(..=input.len());
    let end = (start + rng.usize(..=16)).min(input.len());
    match rng.u8(..10) {
        0 => flip(input, rng),
        1 => input.truncate(start),
        2 => drop(input.drain(start..end)),
        3 => insert(input, start, &[rng.u8(..)]),
        4 | 5 => insert(input, start, token(tokens, rng)),
        6 => {
            input.splice(start..end, token(tokens, rng).iter().copied());
        }
        7 => {
            let again = input[start..end].repeat(1 << rng.usize(..10));
            insert(input, start, &again);
        }
        8 => {
            let other = choice(inputs, rng);
            let from = rng.usize(..=other.len());
            input.truncate(start);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let other = choice(inputs, rng);
            let from = rng.usize(..=other.len());
            let to = (from + rng.usize(..=64)).min(other.len());
            insert(input, start, &other[from..to]);
        }
    }
}

fn flip(input: &mut [u8], rng: &mut Rng) {
    if !input.is_empty() {
        let at = rng.usize(..input.len());
        input[at] ^= 1 << rng.u8(..8);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

fn choice<'a>(inputs: &[&'a [u8]], rng: &mut Rng) -> &'a [u8] {
    inputs[rng.usize(..inputs.len())]
}

fn token<'a>(tokens: &[&'a str], rng: &mut Rng) -> &'a [u8] {
    match tokens {
        tokens if !tokens.is_empty() && rng.bool() => tokens[rng.usize(..tokens.len())].as_bytes(),
        _ => TOKENS[rng.usize(..TOKENS.len())],
    }
}
