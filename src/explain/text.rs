//! An answer for people, in colours where they can be seen.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Answer, Outcome as Becomes, Question};
use crate::config::RouteConfig;
use crate::policy::{Examined, Finding, Kind, Outcome, Zone};

/// Colours, or none (ECMA-48 section 8.3.117).
#[derive(Clone, Copy, Debug, Default)]
pub struct Paint {
    /// Whether to use them.
    pub styled: bool,
}

impl Paint {
    const GREEN: &str = "32";
    const RED: &str = "31";
    const YELLOW: &str = "33";
    const BOLD: &str = "1";
    const DIM: &str = "2";

    fn paint(self, style: &str, text: &str) -> String {
        if self.styled { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// What is well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint(Self::GREEN, text)
    }

    /// What is not.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint(Self::RED, text)
    }

    fn unsure(self, text: &str) -> String {
        self.paint(Self::YELLOW, text)
    }

    /// A heading.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint(Self::BOLD, text)
    }

    /// A detail.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint(Self::DIM, text)
    }
}

/// The answer in words.
#[must_use]
pub fn text(question: &Question<'_>, answer: &Answer<'_>, paint: Paint) -> String {
    let mut text = String::new();
    let who = question.agent.map_or_else(|| "nobody who is logged in".to_owned(), name);
    let from = question.client.map_or_else(String::new, |client| format!(" from {client}"));
    let _ = writeln!(text, "{}", paint.bold(&format!("{} {}", question.method, question.url)));
    let _ = writeln!(text, "by {who}{from}, {}\n", Zone::default().describe(question.now));
    route(&mut text, answer, paint);
    if let Some(rule) = answer.public {
        let methods: Vec<&str> = rule.methods.iter().map(http::Method::as_str).collect();
        let _ = writeln!(text, "{}  {} by {}", paint.bold("public"), rule.path, methods.join(", "));
    }
    rules(&mut text, answer, paint);
    verdict(&mut text, answer, paint);
    forwarded(&mut text, answer, paint);
    text
}

fn name(claims: &crate::identity::Claims) -> String {
    let names: Vec<&str> = ["given_name", "usual_name"].iter().filter_map(|name| claims.text(name)).collect();
    let known = if names.is_empty() { claims.text("email").map(str::to_owned) } else { Some(names.join(" ")) };
    known.unwrap_or_else(|| format!("the agent {}", claims.sub()))
}

fn route(text: &mut String, answer: &Answer<'_>, paint: Paint) {
    let Some(route) = answer.route else { return };
    let why = match answer.candidates.len() {
        1 => format!("the only route of {}", route.authority),
        number => format!("the longest path that holds it, of {number} routes of {}", route.authority),
    };
    let _ =
        writeln!(text, "{}   {} {}  {}", paint.bold("route"), route.name, paint.dim(&route.origin.to_string()), why);
    for other in answer.candidates.iter().filter(|other| other.name != route.name) {
        let _ = writeln!(text, "          {}", paint.dim(&format!("not {} ({})", other.name, other.path)));
    }
}

fn rules(text: &mut String, answer: &Answer<'_>, paint: Paint) {
    let Some(RouteConfig { rules, .. }) = answer.route.filter(|_| !answer.examined.is_empty()) else {
        return no_rules(text, answer, paint);
    };
    let _ = writeln!(text, "{}", paint.bold("rules"));
    for examined in &answer.examined {
        block(text, examined, paint);
    }
    if rules.allow.is_empty() {
        let _ = writeln!(text, "    no allow block: whoever is not denied enters");
    }
}

fn no_rules(text: &mut String, answer: &Answer<'_>, paint: Paint) {
    if answer.outcome == Becomes::Allow {
        let _ = writeln!(text, "{}   none: every agent enters", paint.bold("rules"));
    }
}

fn block(text: &mut String, examined: &Examined<'_>, paint: Paint) {
    let (kind, mark) = match (examined.kind, examined.holds) {
        (Kind::Allow, true) => ("allow", paint.good("holds")),
        (Kind::Allow, false) => ("allow", paint.bad("does not hold")),
        (Kind::Deny, true) => ("deny", paint.bad("holds")),
        (Kind::Deny, false) => ("deny", paint.good("does not hold")),
    };
    let _ = writeln!(text, "  {kind} {}  {mark}", paint.dim(&examined.block.origin.to_string()));
    findings(text, &examined.findings, "    ", paint);
}

