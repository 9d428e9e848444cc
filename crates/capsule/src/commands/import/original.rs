//! The inventory of the original as it stands in its file: JSON or CSV, with whatever is broken in it named by line.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use capsule_core::{Currency, Error, ErrorKind, Money, Result};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A file of the original.
#[derive(Debug, Default)]
pub(super) struct File {
    /// `json` or `csv`.
    pub(super) format: &'static str,
    /// When it was last written, by its own word.
    pub(super) last_updated: Option<Timestamp>,
    /// Every server that it names, in its order, and every row that cannot be read.
    pub(super) rows: Vec<Row>,
    /// Servers that were ended, with what they cost by its own word.
    pub(super) history: Vec<Past>,
    /// Whose time those times are that name no zone.
    pub(super) timezone: String,
    /// How many do not.
    pub(super) zoneless: usize,
}

/// One server of the file, or what stands in its place.
#[derive(Debug)]
pub(super) enum Row {
    /// One that can be looked for.
    Entry(Box<Entry>),
    /// One that cannot.
    Broken(Broken),
}

/// What cannot be read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Broken {
    /// Where it begins in the file.
    pub(super) line: usize,
    /// Why not, without a period.
    pub(super) why: String,
}

/// A server of the file. Its field names are those of the file.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) region: Option<String>,
    pub(super) ip_address: Option<String>,
    pub(super) deployed_at: Option<Timestamp>,
    pub(super) cost_hourly: Option<Money>,
    pub(super) tags: Vec<String>,
    /// What of it could not be understood, without periods; the rest holds.
    pub(super) problems: Vec<String>,
    /// All of it but `metadata`, where the original kept the vendor's body, which can hold a first password.
    pub(super) original: BTreeMap<String, Value>,
}

/// A server that was ended.
#[derive(Debug, Default, Serialize)]
pub(super) struct Past {
    pub(super) line: usize,
    /// Its id, where the record has one.
    pub(super) id: Option<String>,
    #[serde(skip)]
    pub(super) provider: Option<String>,
    pub(super) terminated_at: Option<Timestamp>,
    pub(super) total_cost: Option<Money>,
    pub(super) problems: Vec<String>,
    pub(super) original: BTreeMap<String, Value>,
}

impl File {
    /// Reads a file's text. The original wrote the time of the machine that it ran on, and no zone with it: `zone` is that
    /// machine's.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is neither JSON nor CSV of the original.
    pub(super) fn read(text: &str, zone: TimeZone) -> Result<File> {
        let text = text.trim_start_matches('\u{feff}');
        let times = Times { zone, zoneless: Cell::new(0) };
        let file = if text.trim_start().starts_with('{') { json(text, &times) } else { csv(text, &times) };
        Ok(File { timezone: times.named(), zoneless: times.zoneless.get(), ..file? })
    }
}

/// The parts of the JSON that matter here; others may stand beside them.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    xnodes: Option<&'a RawValue>,
    #[serde(borrow)]
    history: Option<&'a RawValue>,
    #[serde(borrow)]
    last_updated: Option<&'a RawValue>,
}

/// A JSON object's pairs in order. A key that comes twice is there twice, where a map would lose the first.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Each).map(Pairs)
    }
}

fn json(text: &str, times: &Times) -> Result<File> {
    let document: Document<'_> = serde_json::from_str(text).map_err(|error| {
        let message = format!("The inventory is not valid JSON at line {}, column {}.", error.line(), error.column());
        Error::new(ErrorKind::Invalid, message)
            .with_hint("The original kept its last state beside it: inventory.json.backup.")
    })?;
    let xnodes = document.xnodes.filter(|xnodes| xnodes.get() != "null").ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "This JSON has no `xnodes`, so it is no inventory of the original.")
            .with_hint("The original's is ~/.capsule/inventory.json.")
    })?;
    let pairs: Pairs<'_> = serde_json::from_str(xnodes.get())
        .map_err(|_| Error::new(ErrorKind::Invalid, "`xnodes` is not a map from id to server."))?;
    let line_of = |part: &str| {
        // A part of the text is a slice of it.
        let at = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    };
    let rows = pairs
        .0
        .into_iter()
        .map(|(key, raw)| {
            let line = line_of(raw.get());
            let mut fields = match fields(raw) {
                Ok(fields) => fields,
                Err(why) => return Row::Broken(Broken { line, why: format!("`{key}` {why}") }),
            };
            let mut problems = Vec::new();
            match fields.get("id") {
                None | Some(Value::Null) => {
                    fields.insert("id".to_owned(), Value::String(key));
                }
                Some(id) if word(id).as_deref() != Some(key.as_str()) => {
                    problems.push(format!("it stands under `{key}`, which is not its id"));
                }
                Some(_) => {}
            }
            entry(line, fields, problems, times)
        })
        .collect();
    let mut history = Vec::new();
    if let Some(raw) = document.history.filter(|history| history.get() != "null") {
        let records: Vec<&RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| Error::new(ErrorKind::Invalid, "`history` is not a list of servers that were ended."))?;
        history.extend(records.into_iter().map(|raw| past(line_of(raw.get()), fields(raw), times)));
    }
    let last_updated = document.last_updated.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let last_updated = last_updated.and_then(|text| times.moment(&text));
    Ok(File { format: "json", last_updated, rows, history, ..File::default() })
}

