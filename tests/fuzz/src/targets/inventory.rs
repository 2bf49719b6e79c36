//! What a cluster says it holds.

use tunnel_protocol::inventory::{Decoder, Line, MAX_LINE};

pub(super) const TOKENS: &[&str] = &[
    "{\"begin\":",
    "{\"put\":",
    "{\"drop\":",
    "{\"end\":",
    "{\"kinds\":",
    "{\"lost\":",
    "{\"beat\":{}}",
    "\"k\":",
    "\"ns\":",
    "\"n\":",
    "\"l\":",
    "\"i\":",
    "\"c\":",
    "8191",
    "8192",
    "4294967296",
    "\\u001b",
    "\\u202e",
    "}}\n",
    "\n",
];

/// However it comes in pieces, it is read alike; its texts are plain, and what was read is written and read again.
pub(super) fn inventory(data: &[u8]) {
    let whole = Decoder::default().push(data);
    let mut decoder = Decoder::default();
    let pieces: Result<Vec<Vec<Line>>, _> = data.chunks(7).map(|piece| decoder.push(piece)).collect();
    assert_eq!(whole.is_ok(), pieces.is_ok());
    let (Ok(lines), Ok(pieces)) = (whole, pieces) else { return };
    assert_eq!(lines, pieces.concat());
    for line in lines {
        let mut written = Vec::new();
        // A line of nothing but escapes may be too long when it is written: then less of it is.
        if line.clone().write(&mut written) {
            assert!(written.len() <= MAX_LINE && written.ends_with(b"\n"));
            assert!(!written[..written.len() - 1].iter().any(u8::is_ascii_control));
            let read = Line::decode(written.trim_ascii_end()).expect("what was written is read");
            assert!(read == line || data.len() > MAX_LINE / 8);
        }
    }
}
