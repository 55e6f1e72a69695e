//! Keeps the house in order: imports go one way, each foreign crate has its rooms, `main` stays thin, and every file
//! says what it is for. The rules are those of the crate's documentation (src/lib.rs); this file is their one list.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up: a module may import from its own floor and the floors below.
const LAYERS: &[&[&str]] = &[
    &["clock", "crypto", "http_ext", "secret"],
    &[
        "identity",
        "live",
        "login",
        "logout",
        "oidc",
        "page",
        "policy",
        "route",
        "session",
        "signature",
        "stash",
        "store",
        "telemetry",
        "upstream",
    ],
    &["gateway"],
    &["admin", "listener"],
    &["config"],
    &["explain", "server"],
    &["demo", "doctor", "import"],
    &["cli"],
];

/// Foreign crates that only some modules may name; a trailing `*` stands for the rest of a crate's name.
const ROOMS: &[(&str, &[&str])] = &[
    ("aes_gcm", &["crypto"]),
    ("aws_lc_rs", &["crypto"]),
    ("openidconnect", &["login", "logout", "oidc"]),
    ("pingora*", &["admin", "gateway", "listener", "server", "upstream"]),
    ("toml", &["config", "import"]),
];

#[test]
fn every_module_has_its_layer() {
    let lib = read(&root().join("src/lib.rs"));
    for line in without_comments(&lib).lines() {
        let words: Vec<_> = line.trim_end_matches(';').split_whitespace().collect();
        if let ["pub", "mod", module] | ["mod", module] = words[..] {
            assert!(layer(module).is_some(), "tests/layers.rs gives {module} no layer");
        }
    }
}

#[test]
fn imports_go_one_way() {
    let wrong: Vec<_> = product_files()
        .iter()
        .filter_map(|file| Some((file, layer(&file.module)?)))
        .flat_map(|(file, own)| {
            let above = file.imports().into_iter().filter(move |import| layer(import).is_none_or(|other| other > own));
            above.map(|import| format!("{}: {} may not import {import}", file.name, file.module))
        })
        .collect();
    assert!(wrong.is_empty(), "imports against the layers:\n{}", wrong.join("\n"));
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let wrong: Vec<_> = product_files()
        .iter()
        .flat_map(|file| {
            let foreign = ROOMS.iter().filter(|(_, rooms)| !rooms.contains(&file.module.as_str()));
            let named = foreign.filter(|(name, _)| names_crate(&file.code, name));
            named.map(|(name, rooms)| format!("{}: only {} may name {name}", file.name, rooms.join(", ")))
        })
        .collect();
    assert!(wrong.is_empty(), "crates out of their rooms:\n{}", wrong.join("\n"));
}

#[test]
fn main_is_thin() {
    let main = without_comments(&read(&root().join("src/main.rs")));
    let lines = main.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 12, "src/main.rs has {lines} lines of code: what it does belongs to cli");
}

#[test]
fn every_file_says_what_it_is_for() {
    let files = ["src", "tests", "examples"].iter().flat_map(|folder| rust_files(&root().join(folder)));
    let silent: Vec<_> = files.filter(|path| !read(path).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "files without a //! header: {silent:?}");
}

#[test]
fn the_scanner_sees_every_way_to_import() {
    let code = "
        use crate::{clock::Timestamp, crypto::{jws, aead}, self as whole};
        fn f() { crate::route::table(); pub(crate) fn g() {} } // crate::page
        /// [`crate::config`]
\n#[cfg(test)]\nmod tests { use crate::server; }";
    let file = SourceFile::new("src/session.rs".to_owned(), "session".to_owned(), code);
    assert_eq!(file.imports(), ["clock", "crypto", "route"].map(str::to_owned).into());
    assert!(names_crate("use pingora_proxy::Session;", "pingora*"));
    assert!(names_crate("let a = toml::from_str(b);", "toml"));
    assert!(!names_crate("rustls::crypto::aws_lc_rs::default_provider()", "aws_lc_rs"));
    assert!(!names_crate("use rustls::crypto::aws_lc_rs;\nlet p = aws_lc_rs::default_provider();", "aws_lc_rs"));
    assert!(!names_crate("let toml = 1; mytoml::f()", "toml"));
}

/// A file of the product, without its comments and tests.
struct SourceFile {
    /// Its path below the project.
    name: String,
    /// The module of src/lib.rs that it belongs to.
    module: String,
    code: String,
}

impl SourceFile {
    fn new(name: String, module: String, text: &str) -> Self {
        let product = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        Self { name, module, code: without_comments(product) }
    }

    /// The modules of this crate that the file names.
    fn imports(&self) -> BTreeSet<String> {
        let paths = self.code.match_indices("crate::").filter(|(at, _)| !continues_word(&self.code[..*at]));
        paths.flat_map(|(at, found)| heads(&self.code[at + found.len()..])).collect()
    }
}

/// The first names after `crate::`: one, or those of a group in braces.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else { return vec![first_word(path)] };
    let mut depth = 0_i32;
    let mut heads = vec![String::new()];
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(String::new()),
            _ if depth == 0 => heads.last_mut().expect("it starts with one").push(character),
            _ => {}
        }
    }
    heads.iter().map(|head| first_word(head.trim())).filter(|head| !head.is_empty() && head != "self").collect()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|character| is_word(*character)).collect()
}

/// Whether `code` names that crate, rather than a word that looks like it, or a module of the same name which another
/// crate has and `use` brought in, such as `rustls::crypto::aws_lc_rs`.
fn names_crate(code: &str, pattern: &str) -> bool {
    let (name, open_ended) = pattern.strip_suffix('*').map_or((pattern, false), |name| (name, true));
    let is_foreign_module = code.contains(&format!("::{name};"));
    !is_foreign_module
        && code.match_indices(name).any(|(at, _)| {
            let (before, after) = (&code[..at], &code[at + name.len()..]);
            let rest = if open_ended { after.trim_start_matches(is_word) } else { after };
            let is_path = rest.starts_with("::") || before.ends_with("use ");
            is_path && !continues_word(before) && !before.ends_with("::")
        })
}

fn continues_word(before: &str) -> bool {
    before.ends_with(is_word)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|floor| floor.contains(&module))
}

/// Every file of `src` that belongs to a module, test modules in files of their own excepted.
fn product_files() -> Vec<SourceFile> {
    let source = root().join("src");
    let files = rust_files(&source).into_iter().filter(|path| !path.ends_with("tests.rs"));
    files.map(|path| source_file(&source, &path)).collect()
}

fn source_file(source: &Path, path: &Path) -> SourceFile {
    let below = path.strip_prefix(source).expect("it was listed below it");
    let top = below.components().next().expect("a file has a name").as_os_str().to_string_lossy();
    let module = top.trim_end_matches(".rs").to_owned();
    SourceFile::new(format!("src/{}", below.display()), module, &read(path))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("its folder is readable").path()).collect();
    paths.sort();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let own = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    own.chain(folders.iter().filter(|folder| !folder.ends_with("node_modules")).flat_map(|folder| rust_files(folder)))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the sources are readable")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
