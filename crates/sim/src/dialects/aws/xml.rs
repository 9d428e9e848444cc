//! The Query protocol's way out.

use std::fmt::{Display, Write};

use quick_xml::escape::escape;

use super::error::AwsError;

/// The namespace of every EC2 answer; it names the API version.
const EC2_NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
/// The namespace of every STS answer.
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// XML as it is written, element by element.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// `<name>value</name>`.
    pub(super) fn text(&mut self, name: &str, value: impl Display) -> &mut Self {
        // XML 1.0 has no way at all to write most control characters.
        let value: String = value.to_string().chars().filter(|c| !c.is_control() || "\t\n\r".contains(*c)).collect();
        self.write(format_args!("<{name}>{}</{name}>", escape(value.as_str())))
    }

    /// The same, and nothing where there is no value.
    pub(super) fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// `<name>...</name>`.
    pub(super) fn within(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) -> &mut Self {
        self.write(format_args!("<{name}>"));
        inside(self);
        self.write(format_args!("</{name}>"))
    }

    /// `<name><item>...</item>...</name>`; an empty set is an empty element.
    pub(super) fn set<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Xml, T),
    ) -> &mut Self {
        self.within(name, |xml| {
            for each in items {
                xml.within("item", |xml| item(xml, each));
            }
        })
    }

    /// `<name><item>text</item>...</name>`.
    pub(super) fn words<T: Display>(&mut self, name: &str, words: impl IntoIterator<Item = T>) -> &mut Self {
        self.within(name, |xml| {
            for word in words {
                xml.text("item", word);
            }
        })
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) -> &mut Self {
        self.0.write_fmt(text).expect("writing to a String cannot fail");
        self
    }
}

/// A whole EC2 answer.
pub(super) fn ec2_answer(action: &str, request_id: &str, body: &Xml) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{EC2_NAMESPACE}\">\
         <requestId>{request_id}</requestId>{}</{action}Response>",
        body.0
    )
}

/// A whole EC2 refusal. The request id is spelled differently here.
pub(super) fn ec2_error(request_id: &str, error: &AwsError) -> String {
    let mut xml = Xml::default();
    xml.within("Errors", |xml| {
        xml.within("Error", |xml| {
            xml.text("Code", error.code).text("Message", &error.message);
        });
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{}<RequestID>{request_id}</RequestID></Response>",
        xml.0
    )
}

/// A whole STS answer: the result lies in an element of its own, the request id behind it.
pub(super) fn sts_answer(action: &str, request_id: &str, body: &Xml) -> String {
    format!(
        "<{action}Response xmlns=\"{STS_NAMESPACE}\"><{action}Result>{}</{action}Result>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>",
        body.0
    )
}

/// A whole STS refusal.
pub(super) fn sts_error(request_id: &str, error: &AwsError) -> String {
    let mut xml = Xml::default();
    let blame = if error.status < 500 { "Sender" } else { "Receiver" };
    xml.within("Error", |xml| {
        xml.text("Type", blame).text("Code", error.code).text("Message", &error.message);
    });
    format!("<ErrorResponse xmlns=\"{STS_NAMESPACE}\">{}<RequestId>{request_id}</RequestId></ErrorResponse>", xml.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_items_and_texts_are_escaped() {
        let mut xml = Xml::default();
        xml.set("tagSet", [("a<b", "\"&\u{1}")], |xml, (key, value)| {
            xml.text("key", key).text("value", value);
        })
        .set("empty", [(); 0], |_, ()| {})
        .maybe("ipAddress", None::<&str>);
        assert_eq!(xml.0, "<tagSet><item><key>a&lt;b</key><value>&quot;&amp;</value></item></tagSet><empty></empty>");
    }

    #[test]
    fn each_service_has_its_own_envelope() {
        let mut xml = Xml::default();
        xml.text("return", true);
        assert!(ec2_answer("DeleteKeyPair", "r-1", &xml).ends_with(
            "<DeleteKeyPairResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId>\
             <return>true</return></DeleteKeyPairResponse>"
        ));
        let error = AwsError::bad("InvalidAMIID.NotFound", "no");
        assert!(ec2_error("r-1", &error).ends_with(
            "<Response><Errors><Error><Code>InvalidAMIID.NotFound</Code><Message>no</Message></Error></Errors>\
             <RequestID>r-1</RequestID></Response>"
        ));
        assert!(sts_error("r-1", &error).contains("<Error><Type>Sender</Type><Code>InvalidAMIID.NotFound</Code>"));
    }
}
