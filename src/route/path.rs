//! Paths: canonicalised once for matching, while the upstream gets the bytes that came (RFC 3986 sections 3.3 and 6.2).
//!
//! Where decoding, or an upstream's own reading, could change which route or rule applies, the path is *ambiguous*:
//! dot segments, `//`, `;`, `\`, encoded slashes, backslashes, `%`, NUL and control bytes, and bytes that are no UTF-8.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use foldhash::HashMap;
use percent_encoding::percent_decode_str;

/// The path of a request: the bytes that came, and what rules are matched on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestPath<'a> {
    raw: &'a str,
    canonical: Option<Cow<'a, str>>,
}

impl<'a> RequestPath<'a> {
    /// Reads a path that starts with `/` and holds only visible ASCII (the connection layer refuses the rest).
    #[must_use]
    pub fn new(raw: &'a str) -> Self {
        Self { raw, canonical: canonical(raw) }
    }

    /// The bytes that came.
    #[must_use]
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// The path with its percent-encoding removed; none where the path is ambiguous.
    #[must_use]
    pub fn canonical(&self) -> Option<&str> {
        self.canonical.as_deref()
    }
}

fn canonical(raw: &str) -> Option<Cow<'_, str>> {
    let decoded = if raw.contains('%') {
        Cow::Owned(percent_decode_str(raw).decode_utf8().ok()?.into_owned())
    } else {
        Cow::Borrowed(raw)
    };
    let slashes = |path: &str| path.bytes().filter(|byte| *byte == b'/').count();
    let hidden_slash = slashes(&decoded) != slashes(raw);
    let confusing_byte =
        decoded.bytes().any(|byte| matches!(byte, b'\\' | b';' | b'%' | b'#' | b'?' | 0x00..=0x1F | 0x7F));
    // The first segment of an absolute path is empty; an empty one further on, unless it ends the path, is `//`.
    let mut segments = decoded.split('/').skip(1).peekable();
    let mut confusing_segment = !decoded.starts_with('/');
    while let Some(segment) = segments.next() {
        confusing_segment |= matches!(segment, "." | "..") || (segment.is_empty() && segments.peek().is_some());
    }
    (!hidden_slash && !confusing_byte && !confusing_segment).then_some(decoded)
}

/// A path prefix on segment borders, case-sensitive.
///
/// `/app` contains `/app` and `/app/x`, not `/apple`; `/app/` contains `/app/` and `/app/x`, not `/app`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PathPrefix(String);

/// Why a text is no path prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathError {
    /// Could be read in two ways.
    #[error("a path here is written without dot segments, `//`, `;`, `\\`, `?`, `#` or encoded slashes")]
    Ambiguous,
    /// Does not start with `/`.
    #[error("a path starts with `/`")]
    Relative,
}

impl PathPrefix {
    /// The whole host.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Whether `path` lies under this prefix; an ambiguous path lies under none but `/`.
    #[must_use]
    pub fn contains(&self, path: &RequestPath<'_>) -> bool {
        self.is_root() || path.canonical().is_some_and(|canonical| self.contains_canonical(canonical))
    }

    /// Whether everything under `other` is under this prefix too.
    #[must_use]
    pub fn contains_prefix(&self, other: &Self) -> bool {
        self.contains_canonical(&other.0)
    }

