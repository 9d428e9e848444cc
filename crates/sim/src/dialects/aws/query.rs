//! The Query protocol's way in: `Filter.1.Value.2=x` as a tree.

use std::collections::BTreeMap;

use super::error::AwsError;

/// No call nests deeper; a longer name is refused before it can build a tower of maps.
const MAX_DEPTH: usize = 10;

/// The parameters of one call, or one branch of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Params {
    value: Option<String>,
    children: BTreeMap<String, Params>,
}

impl Params {
    /// Reads a form.
    #[cfg(test)]
    pub(super) fn parse(form: &[u8]) -> Result<Params, AwsError> {
        Params::from_pairs(
            url::form_urlencoded::parse(form).map(|(name, value)| (name.into_owned(), value.into_owned())),
        )
    }

    /// Grows the tree from decoded pairs. A name given twice is refused, as the vendor does.
    pub(super) fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Params, AwsError> {
        let mut root = Params::default();
        for (name, value) in pairs {
            let malformed =
                || AwsError::new(400, "MalformedQueryString", "The query string contains a syntax error.".to_owned());
            if name.split('.').count() > MAX_DEPTH || name.split('.').any(str::is_empty) {
                return Err(malformed());
            }
            let leaf = name.split('.').fold(&mut root, |node, part| node.children.entry(part.to_owned()).or_default());
            if leaf.value.replace(value).is_some() {
                return Err(malformed());
            }
        }
        Ok(root)
    }

    /// The branch under a dotted name, such as `Placement.AvailabilityZone`.
    pub(super) fn at(&self, path: &str) -> Option<&Params> {
        path.split('.').try_fold(self, |node, part| node.children.get(part))
    }

    /// The text under a dotted name.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.value.as_deref()
    }

    /// The text under a dotted name, or the vendor's complaint that it is missing.
    pub(super) fn required(&self, path: &str) -> Result<&str, AwsError> {
        self.text(path).filter(|text| !text.is_empty()).ok_or_else(|| AwsError::missing(path))
    }

    /// A truth value; absent is false.
    pub(super) fn flag(&self, path: &str) -> Result<bool, AwsError> {
        match self.text(path) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                Err(AwsError::invalid(format!("Invalid value '{other}' for {path}. Must be true or false.")))
            }
        }
    }

    /// A whole number, if there is one.
    pub(super) fn number(&self, path: &str) -> Result<Option<i64>, AwsError> {
        self.text(path)
            .map(|text| {
                text.parse()
                    .map_err(|_| AwsError::invalid(format!("Invalid value '{text}' for {path}. Must be a number.")))
            })
            .transpose()
    }

    /// The members of `Name.1`, `Name.2`, ... in the order of their numbers; gaps are allowed.
    pub(super) fn members(&self, name: &str) -> Vec<&Params> {
        let Some(list) = self.at(name) else { return Vec::new() };
        let mut members: Vec<(u32, &Params)> =
            list.children.iter().filter_map(|(index, node)| Some((index.parse().ok()?, node))).collect();
        members.sort_by_key(|(index, _)| *index);
        members.into_iter().map(|(_, node)| node).collect()
    }

    /// The texts of `Name.1`, `Name.2`, ... in order.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        self.members(name).into_iter().filter_map(|node| node.value.as_deref()).collect()
    }

    /// Everything but the named parameters, one `name=value` a line: what makes two calls the same call.
    pub(super) fn fingerprint(&self, except: &[&str]) -> String {
        let mut lines = String::new();
        for (name, node) in self.children.iter().filter(|(name, _)| !except.contains(&name.as_str())) {
            node.write_lines(name, &mut lines);
        }
        lines
    }

    fn write_lines(&self, path: &str, lines: &mut String) {
        if let Some(value) = &self.value {
            // The length keeps a line break inside a value from looking like the next line.
            lines.push_str(&format!("{path}={}:{value}\n", value.len()));
        }
        for (name, node) in &self.children {
            node.write_lines(&format!("{path}.{name}"), lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &str) -> Params {
        Params::parse(form.as_bytes()).unwrap()
    }

    #[test]
    fn numbered_names_become_lists_in_numeric_order() {
        let params = parse(
            "Action=DescribeInstances&Filter.2.Name=tag%3Aenv&Filter.1.Name=client-token\
             &Filter.2.Value.10=j&Filter.2.Value.2=b+c&Filter.2.Value.1=a%20a",
        );
        let filters = params.members("Filter");
        assert_eq!(filters[0].text("Name"), Some("client-token"));
        assert_eq!(filters[1].text("Name"), Some("tag:env"));
        assert_eq!(filters[1].texts("Value"), ["a a", "b c", "j"]);
        assert_eq!(params.texts("InstanceId"), [""; 0]);
    }

    #[test]
    fn dotted_names_reach_into_structures() {
        let params = parse("BlockDeviceMapping.1.Ebs.VolumeSize=20&MetadataOptions.HttpTokens=required&DryRun=maybe");
        assert_eq!(params.members("BlockDeviceMapping")[0].number("Ebs.VolumeSize").unwrap(), Some(20));
        assert_eq!(params.text("MetadataOptions.HttpTokens"), Some("required"));
        assert_eq!(params.flag("DryRun").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(params.required("ImageId").unwrap_err().code, "MissingParameter");
    }

    #[test]
    fn broken_names_are_refused() {
        for form in ["a..b=1", ".a=1", "a.=1", "A=1&A=2", "a.a.a.a.a.a.a.a.a.a.a=1"] {
            assert_eq!(Params::parse(form.as_bytes()).unwrap_err().code, "MalformedQueryString", "{form}");
        }
    }

    #[test]
    fn fingerprints_differ_where_the_calls_differ() {
        let print = |form: &str| parse(form).fingerprint(&["ClientToken"]);
        assert_eq!(print("B=2&A=1&ClientToken=x"), print("A=1&B=2&ClientToken=y"));
        assert_ne!(print("A=1"), print("A=2"));
        assert_ne!(print("A=1%0AB=1:2"), print("A=1&B=2"));
    }
}
