//! Messages as the JSON that Go writes of the same object.

use api_meta::{Map, Value, format_micro, format_seconds};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Number;

use crate::table::{Cardinality, Field, Message, Type, table};
use crate::wire::{Fields, Payload, varint};
use crate::{Error, MAX_DEPTH, MAX_VALUES};

/// Reads one object.
#[derive(Default)]
pub(crate) struct Reader {
    depth: usize,
    values: usize,
}

impl Reader {
    pub(crate) fn object(mut self, message: &Message, bytes: &[u8]) -> Result<Map<String, Value>, Error> {
        let mut object = Map::new();
        self.fields(message, bytes, &mut object)?;
        Ok(object)
    }

    fn fields(&mut self, message: &Message, bytes: &[u8], object: &mut Map<String, Value>) -> Result<(), Error> {
        if self.depth == MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        self.depth += 1;
        for field in Fields::of(bytes) {
            let (number, payload) = field?;
            // As upstream: a field from a newer version is passed over.
            if let Some(field) = message.field(number) {
                self.field(field, payload, object)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn field(&mut self, field: &Field, payload: Payload<'_>, object: &mut Map<String, Value>) -> Result<(), Error> {
        match (field.cardinality, field.type_) {
            (Cardinality::Inline, Type::Message(index)) => {
                self.fields(table().message(index), payload.bytes(field.name)?, object)?;
            }
            (Cardinality::One | Cardinality::Inline, _) => {
                let value = self.value(field, payload)?;
                object.insert(field.name.to_owned(), value);
            }
            (Cardinality::List, _) => {
                let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    self.items(field, payload, list)?;
                }
            }
            (Cardinality::Map, _) => {
                let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = map {
                    self.entry(field, payload, map)?;
                }
            }
        }
        Ok(())
    }

    /// One item, or many numbers packed into one payload.
    fn items(&mut self, field: &Field, payload: Payload<'_>, list: &mut Vec<Value>) -> Result<(), Error> {
        let numbers = matches!(field.type_, Type::Int32 | Type::Int64 | Type::Bool);
        match payload {
            Payload::Bytes(mut packed) if numbers => {
                while !packed.is_empty() {
                    let number = Payload::Varint(varint(&mut packed)?);
                    list.push(self.value(field, number)?);
                }
            }
            _ => list.push(self.value(field, payload)?),
        }
        Ok(())
    }

    /// A map is a list of messages with the fields key and value, either of which may be left out when it is empty.
    fn entry(&mut self, field: &Field, payload: Payload<'_>, map: &mut Map<String, Value>) -> Result<(), Error> {
        let (mut key, mut value) = (String::new(), None);
        for part in Fields::of(payload.bytes(field.name)?) {
            match part? {
                (1, payload) => key = payload.text(field.name)?,
                (2, payload) => value = Some(self.value(field, payload)?),
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            None => self.value(field, Payload::Bytes(&[]))?,
        };
        map.insert(key, value);
        Ok(())
    }

    fn value(&mut self, field: &Field, payload: Payload<'_>) -> Result<Value, Error> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Error::TooLarge);
        }
        let name = field.name;
        Ok(match field.type_ {
            Type::String => payload.text(name)?.into(),
            Type::Bytes => STANDARD.encode(payload.bytes(name)?).into(),
            Type::Bool => (payload.varint(name)? != 0).into(),
            Type::Int32 => (payload.varint(name)? as i32).into(),
            Type::Int64 => (payload.varint(name)? as i64).into(),
            Type::Double => double(payload.double(name)?).ok_or(Error::Number(name))?,
            Type::Time => time(name, payload.bytes(name)?, false)?,
            Type::MicroTime => time(name, payload.bytes(name)?, true)?,
            Type::Quantity => quantity(name, payload.bytes(name)?)?,
            Type::IntOrString => int_or_string(name, payload.bytes(name)?)?,
            Type::Json => json(name, payload.bytes(name)?)?,
            Type::Strings => self.strings(name, payload.bytes(name)?)?,
            Type::Message(index) => {
                let message = table().message(index);
                let mut object = Map::new();
                self.fields(message, payload.bytes(name)?, &mut object)?;
                if message.choice { choice(message, object) } else { Value::Object(object) }
            }
        })
    }

    fn strings(&mut self, name: &'static str, bytes: &[u8]) -> Result<Value, Error> {
        let mut list = Vec::new();
        for field in Fields::of(bytes) {
            if let (1, payload) = field? {
                self.values += 1;
                if self.values > MAX_VALUES {
                    return Err(Error::TooLarge);
                }
                list.push(payload.text(name)?.into());
            }
        }
        Ok(Value::Array(list))
    }
}

fn choice(message: &Message, mut object: Map<String, Value>) -> Value {
    message.fields.iter().rev().find_map(|field| object.remove(field.name)).unwrap_or_default()
}

/// Whole numbers without a fraction, as Go writes them.
fn double(number: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Some((number as i64).into());
    }
    Number::from_f64(number).map(Value::Number)
}

/// Seconds and nanoseconds since 1970; the zero time is an empty message. As upstream, `Time` drops what is below a
/// second and `MicroTime` what is below a microsecond, for JSON cannot say it.
fn time(name: &'static str, bytes: &[u8], micro: bool) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::of(bytes) {
        match field? {
            (1, payload) => seconds = payload.varint(name)? as i64,
            (2, payload) => nanos = payload.varint(name)? as i32,
            _ => {}
        }
    }
    // Not `SignedDuration::new`, which panics where the carry of the nanoseconds overflows the seconds.
    let since = SignedDuration::from_secs(seconds).checked_add(SignedDuration::from_nanos(nanos.into()));
    let time = |duration| Timestamp::from_duration(duration).ok();
    Ok(if micro {
        format_micro(since.and_then(time).ok_or(Error::Time(name))?).into()
    } else {
        format_seconds(time(SignedDuration::from_secs(seconds)).ok_or(Error::Time(name))?).into()
    })
}

fn quantity(name: &'static str, bytes: &[u8]) -> Result<Value, Error> {
    let mut text = None;
    for field in Fields::of(bytes) {
        if let (1, payload) = field? {
            text = Some(payload.text(name)?);
        }
    }
    Ok(text.unwrap_or_else(|| "0".to_owned()).into())
}

fn int_or_string(name: &'static str, bytes: &[u8]) -> Result<Value, Error> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Fields::of(bytes) {
        match field? {
            (1, payload) => is_text = payload.varint(name)? != 0,
            (2, payload) => number = payload.varint(name)? as i32,
            (3, payload) => text = payload.text(name)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

fn json(name: &'static str, bytes: &[u8]) -> Result<Value, Error> {
    let mut raw: &[u8] = &[];
    for field in Fields::of(bytes) {
        if let (1, payload) = field? {
            raw = payload.bytes(name)?;
        }
    }
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(raw).map_err(|error| Error::Embedded { field: name, why: error.to_string() })
}

#[cfg(test)]
mod tests;
