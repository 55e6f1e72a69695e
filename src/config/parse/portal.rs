//! `[route.portal]`

use super::site::Site;
use crate::config::keys;
use crate::config::raw::{Item, Section};
use crate::gateway::portal::Listing;
use crate::route::{Authority, PageUrl, PathPrefix};

/// The longest name, in characters: it fits on a line of a telephone, or two.
const LONGEST_NAME: usize = 60;

/// The longest description, in characters: what pages show of anything.
const LONGEST_DESCRIPTION: usize = 300;

/// What agents are told of the application of a route; none where nothing is, or where an error was told.
pub(super) fn read(
    route: &Section<'_>,
    site: &Site<'_>,
    (authority, path): (Option<&Authority>, &PathPrefix),
) -> Option<Listing> {
    let portal = route.item("portal")?.section(&keys::PORTAL)?;
    portal.refuse_unknown_keys();
    let name = portal.required("name").and_then(|item| line(&item, LONGEST_NAME));
    let description = portal.item("description").and_then(|item| line(&item, LONGEST_DESCRIPTION));
    let icon = portal.item("icon").and_then(|item| site.surroundings.icon(&item));
    let start = portal.item("start").map_or_else(|| Some(path.to_string()), |item| start(&item, site, path));
    let first_page = format!("{}://{}{}", site.scheme, authority?, start?).parse::<PageUrl>().ok()?;
    Some(Listing { name: name?, description, icon, first_page })
}

/// Words for people, on one line however they are written.
fn line(item: &Item<'_>, longest: usize) -> Option<String> {
    let line = item.filled()?.split_whitespace().collect::<Vec<_>>().join(" ");
    let wrong = match line.chars().count() {
        0 => "there is nothing to read".to_owned(),
        count if count > longest => format!("at most {longest} characters, and this has {count}"),
        _ if line.chars().any(char::is_control) => "control characters cannot be shown".to_owned(),
        _ => return Some(line),
    };
    item.report(item.error(format!("invalid `{}`", item.key())).label(wrong));
    None
}

/// A page of the application, and the query that it is asked with.
fn start(item: &Item<'_>, site: &Site<'_>, route: &PathPrefix) -> Option<String> {
    let text = item.filled()?;
    let (path, query) = text.split_once('?').map_or((text, ""), |(path, query)| (path, query));
    let path = item.read(|_| path.parse::<PathPrefix>()).filter(|path| site.own_paths.leave(item, path))?;
    if !route.contains_prefix(&path) {
        item.report(item.error(format!("`{path}` is outside the path of its route, `{route}`")));
        return None;
    }
    if query.contains('#') || query.chars().any(char::is_control) {
        item.report(item.error("invalid `start`").label("a path and a query, without `#` and control characters"));
        return None;
    }
    Some(text.to_owned())
}
