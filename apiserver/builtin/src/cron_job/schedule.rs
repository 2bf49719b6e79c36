//! Cron schedules: five fields, or a word.

/// What is wrong with a schedule, if anything.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.contains("TZ=") {
        return Err("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".into());
    }
    if let Some(word) = text.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"].contains(&word);
        let every = word.strip_prefix("every ").is_some_and(is_duration);
        return if known || every { Ok(()) } else { Err(format!("unrecognized descriptor: {text}")) };
    }
    let fields: Vec<_> = text.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: {fields:?}", fields.len())
            .replace(", \"", " \"")
            .replace('"', ""));
    }
    let bounds: [(u32, u32, &[&str]); 5] = [
        (0, 59, &[]),
        (0, 23, &[]),
        (1, 31, &[]),
        (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
        (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ];
    for (field, (min, max, names)) in fields.iter().zip(bounds) {
        for expression in field.split(',') {
            range(expression, min, max, names)?;
        }
    }
    Ok(())
}

fn range(expression: &str, min: u32, max: u32, names: &[&str]) -> Result<(), String> {
    let parts: Vec<_> = expression.split('/').collect();
    let ends: Vec<_> = parts[0].split('-').collect();
    let (start, end) = match ends[..] {
        ["*" | "?"] => (min, max),
        [one] => {
            let value = number(one, min, names)?;
            (value, if parts.len() > 1 { max } else { value })
        }
        [first, last] => (number(first, min, names)?, number(last, min, names)?),
        _ => return Err(format!("too many hyphens: {expression}")),
    };
    match parts[..] {
        [_] => {}
        [_, step] if number(step, 0, &[])? == 0 => {
            return Err(format!("step of range should be a positive number: {expression}"));
        }
        [_, _] => {}
        _ => return Err(format!("too many slashes: {expression}")),
    }
    if start < min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {expression}"));
    }
    if end > max {
        return Err(format!("end of range ({end}) above maximum ({max}): {expression}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    Ok(())
}

fn number(text: &str, first: u32, names: &[&str]) -> Result<u32, String> {
    if let Some(place) = names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        return Ok(first + u32::try_from(place).unwrap_or_default());
    }
    text.parse().map_err(|_| {
        let quoted = format!("{text:?}");
        format!("failed to parse int from {text}: strconv.Atoi: parsing {quoted}: invalid syntax")
    })
}

/// A Go duration such as `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let unit = rest[digits..].bytes().take_while(|b| b.is_ascii_alphabetic()).count();
        let known = ["ns", "us", "ms", "s", "m", "h"].contains(&&rest[digits..digits + unit]);
        if digits == 0 || !known {
            return false;
        }
        rest = &rest[digits + unit..];
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_all(schedules: &[&str], good: bool) {
        for text in schedules {
            assert_eq!(check(text).is_ok(), good, "{text:?}: {:?}", check(text));
        }
    }

    #[test]
    fn schedules() {
        check_all(&["* * * * *", "*/5 0-6 1,15 jan-MAR sun", "@daily", "@every 1h30m", "0 0 1 1 ?"], true);
        check_all(
            &[
                "",
                "* * * *",
                "60 * * * *",
                "* 5-2 * * *",
                "* * 0 * *",
                "*/0 * * * *",
                "x * * * *",
                "@often",
                "TZ=UTC * * * * *",
                "@every soon",
            ],
            false,
        );
    }

    #[test]
    fn texts() {
        assert_eq!(check("60 * * * *"), Err("end of range (60) above maximum (59): 60".into()));
        assert_eq!(check("* * * *"), Err("expected exactly 5 fields, found 4: [* * * *]".into()));
    }
}