fn csv(text: &str, times: &Times) -> Result<File> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let unread = |error: &csv::Error| {
        let line = error.position().map(|at| format!(" at line {}", at.line())).unwrap_or_default();
        Error::new(ErrorKind::Invalid, format!("The inventory is neither JSON nor CSV{line}."))
    };
    let header: Vec<String> = reader.headers().map_err(|error| unread(&error))?.iter().map(str::to_lowercase).collect();
    for column in ["id", "provider"] {
        if !header.iter().any(|name| name == column) {
            let message = format!("The inventory is neither JSON nor a CSV with a column `{column}`.");
            return Err(Error::new(ErrorKind::Invalid, message).with_hint(
                "The original's has: id,name,provider,status,ip_address,region,deployed_at,cost_hourly,tags.",
            ));
        }
    }
    let mut rows = Vec::new();
    let (mut counted, mut line) = (0, 1);
    for record in reader.records() {
        let record = record.map_err(|error| unread(&error))?;
        // The reader's own line is that of the empty lines before a record.
        let at = record.position().map_or(counted, |at| usize::try_from(at.byte()).unwrap_or(usize::MAX));
        let empty = text.bytes().skip(at).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let begin = (at + empty).clamp(counted, text.len());
        line += text.as_bytes()[counted..begin].iter().filter(|byte| **byte == b'\n').count();
        counted = begin;
        if record.len() != header.len() {
            let why = format!("it has {} columns where the first line has {}", record.len(), header.len());
            rows.push(Row::Broken(Broken { line, why }));
            continue;
        }
        let cells = header.iter().cloned().zip(record.iter().map(|cell| Value::String(cell.to_owned())));
        rows.push(entry(line, cells.collect(), Vec::new(), times));
    }
    Ok(File { format: "csv", rows, ..File::default() })
}

/// The fields of an entry; what is wrong with it, after its name, if it is none.
fn fields(raw: &RawValue) -> std::result::Result<BTreeMap<String, Value>, &'static str> {
    let mut fields: BTreeMap<String, Value> = serde_json::from_str(raw.get()).map_err(|_| "is not a map")?;
    // A float would not say what stands in the file.
    if let Ok(raws) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()) {
        for name in ["cost_hourly", "total_cost"] {
            if let (Some(Value::Number(_)), Some(raw)) = (fields.get(name), raws.get(name)) {
                fields.insert(name.to_owned(), Value::String(raw.get().to_owned()));
            }
        }
    }
    fields.remove("metadata");
    Ok(fields)
}

fn entry(line: usize, fields: BTreeMap<String, Value>, problems: Vec<String>, times: &Times) -> Row {
    let mut reader = Fields { fields: &fields, times, problems };
    let Some(id) = reader.text("id") else {
        return Row::Broken(Broken { line, why: "it has no id".to_owned() });
    };
    let entry = Entry {
        line,
        id,
        name: reader.text("name"),
        provider: reader.text("provider").map(|name| name.to_lowercase()),
        region: reader.text("region"),
        ip_address: reader.text("ip_address"),
        deployed_at: reader.moment("deployed_at"),
        cost_hourly: reader.dollars("cost_hourly"),
        tags: reader.words("tags"),
        problems: reader.problems,
        original: BTreeMap::new(),
    };
    Row::Entry(Box::new(Entry { original: fields, ..entry }))
}

fn past(line: usize, fields: std::result::Result<BTreeMap<String, Value>, &'static str>, times: &Times) -> Past {
    let fields = match fields {
        Ok(fields) => fields,
        Err(why) => return Past { line, problems: vec![format!("it {why}")], ..Past::default() },
    };
    let mut reader = Fields { fields: &fields, times, problems: Vec::new() };
    let past = Past {
        line,
        id: reader.text("xnode_id"),
        provider: reader.text("provider").map(|name| name.to_lowercase()),
        terminated_at: reader.moment("terminated_at"),
        total_cost: reader.dollars("total_cost"),
        problems: reader.problems,
        original: BTreeMap::new(),
    };
    Past { original: fields, ..past }
}

