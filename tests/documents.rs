//! Keeps the documents true: every reason code, metric and admin endpoint is told of, every configuration shown can be
//! used, every link leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;
use portillon::config::{self, Purpose};
use portillon::telemetry::Decision;
use portillon::telemetry::metrics::{LoginResult, Metrics, NO_ROUTE};
use rustls::crypto::aws_lc_rs;

/// Calls whose arguments end with a reason code.
const CALLS: [&str; 5] = [".because(", "LoginResult::Failed(", "Reply::new(", "Reply::see_other(", "Decided::"];
/// What stands right before a reason code: a field of a message, of an exchange or of a log line.
const FIELDS: [&str; 5] = ["code: \"", "error, \"", "reason: \"", "reason = \"", "request_id, \""];
/// What a snippet that is no whole configuration is read with.
const PROVIDER: &str = "[provider]\nenvironment = \"integration\"\nclient_id = \"x\"\n\
                        client_secret = { credential = \"client_secret\" }\n\
                        scope = [\"openid\", \"given_name\", \"usual_name\", \"email\", \"uid\", \"siret\", \"idp_id\", \
                        \"roles\", \"custom\", \"organizational_unit\", \"belonging_population\"]\n";

#[test]
fn every_reason_code_is_in_the_operations_manual() {
    let manual = read("docs/operations.md");
    let codes = reason_codes();
    for known in ["acr_not_held", "bare_line_feed", "id_token_kid", "login_loop_key", "logout_path", "unread"] {
        assert!(codes.contains(known), "the scanner misses {known}: {codes:?}");
    }
    let untold: Vec<_> = codes.iter().filter(|code| !manual.contains(&format!("`{code}`"))).collect();
    assert!(untold.is_empty(), "docs/operations.md does not tell of {untold:?}");
}

#[test]
fn every_decision_metric_and_admin_endpoint_is_in_the_operations_manual() {
    let (manual, admin) = (read("docs/operations.md"), read("src/admin/answer.rs"));
    let endpoints = literals(&admin).filter(|text| text.starts_with('/')).map(str::to_owned);
    let decisions = Decision::ALL.map(|decision| decision.as_str().to_owned());
    let names: BTreeSet<String> = endpoints.chain(decisions).chain(metric_names()).collect();
    for known in ["/readyz", "permit_agent", "portillon_build_info", "portillon_denied_total"] {
        assert!(names.contains(known), "{known} is missed: {names:?}");
    }
    let untold: Vec<_> = names.iter().filter(|name| !manual.contains(&format!("`{name}`"))).collect();
    assert!(untold.is_empty(), "docs/operations.md does not tell of {untold:?}");
}

#[test]
fn every_configuration_shown_can_be_used() {
    // An error means that it is installed already: certificates cannot be read without.
    let _ = aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    write_files(folder.path());
    let mut complete = 0;
    for (document, snippet) in documents().iter().flat_map(|name| snippets(name).map(move |snippet| (name, snippet))) {
        complete += usize::from(snippet.complete);
        let text = snippet.configuration().replace("/etc/portillon", &folder.path().display().to_string());
        let told = match config::parse(Path::new("portillon.toml"), &text, Purpose::Check) {
            Ok(loaded) => loaded.warnings,
            Err(diagnostics) => diagnostics,
        };
        let wrong = told.iter().filter(|diagnostic| !snippet.expects(diagnostic.title()));
        let wrong: Vec<_> = wrong.map(|diagnostic| diagnostic.render(false)).collect();
        assert!(wrong.is_empty(), "{document} shows\n{}\n{}", snippet.text, wrong.join("\n"));
    }
    assert!(complete >= 3, "{complete} complete configurations are shown");
}

#[test]
fn every_link_leads_somewhere() {
    for name in documents() {
        let folder = root().join(&name).parent().expect("a document is in a folder").to_owned();
        let text = read(&name);
        let targets = text.match_indices("](").filter_map(|(at, mark)| text[at + mark.len()..].split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let path = target.split('#').next().unwrap_or_default();
            assert!(folder.join(path).exists(), "{name} links to {target}, which is not there");
        }
    }
}

#[test]
fn the_scanner_sees_every_way_to_give_a_reason() {
    let code = r#"
        pub const fn reason_code(self) -> &'static str {
            match self { Self::A => "one", Self::B { .. } => { "two" } }
        }
        fn other() -> &'static str { "not_this" }
        Reply::see_other(&self.endpoint("me"), "three").because("four");
        Reply::new(Answer { body: f("text/plain") }, "five");
        Message::BadRequest { code: "six" }; // code: "not_that"
        tracing::warn!(reason = "seven", "a sentence"); tracing::error!(%error, "eight");"#;
    let found = codes_in(&without_comments(code));
    let expected = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    assert_eq!(found, expected.map(str::to_owned).into());
}

/// A piece of TOML in a document.
struct Snippet {
    text: String,
    /// Whether it is marked as a whole configuration.
    complete: bool,
}

