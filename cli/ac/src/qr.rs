//! QR codes on a terminal: two squares stand in each character, one over the other.

use qrcodegen::{QrCode, QrCodeEcc};

/// Light squares around the code. The standard (ISO/IEC 18004) wants four; cameras do with two, and a terminal is small.
const MARGIN: i32 = 2;

/// How the two kinds of squares are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Black on white, whatever the terminal's own colours are.
    Colours,
    /// The light squares are drawn, which is right on a dark terminal.
    Light,
}

/// A text as lines of characters, all as wide as there are lines and as much again. `None` for what no code holds.
pub fn lines(text: &str, ink: Ink) -> Option<Vec<String>> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let squares = -MARGIN..code.size() + MARGIN;
    let drawn = |x: i32, y: i32| code.get_module(x, y) == (ink == Ink::Colours);
    let line = |y: i32| {
        let characters = squares.clone().map(|x| match (drawn(x, y), drawn(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        match ink {
            // Of the 256 colours, which no theme changes.
            Ink::Colours => format!("\x1b[38;5;16;48;5;231m{}\x1b[0m", characters.collect::<String>()),
            Ink::Light => characters.collect(),
        }
    };
    Some(squares.clone().step_by(2).map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "otpauth://totp/ACP:ann%40corp.io?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ACP";

    /// The squares of a drawing, true for dark.
    fn squares(lines: &[String], ink: Ink) -> Vec<Vec<bool>> {
        let plain = |line: &String| line.replace("\x1b[38;5;16;48;5;231m", "").replace("\x1b[0m", "");
        let half = |line: &String, full: [char; 2]| {
            plain(line).chars().map(|c| full.contains(&c) == (ink == Ink::Colours)).collect::<Vec<bool>>()
        };
        lines.iter().flat_map(|line| [half(line, ['█', '▀']), half(line, ['█', '▄'])]).collect()
    }

    #[test]
    fn what_is_drawn_is_the_code_within_a_light_margin() {
        let code = QrCode::encode_text(TEXT, QrCodeEcc::Low).unwrap();
        for ink in [Ink::Colours, Ink::Light] {
            let drawn = squares(&lines(TEXT, ink).unwrap(), ink);
            let side = usize::try_from(code.size() + 2 * MARGIN).unwrap();
            assert_eq!((drawn[0].len(), drawn.len()), (side, side + 1), "the last character may reach below");
            for (y, row) in drawn.iter().enumerate() {
                for (x, dark) in row.iter().enumerate() {
                    let at = |n: usize| i32::try_from(n).unwrap() - MARGIN;
                    assert_eq!(*dark, code.get_module(at(x), at(y)), "{ink:?} {x} {y}");
                }
            }
        }
    }

    #[test]
    fn an_enrolment_fits_on_a_small_terminal() {
        let lines = lines(TEXT, Ink::Light).unwrap();
        assert!(lines.len() < 24 && lines[0].chars().count() <= 80, "{} lines", lines.len());
    }

    #[test]
    fn what_is_too_long_is_not_drawn() {
        assert_eq!(lines(&"x".repeat(3000), Ink::Light), None);
    }
}
