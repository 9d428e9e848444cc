//! Tags, at birth and later.

use std::collections::BTreeMap;

use super::call::{Call, page};
use super::error::AwsError;
use super::filter::Filters;
use super::query::Params;
use super::xml::Xml;
use super::{keys, network, volumes};

type Tags = BTreeMap<String, String>;

/// Prefixes of ids that can be tagged: the resource type, and the kind of resource in the world.
const TAGGABLE: [(&str, &str, &str); 4] = [
    ("i-", "instance", ""),
    ("vol-", "volume", volumes::VOLUME),
    ("sg-", "security-group", network::GROUP),
    ("key-", "key-pair", keys::KEY_PAIR),
];

/// The most tags that a resource can have.
const MAX_TAGS: usize = 50;

/// `tagSet`.
pub(super) fn set(xml: &mut Xml, tags: &Tags) {
    xml.set("tagSet", tags, |xml, (key, value)| {
        xml.text("key", key).text("value", value);
    });
}

/// What tags say under a filter's name: `tag-key` or `tag:KEY`.
pub(super) fn values(tags: &Tags, filter: &str) -> Vec<String> {
    match filter.strip_prefix("tag:") {
        Some(key) => tags.get(key).cloned().into_iter().collect(),
        None if filter == "tag-key" => tags.keys().cloned().collect(),
        None => Vec::new(),
    }
}

/// The tags that `TagSpecification.N` gives to one type of resource.
pub(super) fn at_birth(params: &Params, resource_type: &str) -> Result<Tags, AwsError> {
    const TYPES: [&str; 5] = ["instance", "volume", "network-interface", "security-group", "key-pair"];
    let mut tags = Tags::new();
    for specification in params.members("TagSpecification") {
        let of = specification.required("ResourceType")?;
        if !TYPES.contains(&of) {
            return Err(AwsError::invalid(format!("'{of}' is not a valid taggable resource type for this operation.")));
        }
        let given = read(specification)?;
        if of == resource_type {
            tags.extend(given);
        }
    }
    Ok(tags)
}

fn read(params: &Params) -> Result<Tags, AwsError> {
    let mut tags = Tags::new();
    for tag in params.members("Tag") {
        let key = tag.required("Key").map_err(|_| AwsError::missing("Tag.Key"))?;
        let value = tag.text("Value").unwrap_or_default();
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(AwsError::invalid(format!(
                "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
            )));
        }
        if key.chars().count() > 128 {
            return Err(AwsError::invalid("Tag key exceeds the maximum length of 128 characters"));
        }
        if value.chars().count() > 256 {
            return Err(AwsError::invalid("Tag value exceeds the maximum length of 256 characters"));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(AwsError::invalid(format!("Duplicate tag key '{key}' specified.")));
        }
    }
    if tags.len() > MAX_TAGS {
        return Err(too_many());
    }
    Ok(tags)
}

fn too_many() -> AwsError {
    AwsError::bad("TagLimitExceeded", "More than 50 tags specified")
}

/// The tags of an existing thing, to change them.
fn of<'c>(call: &'c mut Call<'_, '_>, id: &str) -> Result<&'c mut Tags, AwsError> {
    let kind = TAGGABLE.iter().find(|(prefix, ..)| id.starts_with(prefix));
    let missing = || match kind {
        Some(("i-", ..)) => {
            AwsError::bad("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
        }
        _ => AwsError::bad("InvalidID", format!("The ID '{id}' is not valid")),
    };
    let (account, region) = (call.account.clone(), call.region.clone());
    match kind {
        Some(("i-", ..)) => {
            let machine = call.view.machine_mut(&account, id).filter(|machine| machine.region == region);
            machine.map(|machine| &mut machine.tags).ok_or_else(missing)
        }
        Some((.., kind)) => {
            let here = |region_of: &Option<String>| region_of.as_deref() == Some(&region);
            let resource = call.view.resource_mut(&account, kind, id).filter(|resource| here(&resource.region));
            resource.map(|resource| &mut resource.tags).ok_or_else(missing)
        }
        None => Err(missing()),
    }
}

/// CreateTags: all resources or none.
pub(super) fn create(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let given = read(call.params)?;
    let ids = call.params.texts("ResourceId");
    if ids.is_empty() || given.is_empty() {
        return Err(AwsError::missing(if ids.is_empty() { "ResourceId" } else { "Tag" }));
    }
    for id in &ids {
        let tags = of(call, id)?;
        if tags.len() + given.keys().filter(|key| !tags.contains_key(*key)).count() > MAX_TAGS {
            return Err(too_many());
        }
    }
    for id in &ids {
        of(call, id)?.extend(given.clone());
        rename(call, id);
    }
    Ok(done())
}

/// DeleteTags: a tag given with a value goes only if it has that value; without any tags, all go.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let params = call.params;
    let ids = params.texts("ResourceId");
    if ids.is_empty() {
        return Err(AwsError::missing("ResourceId"));
    }
    for id in &ids {
        of(call, id)?;
    }
    let given = params.members("Tag");
    for id in &ids {
        let tags = of(call, id)?;
        if given.is_empty() {
            tags.clear();
        }
        for tag in &given {
            let key = tag.required("Key").map_err(|_| AwsError::missing("Tag.Key"))?;
            if tag.text("Value").is_none_or(|value| tags.get(key).is_some_and(|has| has == value)) {
                tags.remove(key);
            }
        }
        rename(call, id);
    }
    Ok(done())
}

/// An instance's name is a tag.
fn rename(call: &mut Call<'_, '_>, id: &str) {
    let account = call.account.clone();
    if id.starts_with("i-")
        && let Some(machine) = call.view.machine_mut(&account, id)
    {
        machine.name = machine.tags.get("Name").cloned().unwrap_or_default();
    }
}

fn done() -> Xml {
    let mut xml = Xml::default();
    xml.text("return", true);
    xml
}

/// DescribeTags.
pub(super) fn describe(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let call = &*call;
    let filters = Filters::read(call.params, &["resource-id", "resource-type", "key", "value"])?;
    let mut all: Vec<(&str, &str, &str, &str)> = Vec::new();
    for machine in call.view.machines(&call.account).filter(|machine| machine.region == call.region) {
        all.extend(
            machine.tags.iter().map(|(key, value)| (machine.id.as_str(), "instance", key.as_str(), value.as_str())),
        );
    }
    for (_, word, kind) in TAGGABLE.into_iter().skip(1) {
        for resource in call.view.resources(&call.account, kind).filter(|r| r.region.as_deref() == Some(&call.region)) {
            all.extend(
                resource.tags.iter().map(|(key, value)| (resource.id.as_str(), word, key.as_str(), value.as_str())),
            );
        }
    }
    let page = page(call.params, 5..=1000, all, |(id, of, key, value)| {
        filters.pass(|name| match name {
            "resource-id" => vec![(*id).to_owned()],
            "resource-type" => vec![(*of).to_owned()],
            "key" => vec![(*key).to_owned()],
            "value" => vec![(*value).to_owned()],
            tag => {
                if tag.strip_prefix("tag:") == Some(*key) {
                    vec![(*value).to_owned()]
                } else {
                    Vec::new()
                }
            }
        })
    })?;
    let mut xml = Xml::default();
    xml.set("tagSet", page.items, |xml, (id, of, key, value)| {
        xml.text("resourceId", id).text("resourceType", of).text("key", key).text("value", value);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}