    /// Whether this is `/`, which looks at no path.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// The decoded prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn contains_canonical(&self, canonical: &str) -> bool {
        canonical
            .strip_prefix(self.0.as_str())
            .is_some_and(|rest| self.0.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for PathPrefix {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(PathError::Relative);
        }
        canonical(text).map(|path| Self(path.into_owned())).ok_or(PathError::Ambiguous)
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Things by path prefix, looked up border by border: it takes the same time whatever their number.
#[derive(Clone, Debug)]
pub struct PathMap<T> {
    things: HashMap<String, T>,
    /// The length of the longest prefix.
    longest: usize,
}

impl<T> Default for PathMap<T> {
    fn default() -> Self {
        Self { things: HashMap::default(), longest: 0 }
    }
}

impl<T> PathMap<T> {
    /// Puts `thing` under `prefix`, in the place of what is there.
    pub fn insert(&mut self, prefix: &PathPrefix, thing: T) {
        self.longest = self.longest.max(prefix.0.len());
        self.things.insert(prefix.0.clone(), thing);
    }

    /// What lies under the longest prefix that contains `path`; an ambiguous path lies under none but `/`.
    #[must_use]
    pub fn longest(&self, path: &RequestPath<'_>) -> Option<&T> {
        let path = path.canonical().unwrap_or("/");
        // A prefix is the whole path, or ends with a `/` of it, or right before one.
        let borders = path.bytes().enumerate().take(self.longest + 1).filter(|(_, byte)| *byte == b'/');
        let ends = borders.flat_map(|(at, _)| [at, at + 1]).rev();
        let ends = std::iter::once(path.len()).chain(ends).filter(|end| *end <= self.longest);
        ends.map(|end| &path[..end]).find_map(|prefix| self.things.get(prefix))
    }

    /// The prefixes, in no order.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.things.keys().map(String::as_str)
    }

    /// The things, in no order.
    pub fn things(&self) -> impl Iterator<Item = &T> {
        self.things.values()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_upstream_might_read_otherwise_is_ambiguous() {
        for raw in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/..%2fadmin",
            "/public/%2e%2e%2fadmin",
            "/public/..%5cadmin",
            "/public/..\\admin",
            "/public/..;/admin",
            "/public/.%00./admin",
            "/public/%252e%252e/admin",
            "/public//../admin",
            "/public/./admin",
            "//admin",
            "/a%ff",
            "/a;b",
            "/a%3bb",
            "/a%23b",
            "/a%3fb",
            "/a/.",
            "/a/..",
            "/a%0ab",
            "*",
        ] {
            assert_eq!(RequestPath::new(raw).canonical(), None, "{raw}");
        }
    }

    #[test]
    fn encoding_that_hides_nothing_is_removed() {
        for (raw, canonical) in [
            ("/%61dmin", "/admin"),
            ("/caf%C3%A9", "/café"),
            ("/a%20b/", "/a b/"),
            ("/", "/"),
            ("/.well-known/x", "/.well-known/x"),
        ] {
            assert_eq!(RequestPath::new(raw).canonical(), Some(canonical), "{raw}");
        }
    }

    #[test]
    fn a_prefix_ends_on_a_segment_border() {
        let contains =
            |prefix: &str, path: &str| prefix.parse::<PathPrefix>().unwrap().contains(&RequestPath::new(path));
        assert!(
            contains("/app", "/app")
                && contains("/app", "/app/x")
                && contains("/app/", "/app/x")
                && contains("/", "/x;y")
        );
        assert!(
            !contains("/app", "/apple")
                && !contains("/app/", "/app")
                && !contains("/app", "/APP")
                && !contains("/app", "/app/../x")
        );
    }

    proptest::proptest! {
        #[test]
        fn a_map_finds_the_longest_prefix_that_contains_the_path(
            prefixes in proptest::collection::vec("(/[ab]{1,2}){0,3}/?", 0..8),
            path in "(/[ab]{1,2}){0,4}/?|//a|/a;b",
        ) {
            let mut map = PathMap::default();
            let prefixes: Vec<PathPrefix> = prefixes.iter().filter_map(|text| text.parse().ok()).collect();
            prefixes.iter().for_each(|prefix| map.insert(prefix, prefix.clone()));
            let path = RequestPath::new(&path);
            let containing = prefixes.iter().filter(|prefix| prefix.contains(&path));
            let expected = containing.max_by_key(|prefix| prefix.as_str().len());
            proptest::prop_assert_eq!(map.longest(&path), expected);
        }
    }
}