impl Snippet {
    fn configuration(&self) -> String {
        let whole = self.text.contains("[provider]");
        if whole { self.text.clone() } else { format!("{PROVIDER}\n{}", self.text) }
    }

    /// Whether a warning is as it should be: a credential can be read in the unit only, and a part may have no route.
    fn expects(&self, title: &str) -> bool {
        title.starts_with("credential") || (!self.complete && title.starts_with("there is no [[route]]"))
    }
}

/// The blocks of TOML in the document called `name`, those in lists among them.
fn snippets(name: &str) -> impl Iterator<Item = Snippet> {
    let text = read(name);
    let blocks: Vec<Snippet> = text
        .split("```toml")
        .skip(1)
        .filter_map(|rest| rest.split("```").next()?.split_once('\n'))
        // Cases are no configuration: tests/cookbook.rs tries them.
        .filter(|(mark, _)| mark.trim() != "case")
        .map(|(mark, text)| Snippet { text: text.to_owned(), complete: mark.trim() == "complete" })
        .collect();
    blocks.into_iter()
}

/// Certificates, keys and lists under the names that the documents use.
fn write_files(folder: &Path) {
    let made =
        rcgen::generate_simple_self_signed(vec!["rh.interne.example.gouv.fr".to_owned()]).expect("a certificate");
    for inner in ["icons", "tls"] {
        fs::create_dir_all(folder.join(inner)).expect("the folder is writable");
    }
    let files = [
        ("sirets.txt", "13002526500013\n".to_owned()),
        ("application-ca.pem", made.cert.pem()),
        ("icons/paie.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_owned()),
        ("tls/fullchain.pem", made.cert.pem()),
        ("tls/privkey.pem", made.signing_key.serialize_pem()),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content).expect("the folder is writable");
    }
}

/// The name of every metric, as `/metrics` shows it.
fn metric_names() -> BTreeSet<String> {
    let metrics = Metrics::new();
    let route = metrics.route(NO_ROUTE);
    route.request(Decision::Refuse, StatusCode::FORBIDDEN, Duration::ZERO);
    route.denied("portillon.toml:1");
    metrics.login("default", LoginResult::Started);
    metrics.head_refused("bare_line_feed");
    let text = metrics.encode();
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let suffix = |kind: &str| match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    typed.map(|(name, kind)| format!("{name}{}", suffix(kind))).collect()
}

/// Every reason code in the sources, the demonstration's and the tests' excepted.
fn reason_codes() -> BTreeSet<String> {
    let files = rust_files(&root().join("src"));
    let product = files.iter().filter(|path| !path.ends_with("tests.rs") && !path.starts_with(root().join("src/demo")));
    let code = product.map(|path| fs::read_to_string(path).expect("the sources are readable"));
    code.flat_map(|text| {
        let product = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        codes_in(&without_comments(product))
    })
    .collect()
}

fn codes_in(code: &str) -> BTreeSet<String> {
    let functions = after(code, "fn reason_code(").map(|rest| up_to_closing(rest, '{', '}'));
    let answers = functions.flat_map(literals);
    let calls = CALLS.iter().flat_map(|call| after(code, call)).filter_map(|rest| literals(arguments(rest)).last());
    let fields = FIELDS.iter().flat_map(|field| after(code, field)).filter_map(|rest| rest.split('"').next());
    let found = answers.chain(calls).chain(fields);
    found.filter(|text| is_code(text)).map(str::to_owned).collect()
}

/// Lower case, in words joined by `_`.
fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What follows each `mark` in `code`.
fn after<'c>(code: &'c str, mark: &str) -> impl Iterator<Item = &'c str> {
    let found: Vec<_> = code.match_indices(mark).map(|(at, mark)| &code[at + mark.len()..]).collect();
    found.into_iter()
}

/// The arguments of a call, whose opening parenthesis stands before `code`.
fn arguments(code: &str) -> &str {
    let mut depth = 1_i32;
    let end = code.find(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        depth == 0
    });
    &code[..end.unwrap_or(code.len())]
}

/// `code` up to where what it opens is closed again.
fn up_to_closing(code: &str, open: char, close: char) -> &str {
    let mut depth = 0_i32;
    let end = code.find(|character| {
        depth += i32::from(character == open) - i32::from(character == close);
        depth == 0 && character == close
    });
    &code[..end.unwrap_or(code.len())]
}

/// The texts in quotation marks; none of those that matter holds an escaped one.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    code.split('"').skip(1).step_by(2)
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// README.md and everything in docs.
fn documents() -> Vec<String> {
    let entries = fs::read_dir(root().join("docs")).expect("docs is readable");
    let names = entries.map(|entry| entry.expect("docs is readable").file_name().to_string_lossy().into_owned());
    let mut documents: Vec<String> =
        names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    documents.extend(["CONTRIBUTING.md", "README.md", "SECURITY.md"].map(str::to_owned));
    documents.sort();
    documents
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the sources are readable");
    let paths: Vec<_> = entries.map(|entry| entry.expect("the sources are readable").path()).collect();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let own = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    own.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("the project's own files are readable")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