/// Reads fields, and notes what it cannot.
struct Fields<'a> {
    fields: &'a BTreeMap<String, Value>,
    times: &'a Times,
    problems: Vec<String>,
}

impl Fields<'_> {
    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.fields.get(name)?;
        let text = word(value);
        if text.is_none() && matches!(value, Value::Array(_) | Value::Object(_)) {
            self.problems.push(format!("`{name}` is neither text nor a number"));
        }
        text
    }

    fn moment(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.text(name)?;
        let at = self.times.moment(&text);
        if at.is_none() {
            self.problems.push(format!("`{name}` is no time: `{text}`"));
        }
        at
    }

    /// The original knew dollars alone.
    fn dollars(&mut self, name: &str) -> Option<Money> {
        let text = self.text(name)?;
        let money = Money::parse(&text, Currency::USD).ok().filter(|money| !money.amount().is_sign_negative());
        if money.is_none() {
            self.problems.push(format!("`{name}` is no price: `{text}`"));
        }
        money
    }

    fn words(&mut self, name: &str) -> Vec<String> {
        match self.fields.get(name) {
            Some(Value::Array(items)) => {
                let words: Vec<String> = items.iter().filter_map(word).collect();
                if words.len() < items.len() {
                    self.problems.push(format!("`{name}` holds what is not text"));
                }
                words
            }
            _ => {
                let text = self.text(name).unwrap_or_default();
                let words = text.split([',', ';', '|']).map(str::trim).filter(|word| !word.is_empty());
                words.map(str::to_owned).collect()
            }
        }
    }
}

/// Text that is not empty, or a number as it is written.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Reads times as Python writes them, and counts those that name no zone.
struct Times {
    /// Whose time those are.
    zone: TimeZone,
    zoneless: Cell<usize>,
}

impl Times {
    /// One without a zone is the time of the machine that wrote it. Of an hour that came twice there, it is the first.
    fn moment(&self, text: &str) -> Option<Timestamp> {
        if let Ok(zoned) = text.parse::<Timestamp>() {
            return Some(zoned);
        }
        let at = self.zone.to_timestamp(text.parse::<DateTime>().ok()?).ok()?;
        self.zoneless.set(self.zoneless.get() + 1);
        Some(at)
    }

