//! Several errors as one text (upstream: `errors.NewAggregate`).

/// Each text once; brackets where there is more than one.
pub(crate) fn aggregate(texts: Vec<String>) -> Result<(), String> {
    let mut told: Vec<String> = Vec::new();
    for text in texts {
        if !told.contains(&text) {
            told.push(text);
        }
    }
    match &*told {
        [] => Ok(()),
        [only] => Err(only.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}
