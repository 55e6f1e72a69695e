//! The parameters of a request (RFC 6749 section 3.1: none may be sent twice, one without a value was not sent).

use std::collections::BTreeMap;

use url::form_urlencoded;

/// The parameters of a query or of a form, by name.
#[derive(Debug)]
pub(super) struct Params(BTreeMap<String, String>);

/// A parameter was sent twice.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Repeated;

impl Params {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Repeated> {
        let mut params = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if params.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Repeated);
            }
        }
        params.retain(|_, value| !value.is_empty());
        Ok(Self(params))
    }

    /// The value of the parameter called `name`; never empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The same, owned.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// Adds `params` to the query of `uri`, which keeps every byte that it has.
pub(super) fn with_query(uri: &str, params: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    match (query.is_empty(), uri.contains('?')) {
        (true, _) => uri.to_owned(),
        (false, true) => format!("{uri}&{query}"),
        (false, false) => format!("{uri}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_parameter_is_refused_and_an_empty_one_was_not_sent() {
        assert_eq!(Params::parse(b"a=1&a=1").unwrap_err(), Repeated);
        let params = Params::parse(b"a=&b=%C3%A9+e").unwrap();
        assert_eq!((params.text("a"), params.text("b"), params.text("c")), (None, Some("é e"), None));
    }

    #[test]
    fn a_query_is_added_to_the_one_that_is_there() {
        assert_eq!(with_query("http://a/b", &[("code", "x y")]), "http://a/b?code=x+y");
        assert_eq!(with_query("http://a/b?c=%2F", &[("d", "1")]), "http://a/b?c=%2F&d=1");
        assert_eq!(with_query("http://a/b", &[]), "http://a/b");
    }
}
