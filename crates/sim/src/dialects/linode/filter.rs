//! The JSON of the header `X-Filter`: fields and what they must be, joined by `+and` and `+or`, and an order.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::answer::invalid;
use crate::wire::Response;

#[derive(Debug)]
pub(super) struct Filter {
    test: Test,
    order_by: Option<String>,
    descending: bool,
}

#[derive(Debug)]
enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Field(String, Op, Value),
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Is,
    IsNot,
    Contains,
    Orders(fn(Ordering) -> bool),
}

fn wrong(reason: impl AsRef<str>) -> Response {
    invalid("X-Filter", reason.as_ref())
}

impl Filter {
    /// Reads the header; only `fields` may stand in it.
    pub(super) fn parse(text: &str, fields: &[&str]) -> Result<Filter, Response> {
        let mut object: Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong("Must be a JSON object"))?;
        let order_by = match object.remove("+order_by") {
            Some(Value::String(field)) => Some(field),
            Some(_) => return Err(wrong("+order_by must be a field")),
            None => None,
        };
        let descending = object.remove("+order").is_some_and(|order| order == "desc");
        Ok(Filter { test: all(&object, fields)?, order_by, descending })
    }

    /// Whether a thing passes; `look` gives a field's values, several where it is a list.
    pub(super) fn holds(&self, look: &dyn Fn(&str) -> Vec<Value>) -> bool {
        self.test.holds(look)
    }

    /// Sorts as the filter asks, if it does.
    pub(super) fn sort<T>(&self, items: &mut [T], look: impl Fn(&T, &str) -> Vec<Value>) {
        let Some(field) = &self.order_by else { return };
        items.sort_by(|a, b| {
            let (a, b) = (look(a, field), look(b, field));
            let order = a.first().zip(b.first()).and_then(|(a, b)| compare(a, b)).unwrap_or(Ordering::Equal);
            if self.descending { order.reverse() } else { order }
        });
    }
}

fn all(object: &Map<String, Value>, fields: &[&str]) -> Result<Test, Response> {
    object.iter().map(|(key, value)| one(key, value, fields)).collect::<Result<_, _>>().map(Test::All)
}

fn one(key: &str, value: &Value, fields: &[&str]) -> Result<Test, Response> {
    match (key, value) {
        ("+and" | "+or", Value::Array(parts)) => {
            let part = |part: &Value| match part {
                Value::Object(object) => all(object, fields),
                _ => Err(wrong(format!("{key} holds objects"))),
            };
            let parts = parts.iter().map(part).collect::<Result<_, _>>()?;
            Ok(if key == "+and" { Test::All(parts) } else { Test::Any(parts) })
        }
        _ if !fields.contains(&key) => Err(wrong(format!("Cannot filter on {key}"))),
        (_, Value::Object(tests)) => {
            let test = |(op, value): (&String, &Value)| {
                let op = match op.as_str() {
                    "+gt" => Op::Orders(Ordering::is_gt),
                    "+gte" => Op::Orders(Ordering::is_ge),
                    "+lt" => Op::Orders(Ordering::is_lt),
                    "+lte" => Op::Orders(Ordering::is_le),
                    "+neq" => Op::IsNot,
                    "+contains" => Op::Contains,
                    _ => return Err(wrong(format!("Unknown operator {op}"))),
                };
                Ok(Test::Field(key.to_owned(), op, value.clone()))
            };
            tests.iter().map(test).collect::<Result<_, _>>().map(Test::All)
        }
        _ => Ok(Test::Field(key.to_owned(), Op::Is, value.clone())),
    }
}

impl Test {
    fn holds(&self, look: &dyn Fn(&str) -> Vec<Value>) -> bool {
        match self {
            Test::All(tests) => tests.iter().all(|test| test.holds(look)),
            Test::Any(tests) => tests.iter().any(|test| test.holds(look)),
            Test::Field(field, op, wanted) => {
                let mut values = look(field).into_iter();
                match op {
                    Op::Is => values.any(|value| value == *wanted),
                    Op::IsNot => values.all(|value| value != *wanted),
                    Op::Contains => values.any(|value| match (value.as_str(), wanted.as_str()) {
                        (Some(value), Some(wanted)) => value.contains(wanted),
                        _ => false,
                    }),
                    Op::Orders(fits) => values.any(|value| compare(&value, wanted).is_some_and(fits)),
                }
            }
        }
    }
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_hold_as_documented() {
        let thing = |field: &str| match field {
            "id" => vec![json!(7)],
            "label" => vec![json!("web-1")],
            "tags" => vec![json!("a:1"), json!("b")],
            _ => vec![],
        };
        for (filter, holds) in [
            (json!({}), true),
            (json!({"label": "web-1"}), true),
            (json!({"label": "web"}), false),
            (json!({"tags": "b"}), true),
            (json!({"tags": "a"}), false),
            (json!({"tags": "b", "id": 8}), false),
            (json!({"tags": {"+contains": "a:"}}), true),
            (json!({"tags": {"+neq": "b"}}), false),
            (json!({"id": {"+gte": 7, "+lt": 8}}), true),
            (json!({"id": {"+gt": 7}}), false),
            (json!({"+or": [{"id": 1}, {"label": "web-1"}]}), true),
            (json!({"+and": [{"id": 1}, {"label": "web-1"}]}), false),
            (json!({"+order_by": "id", "+order": "desc"}), true),
        ] {
            let parsed = Filter::parse(&filter.to_string(), &["id", "label", "tags"]).unwrap();
            assert_eq!(parsed.holds(&thing), holds, "{filter}");
        }
        for filter in ["[]", "x", r#"{"status":"running"}"#, r#"{"id":{"+is":1}}"#, r#"{"+or":[1]}"#] {
            assert_eq!(Filter::parse(filter, &["id", "label", "tags"]).unwrap_err().status, 400, "{filter}");
        }
    }
}