    fn named(&self) -> String {
        match (self.zone.iana_name(), self.zone.to_fixed_offset()) {
            (Some(name), _) => name.to_owned(),
            (None, Ok(offset)) => offset.to_string(),
            (None, Err(_)) => "this machine".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(file: &File) -> Vec<&Entry> {
        file.rows
            .iter()
            .filter_map(|row| match row {
                Row::Entry(entry) => Some(&**entry),
                Row::Broken(_) => None,
            })
            .collect()
    }

    fn broken(file: &File) -> Vec<(usize, &str)> {
        file.rows
            .iter()
            .filter_map(|row| match row {
                Row::Broken(broken) => Some((broken.line, broken.why.as_str())),
                Row::Entry(_) => None,
            })
            .collect()
    }

    #[test]
    fn json_keeps_what_comes_twice_what_is_unknown_and_what_is_broken() {
        let text = r#"{
  "version": "1.0", "last_updated": "2025-11-20T10:00:00.123456", "colour": "blue",
  "xnodes": {
    "1": {"id": "1", "name": "web", "provider": "DigitalOcean", "region": null, "cost_hourly": 0.015,
          "deployed_at": "2025-11-01T00:00:00", "tags": ["prod"], "status": "active", "colour": "red",
          "metadata": {"default_password": "CANARY"}},
    "1": {"id": "1", "provider": "digitalocean"},
    "2": {"id": 7, "provider": "vultr", "cost_hourly": "much", "tags": null},
    "3": "gone",
    "4": {"name": "by its key"}
  },
  "history": [{"xnode_id": "9", "provider": "aws", "terminated_at": "2025-10-01T00:00:00Z", "total_cost": 1.10}, 5],
  "metadata": {}
}"#;
        let file = File::read(text, TimeZone::UTC).unwrap();
        let found = entries(&file);
        assert_eq!(
            found.iter().map(|entry| (entry.line, entry.id.as_str())).collect::<Vec<_>>(),
            [(4, "1"), (7, "1"), (8, "7"), (10, "4")]
        );
        assert_eq!(broken(&file), [(9, "`3` is not a map")]);
        let web = found[0];
        assert_eq!(
            (web.provider.as_deref(), &web.region, &web.tags[..]),
            (Some("digitalocean"), &None, &["prod".to_owned()][..])
        );
        assert_eq!(web.cost_hourly.unwrap().to_string(), "0.015 USD");
        assert_eq!(web.deployed_at.unwrap().to_string(), "2025-11-01T00:00:00Z");
        assert_eq!((&web.original["colour"], &web.original["status"]), (&"red".into(), &"active".into()));
        assert!(!format!("{file:?}").contains("CANARY"));
        assert_eq!(
            found[2].problems,
            ["it stands under `2`, which is not its id", "`cost_hourly` is no price: `much`"]
        );
        assert_eq!(file.history[0].total_cost.unwrap().to_string(), "1.1 USD");
        assert_eq!(file.history[1].problems, ["it is not a map"]);
        assert_eq!(file.last_updated.unwrap().to_string(), "2025-11-20T10:00:00.123456Z");
    }

    #[test]
    fn csv_names_broken_rows_by_line() {
        let text = "id,name,provider,status,ip_address,region,deployed_at,cost_hourly,tags\n\
                    12,\"web, one\",vultr,active,192.0.2.7,,2025-11-01T00:00:00,0.018,\"a,b\"\n\
                    13,short,vultr\n\
                    ,nameless,aws,running,,,,,\n\
                    14,odd,aws,running,,,yesterday,,\n";
        let file = File::read(text, TimeZone::UTC).unwrap();
        assert_eq!(broken(&file), [(3, "it has 3 columns where the first line has 9"), (4, "it has no id")]);
        let found = entries(&file);
        assert_eq!((found[0].name.as_deref(), &found[0].region), (Some("web, one"), &None));
        assert_eq!(found[0].tags, ["a", "b"]);
        assert_eq!(found[1].problems, ["`deployed_at` is no time: `yesterday`"]);
    }

    #[test]
    fn what_is_no_inventory_is_refused_with_where_and_why() {
        for (text, words) in [
            ("{\"xnodes\": {\n \"1\": CANARY}}", "line 2"),
            ("{\"servers\": {}}", "no `xnodes`"),
            ("{\"xnodes\": [1]}", "not a map"),
            ("name,status\nweb,CANARY\n", "column `id`"),
            ("", "column `id`"),
        ] {
            let error = File::read(text, TimeZone::UTC).unwrap_err();
            assert!(error.message().contains(words), "{error}");
            assert!(!format!("{error:?}").contains("CANARY"));
        }
    }

    #[test]
    fn a_time_without_a_zone_is_that_of_the_machine_that_wrote_it() {
        let text = r#"{"last_updated": "2025-11-02T01:30:00", "xnodes": {
            "1": {"provider": "aws", "deployed_at": "2025-07-01T12:00:00.5"},
            "2": {"provider": "aws", "deployed_at": "2025-07-01T12:00:00+00:00"},
            "3": {"provider": "aws", "deployed_at": "2025-12-01T12:00:00"}}}"#;
        let new_york = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        for (zone, named, times) in [
            (TimeZone::UTC, "UTC", ["2025-07-01T12:00:00.5Z", "2025-12-01T12:00:00Z", "2025-11-02T01:30:00Z"]),
            // Summer and winter differ; the hour that came twice is the first of the two.
            (new_york, "this machine", ["2025-07-01T16:00:00.5Z", "2025-12-01T17:00:00Z", "2025-11-02T05:30:00Z"]),
        ] {
            let file = File::read(text, zone).unwrap();
            let at: Vec<String> = entries(&file).iter().map(|entry| entry.deployed_at.unwrap().to_string()).collect();
            assert_eq!([at[0].as_str(), &at[2], &file.last_updated.unwrap().to_string()], times);
            assert_eq!(at[1], "2025-07-01T12:00:00Z", "it names its zone");
            assert_eq!((file.timezone.as_str(), file.zoneless), (named, 3));
        }
    }

    #[test]
    fn lines_of_a_csv_are_those_that_an_editor_shows() {
        for end in ["\n", "\r\n"] {
            let lines = ["id,name,provider", "", "1,\"two", "lines\",aws", "", "", "2,cut", "3,x,aws", ",y,aws"];
            let file = File::read(&format!("\u{feff}{}{end}", lines.join(end)), TimeZone::UTC).unwrap();
            assert_eq!(
                entries(&file).iter().map(|entry| (entry.line, entry.id.as_str())).collect::<Vec<_>>(),
                [(3, "1"), (8, "3")]
            );
            assert_eq!(broken(&file).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [7, 9]);
        }
    }
}