fn findings(text: &mut String, findings: &[Finding<'_>], indent: &str, paint: Paint) {
    for finding in findings {
        let mark = match finding.outcome {
            Outcome::Fails => paint.bad("no "),
            Outcome::Holds => paint.good("yes"),
            Outcome::Undecided => paint.unsure("?  "),
        };
        let condition = finding.condition;
        let found = match (&finding.found, finding.within.is_empty()) {
            (_, false) => String::new(),
            (Some(found), true) => format!("  found {found}"),
            (None, true) => format!("  {}", paint.unsure("absent")),
        };
        let wanted = match finding.within.is_empty() {
            true => format!("{} = {}", condition.name, condition.wanted),
            false => condition.name.clone(),
        };
        let _ = writeln!(text, "{indent}{mark} {wanted}{found}");
        if let Some(hint) = &finding.hint {
            let _ = writeln!(text, "{indent}    {}", paint.unsure(&format!("hint: {hint}")));
        }
        for (at, all) in finding.within.iter().enumerate() {
            if at > 0 {
                let _ = writeln!(text, "{indent}    nor");
            }
            self::findings(text, all, &format!("{indent}    "), paint);
        }
    }
}

fn verdict(text: &mut String, answer: &Answer<'_>, paint: Paint) {
    let said = match answer.outcome {
        Becomes::Allow => "allowed: the application answers",
        Becomes::AmbiguousPath => "refused: this path can be read in two ways, and something depends on it (400)",
        Becomes::Login => "not yet: a page leads to the login, a script gets 401",
        Becomes::NoRoute => "refused: no route holds this path (404)",
        Becomes::Own => "answered by the gateway itself",
        Becomes::Public => "public: the application answers, and does not learn who asks",
        Becomes::Refuse => "refused (403)",
        Becomes::StepUp => "not yet: a page leads back to the provider, a script gets 403",
        Becomes::UnknownSite => "refused: no route has this host (421)",
    };
    let said = if answer.outcome.is_allowed() { paint.good(said) } else { paint.bad(said) };
    let _ = writeln!(text, "\n{}", paint.bold(&said));
    if let Some(levels) = &answer.step_up {
        let _ = writeln!(text, "  would be sent to step up to {levels}");
    }
    for reason in &answer.reasons {
        let _ = writeln!(text, "  {reason}");
    }
    let max_age = answer.route.and_then(|route| route.rules.max_age).filter(|_| answer.outcome != Becomes::Public);
    if let Some(max_age) = max_age {
        let _ = writeln!(
            text,
            "  whoever authenticated more than {} ago goes back to the provider first",
            in_short(max_age)
        );
    }
    if let (Becomes::Refuse | Becomes::StepUp, Some(contact)) =
        (answer.outcome, answer.route.and_then(|route| route.contact.as_ref()))
    {
        let _ = writeln!(text, "  contact: {contact}");
    }
}

/// `1h30m`, as the configuration writes it.
fn in_short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    units.into_iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect()
}

fn forwarded(text: &mut String, answer: &Answer<'_>, paint: Paint) {
    let Some(forwarded) = &answer.forwarded else { return };
    let upstreams: Vec<String> = forwarded.route.upstreams.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "\n{}  {}", paint.bold("upstream"), upstreams.join(", "));
    let _ = writeln!(text, "{}", paint.bold("headers"));
    if forwarded.headers.is_empty() {
        let _ = writeln!(text, "  none");
    }
    for (name, value) in &forwarded.headers {
        let _ = writeln!(text, "  {name}: {value}");
    }
    if !forwarded.covered.is_empty() {
        let _ = writeln!(text, "{}  {}", paint.bold("covered"), forwarded.covered.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_those_who_see_them() {
        assert_eq!(Paint { styled: true }.good("x"), "\u{1b}[32mx\u{1b}[0m");
        assert_eq!(Paint::default().good("x"), "x");
    }
}
