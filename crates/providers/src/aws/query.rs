//! The Query protocol: a form goes out, XML comes back.
//!
//! XML is rendered as JSON first ([`json_of`]) and read by serde from there. So an answer is read once, the typed
//! structs are the same as in every other driver, and a server's `metadata` is a piece of that rendering as it stands.

use std::fmt::{Display, Write as _};
use std::str::FromStr;

use capsule_core::Tags;
use capsule_core::http::encode;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::{Deserialize, Deserializer, de::Error as _};

/// The form of one action, encoded as it grows.
#[derive(Clone)]
pub(super) struct Form(String);

impl Form {
    pub(super) fn new(action: &str, version: &str) -> Self {
        Form(format!("Action={action}&Version={version}"))
    }

    /// Adds one parameter.
    pub(super) fn with(mut self, key: impl Display, value: impl Display) -> Self {
        // A form writes a space as `+`. Emulators that check signatures write the form anew, and just so.
        let value = encode(&value.to_string()).replace("%20", "+");
        write!(self.0, "&{}={value}", encode(&key.to_string())).expect("writing to a String cannot fail");
        self
    }

    /// Adds a parameter where there is a value.
    pub(super) fn maybe(self, key: impl Display, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds `Filter.N`; the values are alternatives.
    pub(super) fn filter(self, number: usize, name: &str, values: &[&str]) -> Self {
        let named = self.with(format_args!("Filter.{number}.Name"), name);
        values
            .iter()
            .zip(1..)
            .fold(named, |form, (value, i): (_, usize)| form.with(format_args!("Filter.{number}.Value.{i}"), value))
    }

    /// Adds `TagSpecification.N`: the tags that a resource is born with.
    pub(super) fn tags(self, number: usize, resource: &str, tags: &Tags) -> Self {
        let head = format!("TagSpecification.{number}");
        let named = self.with(format_args!("{head}.ResourceType"), resource);
        tags.iter().zip(1..).fold(named, |form, ((key, value), i): (_, usize)| {
            form.with(format_args!("{head}.Tag.{i}.Key"), key).with(format_args!("{head}.Tag.{i}.Value"), value)
        })
    }

    pub(super) fn into_body(self) -> String {
        self.0
    }
}

/// What an element has turned out to be so far.
enum Shape {
    /// Nothing but text yet.
    Leaf,
    /// Its children have names of their own.
    Object,
    /// Its children are `item` or `member`, or the `Error`s of `Errors`.
    Array,
}

/// Renders what is inside the root element as JSON: text as strings, empty elements as `null`, `<item>`s as an array.
///
/// Attributes are left out: there is only the namespace's.
///
/// # Errors
/// Why this is no XML that can be rendered.
pub(super) fn json_of(xml: &str) -> Result<String, String> {
    let mut reader = Reader::from_str(xml);
    let mut out = Vec::with_capacity(xml.len());
    let mut stack: Vec<(Shape, bool)> = Vec::new();
    let mut text = String::new();
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Start(start) => {
                open(&mut out, &mut stack, start.local_name().as_ref());
                text.clear();
            }
            Event::Empty(start) => {
                open(&mut out, &mut stack, start.local_name().as_ref());
                text.clear();
                if close(&mut out, &mut stack, &mut text) {
                    break;
                }
            }
            Event::Text(part) => text.push_str(&part),
            Event::CData(part) => text.push_str(&part),
            Event::GeneralRef(name) => {
                let known = match name.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(c) => {
                        text.push(c);
                        true
                    }
                    None => quick_xml::escape::resolve_xml_entity(&name).map(|word| text.push_str(word)).is_some(),
                };
                if !known {
                    return Err("an unknown entity".to_owned());
                }
            }
            Event::End(_) => {
                if close(&mut out, &mut stack, &mut text) {
                    break;
                }
            }
            Event::Eof => return Err("the text ends before its root element does".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    Ok(String::from_utf8(out).expect("JSON written from strings is UTF-8"))
}

fn open(out: &mut Vec<u8>, stack: &mut Vec<(Shape, bool)>, name: &str) {
    // An answer as a whole is never a list; serde would read one as a struct whose fields have no names.
    let inside = stack.len() > 1;
    if let Some((shape, in_errors)) = stack.last_mut() {
        if matches!(shape, Shape::Leaf) {
            let list = inside && matches!(name, "item" | "member") || *in_errors;
            *shape = if list { Shape::Array } else { Shape::Object };
            out.push(if list { b'[' } else { b'{' });
        } else {
            out.push(b',');
        }
        if matches!(shape, Shape::Object) {
            string(out, name);
            out.push(b':');
        }
    }
    stack.push((Shape::Leaf, name == "Errors"));
}

/// Ends the innermost element; `true` when that was the root.
fn close(out: &mut Vec<u8>, stack: &mut Vec<(Shape, bool)>, text: &mut String) -> bool {
    match stack.pop() {
        Some((Shape::Leaf, _)) if text.is_empty() => out.extend_from_slice(b"null"),
        Some((Shape::Leaf, _)) => string(out, text),
        Some((Shape::Object, _)) => out.push(b'}'),
        Some((Shape::Array, _)) => out.push(b']'),
        None => {}
    }
    text.clear();
    stack.is_empty()
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string can be written to memory");
}

/// For fields whose element may be missing or empty.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// For numbers and booleans, which XML has as text.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
{
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    text.map(|text| text.trim().parse().map_err(|_| D::Error::custom(format!("`{text}` is not a value for this"))))
        .transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn xml_becomes_json() {
        let cases = [
            ("<A><b>1</b><c/></A>", r#"{"b":"1","c":null}"#),
            ("<A><s><item><x>1</x></item><item/></s></A>", r#"{"s":[{"x":"1"},null]}"#),
            ("<A> <s>\n <item>a &amp; &#98;</item>\n </s> </A>", r#"{"s":["a & b"]}"#),
            ("<A><Errors><Error><Code>X</Code></Error></Errors></A>", r#"{"Errors":[{"Code":"X"}]}"#),
            ("<?xml version=\"1.0\"?><A xmlns=\"u\"><t><![CDATA[<\">]]></t></A>", r#"{"t":"<\">"}"#),
            ("<A/>", "null"),
            ("<A><item>1</item></A>", r#"{"item":"1"}"#),
        ];
        for (xml, json) in cases {
            assert_eq!(json_of(xml).as_deref(), Ok(json), "{xml}");
        }
    }

    #[test]
    fn broken_xml_is_an_error() {
        for xml in ["", "text", "<A>", "<A></B>", "<A>&nothing;</A>", "<A><b></A>"] {
            assert!(json_of(xml).is_err(), "{xml}");
        }
    }

    #[test]
    fn forms_number_and_encode() {
        let mut tags = Tags::new();
        tags.insert("a b", "ü&");
        let form = Form::new("Do", "1").filter(1, "tag:x", &["y", "z"]).tags(2, "volume", &tags);
        assert_eq!(
            form.into_body(),
            "Action=Do&Version=1&Filter.1.Name=tag%3Ax&Filter.1.Value.1=y&Filter.1.Value.2=z\
             &TagSpecification.2.ResourceType=volume&TagSpecification.2.Tag.1.Key=a+b&TagSpecification.2.Tag.1.Value=%C3%BC%26"
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_json_or_an_error(xml in "(<[a-c/]{0,3}>|[ -~ä]{0,4}|&[a-z#0-9]{0,4};|<item>|</item>){0,12}") {
            if let Ok(json) = json_of(&xml) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
            }
        }
    }
}
