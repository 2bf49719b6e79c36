//! From the bytes of a patch request to the patch.

use api_meta::{Map, Status, Value};
use apiserver_model::schema::decode::json_error;

use crate::go;
use crate::json_patch::{JsonPatch, Step};

/// More steps than this and a JSON patch is refused.
pub const MAX_OPERATIONS: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unexpected end of JSON input")]
    UnexpectedEnd,
    /// Not JSON; the text says where.
    #[error("{0}")]
    Syntax(String),
    /// JSON, but of another type than this place takes.
    #[error("json: cannot unmarshal {found} into Go {place}")]
    Type { found: &'static str, place: String },
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooManyOperations(usize),
}

impl Error {
    /// What the client reads. JSON and merge patches say that it was the patch that did not decode.
    fn status(self, prefix: &str) -> Status {
        match self {
            Self::TooManyOperations(_) => Status::too_large(self.to_string()),
            other => Status::bad_request(format!("{prefix}{other}")),
        }
    }

    /// The answer to a JSON or merge patch that cannot be read.
    pub fn into_status(self) -> Status {
        self.status("error decoding patch: ")
    }

    /// The answer to a strategic merge patch that cannot be read.
    pub fn into_strategic_status(self) -> Status {
        self.status("")
    }
}

fn parse(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => Error::UnexpectedEnd,
        _ => Error::Syntax(json_error(body).unwrap_or_else(|| error.to_string())),
    })
}

fn wrong_type(value: &Value, place: impl Into<String>) -> Error {
    Error::Type { found: go::json_kind(value), place: place.into() }
}

/// A merge or strategic merge patch.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, Error> {
    match parse(body)? {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        other => Err(wrong_type(&other, "value of type map[string]interface {}")),
    }
}

/// A JSON patch.
pub fn steps(body: &[u8]) -> Result<JsonPatch, Error> {
    let items = match parse(body)? {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other => return Err(wrong_type(&other, "value of type []handlers.jsonPatchOp")),
    };
    if items.len() > MAX_OPERATIONS {
        return Err(Error::TooManyOperations(items.len()));
    }
    let mut patch = JsonPatch::default();
    for (index, item) in items.into_iter().enumerate() {
        let Value::Object(fields) = item else {
            return Err(wrong_type(&item, "value of type handlers.jsonPatchOp"));
        };
        let mut step = Step::default();
        for (key, value) in fields {
            let text = |value: Value| match value {
                Value::String(text) => Ok(Some(text)),
                Value::Null => Ok(None),
                other => Err(wrong_type(&other, format!("struct field jsonPatchOp.{key} of type string"))),
            };
            match key.as_str() {
                "op" => step.op = text(value)?,
                "path" => step.path = text(value)?,
                "from" => step.from = text(value)?,
                "value" => step.value = value,
                _ => patch.unknown_fields.push(format!("json patch unknown field \"[{index}].{key}\"")),
            }
        }
        patch.steps.push(step);
    }
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_object(body: &str, expect: &str) {
        assert_eq!(object(body.as_bytes()).unwrap_err().to_string(), expect);
    }

    #[track_caller]
    fn check_steps(body: &str, code: u16, expect: &str) {
        let status = steps(body.as_bytes()).unwrap_err().into_status();
        assert_eq!((status.code, status.message.as_str()), (code, expect));
    }

    #[test]
    fn a_list_is_no_merge_patch() {
        check_object("[]", "json: cannot unmarshal array into Go value of type map[string]interface {}");
    }

    #[test]
    fn a_number_is_no_merge_patch() {
        check_object("1", "json: cannot unmarshal number into Go value of type map[string]interface {}");
    }

    #[test]
    fn a_cut_merge_patch() {
        check_object("{", "unexpected end of JSON input");
    }

    #[test]
    fn a_malformed_merge_patch() {
        check_object("{a}", "invalid character 'a' looking for beginning of object key string");
    }

    #[test]
    fn an_object_is_no_json_patch() {
        let text = "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp";
        check_steps(r#"{"op": "add"}"#, 400, text);
    }

    #[test]
    fn a_cut_json_patch() {
        check_steps("[{", 400, "error decoding patch: unexpected end of JSON input");
    }

    #[test]
    fn a_step_is_an_object() {
        let text = "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp";
        check_steps("[1]", 400, text);
    }

    #[test]
    fn an_op_is_a_string() {
        let text =
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string";
        check_steps(r#"[{"op": 1}]"#, 400, text);
    }

    #[test]
    fn too_many_steps() {
        let body = format!("[{}{{}}]", "{},".repeat(MAX_OPERATIONS));
        check_steps(&body, 413, "The allowed maximum operations in a JSON patch is 10000, got 10001");
    }

    #[test]
    fn unknown_fields_are_told() {
        let patch = steps(br#"[{"op": "test", "path": "/a", "colour": 1}]"#).unwrap();
        assert_eq!(patch.unknown_fields, [r#"json patch unknown field "[0].colour""#]);
    }
}
