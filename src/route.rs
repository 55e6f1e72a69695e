//! Routes: which application a request is for. A route is an authority and a path prefix on segment borders; the
//! longest prefix wins.

pub mod authority;
pub mod path;
pub mod table;
pub mod url;

pub use authority::{Authority, Scheme};
pub use path::{PathMap, PathPrefix, RequestPath};
pub use table::{Lookup, Table};
pub use url::PageUrl;
