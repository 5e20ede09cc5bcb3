//! `transforms.md`: transforms and predicates, from their own definitions.

use std::collections::BTreeMap;

use super::{MADE, line, section};
use crate::api::config_def::ConfigDef;
use crate::api::registry::Registry;

/// The page.
#[must_use]
pub fn transforms_page(registry: &Registry) -> String {
    let mut page = format!(
        "{MADE}\n\n# Transforms and predicates\n\n\
         `transforms=a,b` in the settings of a connector names transforms; each record goes through them in this order, \
         in sources before it is converted, in sinks after it. `transforms.a.type` is the class, `transforms.a.…` what \
         stands below. `transforms.a.predicate=p` uses a transform only for records for which the predicate `p` holds, \
         with `transforms.a.negate=true` only for the others. `predicates=p` names predicates, `predicates.p.type` and \
         `predicates.p.…` set them up.\n\n\
         Transforms of keys or values come in two classes, `…$Key` and `…$Value`, which have to be named in full; the \
         others can be named by the last part of their names alone.\n"
    );
    let mut transforms: BTreeMap<&str, (Vec<&str>, ConfigDef)> = BTreeMap::new();
    for plugin in registry.transforms() {
        let class = plugin.class();
        let outer = class.split('$').next().unwrap_or(class);
        transforms.entry(outer).or_insert_with(|| (Vec::new(), plugin.config_def())).0.push(class);
    }
    line(&mut page, format_args!("\n## Transforms"));
    for (name, (classes, def)) in transforms {
        section(&mut page, "###", name, &listed(&classes), &def);
    }
    line(&mut page, format_args!("\n## Predicates"));
    for plugin in registry.predicates() {
        section(&mut page, "###", plugin.class(), &listed(&[plugin.class()]), &plugin.config_def());
    }
    page
}

fn listed(classes: &[&str]) -> String {
    let classes: Vec<String> = classes.iter().map(|class| format!("`{class}`")).collect();
    classes.join(", ")
}
