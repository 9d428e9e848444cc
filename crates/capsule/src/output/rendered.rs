//! A command's one document in the other formats: its table as CSV, all of it as YAML.

use serde_yaml_ng::{Mapping, Value};

use super::Csv;

/// Under which key a document has its table; the first that is there counts.
const TABLES: [&str; 23] = [
    "servers",
    "instances",
    "providers",
    "accounts",
    "plans",
    "placements",
    "regions",
    "images",
    "operations",
    "outcomes",
    "adopted",
    "rebuilt",
    "orphans",
    "nodes",
    "checks",
    "budgets",
    "groups",
    "names",
    "serving",
    "hosts",
    "imports",
    "entries",
    "events",
];

/// These columns come first.
const FIRST: [&str; 3] = ["id", "name", "provider"];

/// The document as YAML, its keys in the same order.
///
/// Text stands in quotes throughout: for readers of YAML 1.1, such as Python's, a plain `no` is not a country but false.
pub(super) fn yaml(json: &str) -> String {
    let mut text = String::new();
    block(&mut text, &tree(json), 0);
    text.trim_start().to_owned() + "\n"
}

/// A value behind a key or a dash: on lines of its own, deeper, if it is nested and not empty.
fn block(text: &mut String, value: &Value, depth: usize) {
    let start = |text: &mut String| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Mapping(map) if !map.is_empty() => {
            for (key, value) in map {
                start(text);
                text.push_str(&nested(key));
                text.push(':');
                block(text, value, depth + 1);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            for item in items {
                start(text);
                text.push('-');
                block(text, item, depth + 1);
            }
        }
        scalar => {
            text.push(' ');
            text.push_str(&nested(scalar));
        }
    }
}

/// The document's table as CSV: a row for each object, a column for each key that any of them has. A document without a
/// table is one row.
pub(super) fn csv(json: &str) -> String {
    let document = tree(json);
    let rows: Vec<&Mapping> = match &document {
        Value::Sequence(rows) => rows.iter().filter_map(Value::as_mapping).collect(),
        Value::Mapping(map) => match TABLES.iter().find_map(|key| map.get(key)?.as_sequence()) {
            Some(rows) => rows.iter().filter_map(Value::as_mapping).collect(),
            None => vec![map],
        },
        _ => Vec::new(),
    };
    let mut columns: Vec<&str> = Vec::new();
    for key in rows.iter().flat_map(|row| row.keys()).filter_map(Value::as_str) {
        if !columns.contains(&key) {
            columns.push(key);
        }
    }
    if columns.is_empty() {
        return String::new();
    }
    columns.sort_by_key(|column| FIRST.iter().position(|first| first == column).unwrap_or(FIRST.len()));
    let mut csv = Csv::new(columns.iter().copied());
    for row in rows {
        csv.row(columns.iter().map(|column| row.get(column).map(cell).unwrap_or_default()));
    }
    csv.text()
}

/// JSON as a tree that keeps the order of keys.
fn tree(json: &str) -> Value {
    serde_json::from_str(json).expect("it was written as JSON just now")
}

/// A value in one cell: text as it is, money as `5.00 USD`, a price as `5.00 USD per month`, what is nested as JSON.
fn cell(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Mapping(_) => match (text("amount"), text("currency"), value.get("amount"), text("per")) {
            (Some(amount), Some(currency), ..) => format!("{amount} {currency}"),
            (.., Some(money), Some(per)) => format!("{} per {per}", cell(money)),
            _ => nested(value),
        },
        value => nested(value),
    }
}

fn nested(value: &Value) -> String {
    serde_json::to_string(value).expect("what was JSON can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_object_a_column_for_each_key() {
        let document = r#"{"errors": [], "servers": [
            {"plan": "a, b", "id": "x/1", "cost": {"amount": "0.10", "currency": "USD"},
            "price": {"amount": {"amount": "5", "currency": "EUR"}, "per": "month", "rule": {}}, "tags": {"env": "prod"}},
            {"id": "x/2", "plan": null, "gone": true}
        ]}"#;
        assert_eq!(
            csv(document),
            "id,plan,cost,price,tags,gone\nx/1,\"a, b\",0.10 USD,5 EUR per month,\"{\"\"env\"\":\"\"prod\"\"}\",\nx/2,,,,,true\n"
        );
    }

    #[test]
    fn a_document_without_a_table_is_one_row_and_an_empty_table_none() {
        assert_eq!(csv(r#"{"text": "sign this", "at": 12}"#), "text,at\nsign this,12\n");
        assert_eq!(csv(r#"{"servers": [], "errors": [{"message": "x"}]}"#), "");
    }

    #[test]
    fn yaml_keeps_order_and_what_is_text() {
        let text = yaml(r#"{"b": "1.50", "a": [{"on": true, "n": 3}], "no": "no", "none": {}}"#);
        assert_eq!(
            text,
            "\"b\": \"1.50\"\n\"a\":\n  -\n    \"on\": true\n    \"n\": 3\n\"no\": \"no\"\n\"none\": {}\n"
        );
        let read: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(read["a"][0]["n"], 3);
        assert_eq!(yaml("[]"), "[]\n");
    }
}
