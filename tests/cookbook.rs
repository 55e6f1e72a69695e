//! The cookbook of docs/rules.md: each of its recipes does what its cases say, by `portillon test` itself.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The scopes that the page says are asked for.
const PROVIDER: &str = r#"[provider]
environment = "integration"
client_id = "x"
client_secret = { credential = "client_secret" }
scope = [
    "openid", "given_name", "usual_name", "email", "uid", "siret", "siren", "idp_id", "idp_acr", "roles", "custom", "groups",
    "organization_label", "organizational_unit", "belonging_population", "phone", "chorusdt",
]
"#;

/// A section of the page: its heading, and its blocks by what is written behind their backticks.
struct Recipe<'a> {
    heading: &'a str,
    blocks: Vec<(&'a str, &'a str)>,
}

impl<'a> Recipe<'a> {
    fn new(section: &'a str) -> Self {
        let heading = section.lines().next().expect("a section has a heading");
        let blocks = section.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
        Self { heading, blocks: blocks.collect() }
    }

    fn block(&self, mark: &str) -> &'a str {
        let found = self.blocks.iter().find(|(of, _)| *of == mark);
        found.unwrap_or_else(|| unreachable!("{} has no block of {mark}", self.heading)).1
    }

    /// Runs `portillon test` on the recipe, and gives the exit code and what it told.
    fn tried(&self, cases: &str) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("the folder is writable");
        let here = |text: &str| text.replace("/etc/portillon", &folder.path().display().to_string());
        for (mark, text) in &self.blocks {
            if let Some(name) = mark.strip_prefix("text ") {
                write(name, text);
            }
        }
        write("portillon.toml", &here(&format!("{PROVIDER}{}", self.block("toml"))));
        write("cases.toml", cases);
        let output = Command::new(env!("CARGO_BIN_EXE_portillon"))
            .args(["test", "cases.toml", "--config", "portillon.toml"])
            .current_dir(folder.path())
            .env_remove("CREDENTIALS_DIRECTORY")
            .output()
            .expect("the binary runs");
        let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), told)
    }
}

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md")).expect("the page is there")
}

#[test]
fn every_recipe_does_what_its_cases_say() {
    let page = page();
    let recipes: Vec<Recipe<'_>> =
        page.split("\n### ").filter(|section| is_numbered(section)).map(Recipe::new).collect();
    assert_eq!(recipes.len(), 20, "the page promises twenty");
    for recipe in &recipes {
        let cases = recipe.block("toml case");
        let (code, told) = recipe.tried(cases);
        assert_eq!(code, Some(0), "{}: {told}", recipe.heading);
        // It shows both sides of the door, so that without its rules it would fail.
        assert!(cases.contains("\"allow\"") && cases.contains("\"refuse\""), "{}", recipe.heading);
        let (code, _) = recipe.tried(&cases.replace("\"refuse\"", "\"allow\""));
        assert_eq!(code, Some(1), "{}: it is not the rules that refuse", recipe.heading);
    }
}

#[test]
fn the_cases_that_are_shown_as_an_example_can_be_read() {
    let page = page();
    let section = page.split("\n## ").find(|section| section.starts_with("Tests of your own")).expect("the section");
    let cases = Recipe::new(section);
    let route = "\n```toml\n[[route]]\nname = \"paie\"\nhost = \"paie.example.gouv.fr\"\nupstream = \"http://10.0.0.1\"\n\
                 [[route.allow]]\nsiret = \"13002526500013\"\nreason = \"Réservé aux agents du ministère.\"\n```\n";
    let recipe = Recipe::new(route);
    let (code, told) = recipe.tried(cases.block("toml case"));
    assert_eq!(code, Some(0), "{told}");
}

fn is_numbered(section: &str) -> bool {
    section.starts_with(|first: char| first.is_ascii_digit())
}
