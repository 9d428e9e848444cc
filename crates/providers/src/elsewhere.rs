//! What other programs call a provider's servers, and how they get in.

use capsule_core::{InstanceId, PlanKind};

/// How other programs know the servers of one provider.
#[derive(Debug)]
pub struct Elsewhere {
    /// Whom images let in with an SSH key.
    pub(crate) user: &'static str,
    /// Whom images let in whose name holds a word.
    pub(crate) users: &'static [(&'static str, &'static str)],
    /// Its Terraform provider, as `required_providers` names it.
    pub terraform: &'static str,
    /// The versions of it that read our ids, as Terraform writes a constraint; `None` for all.
    pub versions: Option<&'static str>,
    /// The kinds of server that it can read.
    pub kinds: &'static [PlanKind],
    /// What to know before Terraform changes one, in whole sentences.
    pub caveat: Option<&'static str>,
    /// What a server is there.
    pub(crate) resource: fn(&InstanceId) -> Resource,
    /// The id in our [`InstanceId`] as the vendor itself writes it.
    pub(crate) native: fn(&InstanceId) -> &str,
}

/// A server as Terraform imports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The resource's type.
    pub kind: &'static str,
    /// What it is imported by.
    pub id: String,
}

impl Elsewhere {
    /// Whose servers all let `root` in and are one resource, imported by the vendor's id.
    pub(crate) const fn new(terraform: &'static str, resource: fn(&InstanceId) -> Resource) -> Self {
        Elsewhere {
            user: "root",
            users: &[],
            terraform,
            versions: None,
            kinds: &[PlanKind::Virtual, PlanKind::BareMetal],
            caveat: None,
            resource,
            native: |id| &id.native,
        }
    }

    /// Who is let in with an SSH key, as far as the image's name tells.
    pub fn user(&self, image: Option<&str>) -> &'static str {
        let image = image.unwrap_or_default().to_lowercase();
        self.users.iter().find(|(word, _)| image.contains(word)).map_or(self.user, |(_, user)| user)
    }

    /// A server as Terraform imports it.
    pub fn resource(&self, id: &InstanceId) -> Resource {
        (self.resource)(id)
    }

    /// The vendor's own id of a server.
    pub fn native<'a>(&self, id: &'a InstanceId) -> &'a str {
        (self.native)(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find;

    #[test]
    fn terraform_imports_by_the_vendors_own_id() {
        for (id, kind, import) in [
            ("digitalocean/nyc1/123", "digitalocean_droplet", "123"),
            ("vultr/ewr/cb676a46", "vultr_instance", "cb676a46"),
            ("vultr/ewr/bm-cb676a46", "vultr_bare_metal_server", "cb676a46"),
            ("aws/us-east-1/i-0abc", "aws_instance", "i-0abc@us-east-1"),
            ("linode/us-east/77", "linode_instance", "77"),
            ("scaleway/fr-par-1/6170", "scaleway_instance_server", "fr-par-1/6170"),
            ("equinix/da/e1ff", "equinix_metal_device", "e1ff"),
            ("hivelocity/TPA1/5150", "hivelocity_bare_metal_device", "5150"),
        ] {
            let id: InstanceId = id.parse().unwrap();
            let elsewhere = find(id.provider.as_str()).unwrap().elsewhere;
            assert_eq!(elsewhere.resource(&id), Resource { kind, id: import.to_owned() });
            let name = elsewhere.terraform.rsplit('/').next().unwrap();
            assert!(kind.starts_with(&format!("{name}_")), "Terraform takes a resource's provider from its prefix");
        }
    }

    #[test]
    fn the_image_tells_whom_it_lets_in() {
        let aws = find("aws").unwrap().elsewhere;
        let users = [Some("ubuntu-24.04"), Some("debian-12"), Some("ami-0abc"), None].map(|image| aws.user(image));
        assert_eq!(users, ["ubuntu", "admin", "ubuntu", "ubuntu"]);
        assert_eq!(find("digitalocean").unwrap().elsewhere.user(Some("debian-12-x64")), "root");
    }
}
