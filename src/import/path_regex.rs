//! Regular expressions of paths that say no more than a path does.

/// What an expression matches.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Matched {
    /// This path alone.
    Exactly(String),
    /// Whatever starts with it.
    Under(String),
}

const ENDS: [&str; 3] = ["$", "/?$", "/{0,1}$"];
const ANYTHING: [&str; 12] =
    ["", ".*", ".*$", "/", "/.*", "/.*$", "/.+", "/.+$", "(/|$)", "(?:/|$)", "(/.*)?$", "(?:/.*)?$"];

/// The path that `regex`, anchored at its start, amounts to; none where it says more.
pub(super) fn read(regex: &str) -> Option<Matched> {
    let mut rest = regex.strip_prefix('^')?;
    let mut before_last = rest;
    let mut path = String::new();
    while let Some((character, after)) = literal(rest) {
        path.push(character);
        (before_last, rest) = (rest, after);
    }
    // What a quantifier follows is no literal.
    if rest.starts_with(['*', '+', '?', '{', '|']) {
        path.pop();
        rest = before_last;
    }
    if !path.starts_with('/') {
        return None;
    }
    if ENDS.contains(&rest) {
        return Some(Matched::Exactly(path));
    }
    let keeps_slash = rest.starts_with('/');
    let under = if keeps_slash && !path.ends_with('/') { path + "/" } else { path };
    ANYTHING.contains(&rest).then_some(Matched::Under(under))
}

/// The character that `regex` starts with, where it means itself.
fn literal(regex: &str) -> Option<(char, &str)> {
    let mut characters = regex.chars();
    match characters.next()? {
        '\\' => {
            let escaped = characters.next().filter(|c| ".-/_~+".contains(*c))?;
            Some((escaped, characters.as_str()))
        }
        plain if plain.is_ascii_alphanumeric() || "/-_~".contains(plain) => Some((plain, characters.as_str())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_says_is_read() {
        let under = |path: &str| Some(Matched::Under(path.to_owned()));
        let exactly = |path: &str| Some(Matched::Exactly(path.to_owned()));
        for (regex, expected) in [
            ("^/probe", under("/probe")),
            ("^/static/", under("/static/")),
            ("^/static/.*$", under("/static/")),
            ("^/api(/|$)", under("/api")),
            ("^/robots\\.txt$", exactly("/robots.txt")),
            ("^/health/?$", exactly("/health")),
            ("^/", under("/")),
        ] {
            assert_eq!(read(regex), expected, "{regex}");
        }
    }

    #[test]
    fn what_says_more_than_a_path_is_left() {
        for regex in
            ["/probe", "^/(a|b)", "^/a.c", "^/v[0-9]", "^/a|^/b", ".*", "^", "^/a*", "^/ab?$", "^/a\\d", "^(?i)/a", ""]
        {
            assert_eq!(read(regex), None, "{regex}");
        }
    }
}
