//! The write-ahead log as a power cut may leave it.
//!
//! What was synced stays; what was written behind it may be there in part, or as anything. So the end of the last whole
//! commit is found as SQLite finds it, and everything behind it is torn: cut, overwritten, or followed by half a frame
//! that looks right.

use std::{fs, path::Path};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Tears what is behind the last commit. False when there is no log to tear.
pub(crate) fn tear(path: &Path, mut below: impl FnMut(usize) -> usize) -> bool {
    let Ok(mut log) = fs::read(path) else { return false };
    let Some((end, page)) = committed(&log) else { return false };
    let frame = FRAME_HEADER + page;
    match below(3) {
        0 => {
            let cut = end + below(log.len() - end + 1);
            log.truncate(cut);
        }
        1 => {
            let length = below(2 * frame);
            log.resize(log.len().max(end + length), 0);
            log[end..end + length].iter_mut().for_each(|byte| *byte = below(256) as u8);
        }
        // The start of a frame with the right salt, as a write that was cut leaves it.
        _ if end >= HEADER + frame => {
            let like = log[end - frame..end - frame + 1 + below(frame - 1)].to_vec();
            log.resize(log.len().max(end + like.len()), 0);
            log[end..end + like.len()].copy_from_slice(&like);
        }
        _ => log.truncate(end),
    }
    fs::write(path, log).unwrap();
    true
}

/// Where the last whole commit ends, and the size of a page.
fn committed(log: &[u8]) -> Option<(usize, usize)> {
    let word = |at: usize| Some(u32::from_be_bytes(log.get(at..at + 4)?.try_into().ok()?));
    let big_endian = match word(0)? {
        0x377f_0682 => false,
        0x377f_0683 => true,
        _ => return None,
    };
    let page = word(8)? as usize;
    let mut sum = checksum(&log[..24], (0, 0), big_endian);
    if sum != (word(24)?, word(28)?) {
        return None;
    }
    let (mut at, mut end) = (HEADER, HEADER);
    while let Some(frame) = log.get(at..at + FRAME_HEADER + page) {
        let salt_is_right = frame[8..16] == log[16..24];
        sum = checksum(&frame[..8], sum, big_endian);
        sum = checksum(&frame[FRAME_HEADER..], sum, big_endian);
        if !salt_is_right || sum != (word(at + 16)?, word(at + 20)?) {
            break;
        }
        at += frame.len();
        // The size of the database stands in the last frame of a commit.
        if frame[4..8] != [0; 4] {
            end = at;
        }
    }
    Some((end, page))
}

fn checksum(bytes: &[u8], (mut a, mut b): (u32, u32), big_endian: bool) -> (u32, u32) {
    let number = |word: &[u8]| {
        let word = word.try_into().unwrap();
        if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    };
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(number(&pair[..4])).wrapping_add(b);
        b = b.wrapping_add(number(&pair[4..])).wrapping_add(a);
    }
    (a, b)
}
